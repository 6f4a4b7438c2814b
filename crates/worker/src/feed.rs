//! The feed: the run's micro-batches, read, packed, masked and collated ahead of the engine. What a micro-batch holds
//! is a function of its index; this file only keeps the blocks that are needed close at hand.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use families::HostBatch;
use plan::RunPlan;
use store::StoreError;
use thiserror::Error;

use crate::held_out::HeldOut;
use crate::samples::Samples;

/// Micro-batches that are ready before the engine asks.
const AHEAD: usize = 4;
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

    /// How many micro-batches of a step a member computes.
    pub(crate) fn share(&self, rank: u32, world: u32, step: u64) -> usize {
        self.of(rank, world, step).count()
    }

    /// The micro-batches of a step that a member computes, counted over their phase.
    fn of(&self, rank: u32, world: u32, step: u64) -> impl Iterator<Item = u64> {
        let batch = self.plan.step_micro_batches(step);
        plan::micro_batches_of(rank, world, batch.first, batch.count, self.plan.data.lanes)
    }

    /// Whether held-out samples are to be looked at before step `step`.
    pub(crate) fn is_evaluated(&self, step: u64) -> bool {
        let due = |every: u64| step > 0 && step.is_multiple_of(every);
        self.plan.evaluation.as_ref().is_some_and(|evaluation| due(evaluation.every))
    }

    /// The held-out micro-batches that a member looks at.
    pub(crate) fn held_out(&self, rank: u32, world: u32) -> impl Iterator<Item = Fed> {
        let all = self.held_out.iter().flat_map(HeldOut::micro_batches).enumerate();
        // Nothing is read before the iterator arrives at it, so others' shares cost nothing.
        all.filter(move |(index, _)| *index as u64 % u64::from(world) == u64::from(rank))
            .map(|(index, batch)| batch().map(|batch| (index as u64, batch)))
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
}

impl Feed {
    pub(crate) fn start(materials: Arc<Materials>, rank: u32, world: u32, step: u64) -> Self {
        let (sender, batches) = sync_channel(AHEAD);
        let thread = std::thread::Builder::new().name("feed".into());
        let spawned = thread.spawn(move || feed(&materials, rank, world, step, &sender));
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread for the feed");
        }
        Feed { batches }
    }

    /// The next micro-batch of this member, with its index in its step.
    pub(crate) fn next(&mut self) -> Fed {
        self.batches.recv().unwrap_or(Err(FeedError::Broken))
    }
}

fn feed(materials: &Materials, rank: u32, world: u32, step: u64, sender: &SyncSender<Fed>) {
    for step in step..materials.plan.train.steps {
        let batch = materials.plan.step_micro_batches(step);
        for index in materials.of(rank, world, step) {
            let fed = materials.micro_batch(batch.phase, index).map(|fed| (index - batch.first, fed));
            let failed = fed.is_err();
            if sender.send(fed).is_err() || failed {
                return;
            }
        }
    }
}
