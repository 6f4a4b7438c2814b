//! What the ledger wants done. Each command says what holds when it is carried out.

use plan::Deal;

use crate::{PartReport, Record, Tail, WorkerId};

/// A fixed set of members that reduce gradients together. Generations only grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Counted from 1 over the whole run, so that nobody takes a message about a generation of another term for one
    /// about this.
    pub number: u64,
    /// The members in the order of their ranks. Rank 0 holds the weights, or restores them.
    pub members: Vec<WorkerId>,
    /// The next step to be computed, counted from 0: so many updates have been applied.
    pub step: u64,
    /// Where each member gets the weights of `step` from, by rank.
    pub sources: Vec<StateSource>,
    /// How micro-batches are dealt to the members, until a commit says otherwise.
    pub deal: Deal,
    /// Steps from here on that nobody computes: the first of each range, and the step behind it.
    pub left_out: Vec<(u64, u64)>,
}

impl Generation {
    /// Whether rank 0 has to broadcast its state first.
    pub fn needs_broadcast(&self) -> bool {
        self.sources.contains(&StateSource::Receive)
    }

    /// The rank of a worker, if it is a member.
    pub fn rank_of(&self, worker: WorkerId) -> Option<u32> {
        self.members.iter().position(|&member| member == worker).map(|rank| rank as u32)
    }
}

/// Where a member gets the generation's weights from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateSource {
    /// It has them.
    Keep,
    /// From rank 0, by broadcast.
    Receive,
    /// From the checkpoint of the generation's step; for step 0, from the seed.
    Restore,
}

/// What a member does after it has applied a committed step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Compute the next step in the same generation.
    Continue,
    /// Wait: the generation is over.
    Wait,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps are done and the last checkpoint is stored.
    Completed,
    /// It was stopped, with a checkpoint; it can be resumed.
    Stopped,
    /// It cannot go on; the reason says why and what to do.
    Failed(String),
    /// It goes on elsewhere: another coordinator has taken a higher term.
    TakenOver(String),
}

/// A decision of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Turn a worker away, with the reason.
    Refuse {
        /// Who.
        worker: WorkerId,
        /// Why, and what to do.
        reason: String,
    },
    /// Close a worker's session. It may come back, with the weights that it holds.
    Disconnect {
        /// Who.
        worker: WorkerId,
    },
    /// Tell every member that the generation is open. No other generation is.
    Open {
        /// The generation.
        generation: Generation,
        /// Why a new one was needed.
        reason: String,
        /// All records that are not known to be durable, the generation's own at the end; for the first ranks, which
        /// keep them.
        tail: Tail,
        /// How many ranks these are.
        keepers: usize,
    },
    /// Tell the members to drop what they have of the current step. Nothing of it was applied anywhere.
    Abort {
        /// The generation that is over.
        generation: u64,
        /// Who must be told.
        members: Vec<WorkerId>,
        /// Why.
        reason: String,
    },
    /// Tell the members to apply the step. All of them hold the same reduced gradient.
    Commit {
        /// The generation.
        generation: u64,
        /// The step, counted from 0.
        step: u64,
        /// Who must be told.
        members: Vec<WorkerId>,
        /// What they do then.
        next: Next,
        /// How micro-batches are dealt from the next step on, if otherwise than before.
        deal: Option<Deal>,
        /// The records since the members were last told of any, the step's own at the end; for the first ranks.
        tail: Tail,
        /// How many ranks these are.
        keepers: usize,
        /// How many records are durable, from the run's first on.
        recorded: u64,
    },
    /// Append to the run's durable record.
    Record(Record),
    /// Tell the members to store their parts of the weights after `step` updates. All of them hold these weights.
    Checkpoint {
        /// Updates applied.
        step: u64,
        /// The members, in the order of the parts.
        members: Vec<WorkerId>,
    },
    /// All parts are stored: make them a checkpoint.
    CommitCheckpoint {
        /// Updates applied.
        step: u64,
        /// The parts in order.
        parts: Vec<PartReport>,
        /// The hash chain of the ledger at that step.
        ledger_head: String,
        /// The loss of the last step.
        loss: Option<f64>,
    },
    /// Look for the newest checkpoint that is whole, byte by byte: what was taken for it is not. Answered by
    /// [`crate::Event::CheckpointFound`].
    LookBack,
    /// The worker is no longer needed; it goes without error.
    Dismiss {
        /// Who.
        worker: WorkerId,
        /// Why.
        reason: String,
    },
    /// Something a person should know.
    Notice(String),
    /// The run is over.
    Done(Ending),
}
