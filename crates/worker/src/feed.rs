//! The feed: the run's micro-batches, read, packed, masked and collated ahead of the engine. What a micro-batch holds
//! is a function of its index; this file only keeps the blocks that are needed close at hand.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use families::HostBatch;
use plan::{Deal, RunPlan};
use store::StoreError;
use thiserror::Error;

use crate::held_out::HeldOut;
use crate::patience::Patience;
use crate::samples::Samples;
use crate::step::Place;

/// Micro-batches that are ready before the engine asks.
const AHEAD: usize = 4;
/// Blocks are read so many micro-batches before the feed comes to them: storage may be far away. More would push blocks
/// out of the cache before they are used: a micro-batch touches most blocks of its lane's window.
const PREFETCH: usize = 32;
/// Between two looks for orders while data is waited for.
const LOOK: Duration = Duration::from_millis(200);

/// Data that cannot be turned into micro-batches.
#[derive(Debug, Error)]
pub enum FeedError {
    /// A block cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The dataset is not the one that the run's samples were counted on.
    #[error(
        "block {block} of {dataset} has {found} samples, but the run counted {counted}: the dataset has changed; prepare it again or start another run"
    )]
    Changed {
        /// The dataset's place.
        dataset: String,
        /// The block.
        block: u32,
        /// Samples that packing found.
        found: usize,
        /// Samples that the run counted when it began.
        counted: u32,
    },
    /// The feeding thread ended early.
    #[error("the feed broke; this is a bug, see the log")]
    Broken,
}

/// Everything that turns an index into a micro-batch.
pub struct Materials {
    plan: RunPlan,
    /// One stage for each phase.
    samples: Samples,
    held_out: Option<HeldOut>,
}

impl Materials {
    /// Ties a plan to the samples of its phases and, if it evaluates, to held-out ones.
    pub fn new(plan: RunPlan, samples: Samples, held_out: Option<HeldOut>) -> Self {
        Materials { plan, samples, held_out }
    }

    pub(crate) fn plan(&self) -> &RunPlan {
        &self.plan
    }

    /// The micro-batches of a step that a member computes, counted over their phase.
    pub(crate) fn share(&self, deal: &Deal, rank: u32, step: u64) -> Vec<u64> {
        let batch = self.plan.step_micro_batches(step);
        deal.micro_batches(rank, batch.first, batch.count, self.plan.data.lanes)
    }

    /// Who computes micro-batch `index` of a step, counted over the step.
    pub(crate) fn owner(&self, deal: &Deal, step: u64, index: u64) -> u32 {
        let batch = self.plan.step_micro_batches(step);
        deal.owner(batch.first + index, batch.first, batch.count, self.plan.data.lanes)
    }

    /// Micro-batch `index` of a step, counted over the step.
    pub(crate) fn of_step(&self, step: u64, index: u64) -> Result<HostBatch, FeedError> {
        let batch = self.plan.step_micro_batches(step);
        self.micro_batch(batch.phase, batch.first + index)
    }

    /// The samples of it, as the dataset names them.
    pub(crate) fn samples_of(&self, step: u64, index: u64) -> String {
        let batch = self.plan.step_micro_batches(step);
        let samples = self.samples.names(batch.phase, batch.first + index).into_iter();
        samples.map(|sample| format!("{}:{}", sample.block, sample.index)).collect::<Vec<_>>().join(" ")
    }

    /// Whether all members compare their states before step `step`.
    pub(crate) fn is_compared(&self, step: u64) -> bool {
        let every = self.plan.guards.compare_every;
        every > 0 && step.is_multiple_of(every)
    }

    /// Whether held-out samples are to be looked at before step `step`.
    pub(crate) fn is_evaluated(&self, step: u64) -> bool {
        let due = |every: u64| step > 0 && step.is_multiple_of(every);
        self.plan.evaluation.as_ref().is_some_and(|evaluation| due(evaluation.every))
    }

    /// The held-out micro-batches that a member looks at, with their indices, to be read when they are wanted.
    pub(crate) fn held_out(
        &self,
        rank: u32,
        world: u32,
    ) -> impl Iterator<Item = (u64, impl Fn() -> Result<HostBatch, FeedError>)> {
        let all = self.held_out.iter().flat_map(HeldOut::micro_batches).enumerate();
        all.map(|(index, batch)| (index as u64, batch))
            .filter(move |(index, _)| index % u64::from(world) == u64::from(rank))
    }

    /// Micro-batch `index` of a phase. Blocks on storage if its blocks are not cached.
    ///
    /// # Errors
    /// If a block cannot be read, or is not what it was when the run began.
    pub fn micro_batch(&self, phase: usize, index: u64) -> Result<HostBatch, FeedError> {
        self.samples.micro_batch(phase, index)
    }
}

/// A micro-batch with its index: in training that in its step.
type Fed = Result<(u64, HostBatch), FeedError>;

/// A member's micro-batches from a step on, made ahead by a thread of their own. The thread ends with the feed.
pub(crate) struct Feed {
    batches: Receiver<Fed>,
    is_over: Arc<AtomicBool>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Feed {
    pub(crate) fn start(materials: Arc<Materials>, place: &Place, step: u64) -> Self {
        let (sender, batches) = sync_channel(AHEAD);
        let thread = std::thread::Builder::new().name("feed".into());
        let place = place.clone();
        let is_over = Arc::new(AtomicBool::new(false));
        let told = is_over.clone();
        let spawned = thread.spawn(move || feed(&materials, &place, step, &sender, &told));
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread for the feed");
        }
        Feed { batches, is_over }
    }

    /// The next micro-batch of this member, with its index in its step; none if it is not there yet: whoever waits should
    /// look for orders.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, HostBatch)>, FeedError> {
        match self.batches.recv_timeout(LOOK) {
            Ok(fed) => fed.map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(FeedError::Broken),
        }
    }
}

fn feed(materials: &Materials, place: &Place, step: u64, sender: &SyncSender<Fed>, is_over: &AtomicBool) {
    let steps = (step..materials.plan.train.steps).filter(|&step| !place.leaves_out(step));
    let mut wanted = steps.flat_map(|step| {
        let batch = materials.plan.step_micro_batches(step);
        let share = materials.share(&place.deal, place.rank, step);
        share.into_iter().map(move |index| (batch.phase, batch.first, index))
    });
    let mut ahead = VecDeque::with_capacity(PREFETCH + 1);
    loop {
        for next in wanted.by_ref().take(PREFETCH + 1 - ahead.len()) {
            materials.samples.prefetch(next.0, next.2);
            ahead.push_back(next);
        }
        let Some((phase, first, index)) = ahead.pop_front() else { return };
        let over = || is_over.load(Ordering::Relaxed);
        let alone = place.deal.weights().len() == 1;
        let fed = Patience::begin(alone).until(over, || materials.micro_batch(phase, index));
        let fed = fed.map(|fed| (index - first, fed));
        let failed = fed.is_err();
        if sender.send(fed).is_err() || failed {
            return;
        }
    }
}
