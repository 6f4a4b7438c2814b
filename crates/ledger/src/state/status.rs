//! What can be told of a run at any moment. Decides nothing.

use std::collections::BTreeMap;

use super::Ledger;
use crate::{StepReport, WorkerId, WorkerInfo};

/// What the run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No generation is open: workers are missing.
    Gathering,
    /// No generation is open: a person wants it so.
    Paused,
    /// A generation computes steps.
    Running,
    /// All steps are committed, or the run is being stopped: the last checkpoint is under way.
    Finishing,
    /// Nothing more will happen.
    Done,
}

/// What can be told of a run at any moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// What the run is doing.
    pub phase: Phase,
    /// Committed steps.
    pub step: u64,
    /// Steps in the run.
    pub steps: u64,
    /// The open generation, or the last one.
    pub generation: u64,
    /// Members of the open generation.
    pub members: usize,
    /// All connected workers.
    pub workers: Vec<WorkerStatus>,
    /// Updates applied in the newest checkpoint; 0 without one, and before it has been looked at.
    pub durable: u64,
    /// What the last committed step found.
    pub last: Option<StepReport>,
}

/// What can be told of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Who.
    pub worker: WorkerId,
    /// What it says of itself.
    pub info: WorkerInfo,
    /// How many micro-batches of a step it computes, if it is a member.
    pub micro_batches: Option<u64>,
    /// Updates applied to the weights that it is known to hold.
    pub applied: Option<u64>,
}

impl Ledger {
    /// What can be told of the run now.
    pub fn status(&self) -> Status {
        let members = self.generation.as_ref().map_or(&[][..], |generation| &generation.members);
        let count = self.settings.batches.of(self.step.min(self.settings.steps.saturating_sub(1))).count;
        let shares = self.generation.iter().flat_map(|open| open.members.iter().zip(open.deal.shares(count)));
        let shares: BTreeMap<_, _> = shares.collect();
        let workers = self.workers.iter();
        Status {
            phase: self.phase,
            step: self.step,
            steps: self.settings.steps,
            generation: self.record.generations,
            members: members.len(),
            workers: workers
                .map(|(id, worker)| WorkerStatus {
                    worker: *id,
                    info: worker.info.clone(),
                    micro_batches: shares.get(id).copied(),
                    applied: worker.applied,
                })
                .collect(),
            durable: self.durable,
            last: self.last.clone(),
        }
    }
}
