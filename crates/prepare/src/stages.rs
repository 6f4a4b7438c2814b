//! The stages of a preparation, one file each. A stage is a row of tasks that do not know each other; the outcome of
//! each is an object in the work area, written last.

pub(crate) mod docs;
pub(crate) mod duplicates;
pub(crate) mod read;
pub(crate) mod rows;
pub(crate) mod tokens;
pub(crate) mod train;

use rayon::prelude::*;

use crate::tasks::Share;
use crate::work::Work;
use crate::{Config, PrepareError, Progress};

/// What all stages need.
pub(crate) struct Context<'a> {
    pub config: &'a Config,
    pub work: &'a Work,
    pub share: Option<Share>,
    /// Threads.
    pub jobs: usize,
    /// Bytes that may be held in memory.
    pub memory: u64,
    pub progress: &'a dyn Progress,
}

/// A stage that is not complete: others have to do their shares of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Waiting {
    /// The stage.
    pub stage: String,
    /// Tasks that are done.
    pub done: usize,
    /// Tasks in all.
    pub tasks: usize,
}

/// What a stage is to the one who runs it.
pub(crate) struct Stage<'a> {
    /// What people call it.
    pub name: &'a str,
    /// Where the outcomes of its tasks are kept.
    pub folder: &'a str,
    /// How many there are.
    pub tasks: usize,
    /// Bytes that a task holds in memory.
    pub memory: u64,
}

impl Context<'_> {
    /// Runs the tasks of a stage that are not done yet, as far as they are this share's. `weight` is what a task counts
    /// for in the progress; `work` tells of it as it goes on.
    pub fn run(
        &self,
        stage: &Stage,
        weight: impl Fn(usize) -> u64,
        work: impl Fn(usize) -> Result<(), PrepareError> + Sync,
    ) -> Result<Option<Waiting>, PrepareError> {
        let done = self.work.done(stage.folder)?;
        let mine = |task: &usize| !done.contains(task) && self.share.is_none_or(|share| share.has(*task));
        let tasks: Vec<usize> = (0..stage.tasks).filter(mine).collect();
        self.progress.stage(stage.name, tasks.iter().map(|&task| weight(task)).sum());
        if !tasks.is_empty() {
            let jobs = self.jobs.min((self.memory / stage.memory.max(1)) as usize).max(1);
            self.pool(jobs)?.install(|| tasks.par_iter().with_max_len(1).try_for_each(|&task| work(task)))?;
        }
        if self.share.is_none() {
            return Ok(None);
        }
        let done = self.work.done(stage.folder)?.range(..stage.tasks).count();
        let waiting = Waiting { stage: stage.name.to_owned(), done, tasks: stage.tasks };
        Ok((done < stage.tasks).then_some(waiting))
    }

    /// Threads for a stage.
    pub fn pool(&self, jobs: usize) -> Result<rayon::ThreadPool, PrepareError> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(jobs)
            .build()
            .map_err(|error| PrepareError::Machine(format!("no threads: {error}")))
    }
}
