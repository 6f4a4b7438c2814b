//! What can happen to a run, as the ledger hears of it.

use serde::{Deserialize, Serialize};

use crate::Tail;

/// A worker process, for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(pub u64);

impl std::fmt::Display for WorkerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0 >> 32)
    }
}

/// A generation, among all that any coordinator of the run ever opened: in the order in which they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Opening {
    /// The coordinator's term.
    pub term: u64,
    /// The generation's number.
    pub generation: u64,
}

/// What a worker says of itself when it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Host and process, for people.
    pub name: String,
    /// The address under which the other workers reach it.
    pub address: String,
    /// Processor features and library versions: members must agree, or their bits would not.
    pub platform: String,
}

/// What a member found when it had reduced a step's gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// The loss of the step.
    pub loss: f64,
    /// Targets (masked positions) in the step.
    pub targets: u64,
    /// Tokens without padding in the step.
    pub tokens: u64,
    /// L2 norm of the gradient, before clipping.
    pub grad_norm: f64,
    /// Hash of the reduced gradient: all members must report the same.
    pub digest: String,
    /// The gradient was out of range or not finite: the update is skipped.
    pub overflowed: bool,
    /// Further numbers by name, for people: the ledger does not look at them.
    pub measures: Vec<(String, f64)>,
    /// What held members up; known when all have voted.
    pub waits: Waits,
}

/// What held the members of a step up, in milliseconds: of each kind, the longest. Says nothing about the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Waits {
    /// Data were not there yet.
    pub data_ms: f64,
    /// A checkpoint began, or the state was copied for it before it changed.
    pub checkpoint_ms: f64,
}

/// What a member says of its own part of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// Micro-batches that it computed.
    pub micro_batches: u64,
    /// What they took, their data included, in milliseconds.
    pub compute_ms: f64,
    /// Of these, what it waited for data.
    pub data_ms: f64,
    /// What a checkpoint held it up since the step before, in milliseconds.
    pub checkpoint_ms: f64,
    /// What the all-reduce took, waiting for others included, in milliseconds.
    pub reduce_ms: f64,
    /// Micro-batches whose gradients cannot be used.
    pub poisoned: Vec<Poisoned>,
    /// Hashes of the gradients of micro-batches that a second member computes too, by their number in the step.
    pub recomputed: Vec<(u64, String)>,
    /// Hash of its state before the step, if it is time to compare.
    pub state_digest: Option<String>,
}

/// A micro-batch whose gradient is not finite or out of range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poisoned {
    /// Its number in the step.
    pub micro_batch: u64,
    /// Its samples, as the dataset names them: `block:index`.
    pub samples: String,
}

/// What a worker is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    /// It waits for the coordinator, or for data, which have limits of their own.
    #[default]
    Waiting,
    /// It computes.
    Computing,
    /// It waits for the other members.
    Collective,
    /// It connects to the others, before anything else.
    Connecting,
}

/// How far a worker has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Grows with everything that it finishes.
    pub done: u64,
    /// What it is at.
    pub doing: Doing,
}

/// One member's part of a checkpoint, safely stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartReport {
    /// Name of the object.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its checksum.
    pub checksum: String,
    /// The tensors in it.
    pub tensors: Vec<String>,
    /// Hash of the member's whole state: all members must report the same.
    pub state_digest: String,
}

/// An event; [`crate::Ledger::handle`] answers it with commands.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A worker has connected.
    Hello {
        /// Who.
        worker: WorkerId,
        /// What it says of itself.
        info: WorkerInfo,
    },
    /// A worker has loaded everything and could become a member; or a generation is over for it, and it says what that has
    /// left it with.
    Prepared {
        /// Who.
        worker: WorkerId,
        /// Updates applied to the weights that it holds; `None` if it holds none.
        applied: Option<u64>,
        /// The last generation that it began with them, or computed them in.
        since: Opening,
        /// The last generation that it had taken up in this session when it said so; 0 if none.
        entered: u64,
        /// What it was told of the run's record and does not know to be durable.
        tail: Tail,
    },
    /// A worker lives.
    Heartbeat {
        /// Who.
        worker: WorkerId,
        /// How far it has come.
        progress: Progress,
    },
    /// A worker's connection is gone.
    Lost {
        /// Who.
        worker: WorkerId,
        /// What the connection said.
        reason: String,
    },
    /// A worker wants to go after the current step.
    Leave {
        /// Who.
        worker: WorkerId,
    },
    /// A member has reduced a step's gradient and waits for the decision.
    Ready {
        /// Who.
        worker: WorkerId,
        /// In which generation.
        generation: u64,
        /// The step, counted from 0.
        step: u64,
        /// What all members together found.
        report: StepReport,
        /// Its own part.
        share: Share,
    },
    /// A member could not go on in this generation: a peer did not answer.
    Failed {
        /// Who.
        worker: WorkerId,
        /// In which generation.
        generation: u64,
        /// What it saw.
        reason: String,
        /// It was its own fault, as far as it knows, and not that of a connection.
        own: bool,
    },
    /// A member should restore the checkpoint that a generation begins with, and it is not there or not as it was written.
    RestoreFailed {
        /// Who.
        worker: WorkerId,
        /// In which generation.
        generation: u64,
        /// What is wrong with the checkpoint.
        reason: String,
    },
    /// A member's part of a checkpoint is stored.
    PartStored {
        /// Who.
        worker: WorkerId,
        /// Updates applied to the weights in it.
        step: u64,
        /// Parts in that attempt.
        of: u32,
        /// This part's number.
        index: u32,
        /// What was stored.
        part: PartReport,
    },
    /// A member could not store its part.
    PartFailed {
        /// Who.
        worker: WorkerId,
        /// Updates applied to the weights.
        step: u64,
        /// Why.
        reason: String,
    },
    /// Records are durable.
    Recorded {
        /// How many, from the run's first on.
        records: u64,
    },
    /// The newest whole checkpoint is known, at the beginning of a term or after [`crate::Command::LookBack`]: every byte of
    /// it was read.
    CheckpointFound {
        /// Updates applied to the weights in it; 0 if there is none.
        step: u64,
        /// The head of the ledger that it names; empty if there is none.
        head: String,
        /// What is wrong with newer ones, which were passed over.
        skipped: Vec<String>,
    },
    /// The manifest of a checkpoint is stored: the checkpoint exists.
    CheckpointStored {
        /// Updates applied to the weights in it.
        step: u64,
    },
    /// The manifest of a checkpoint could not be stored.
    CheckpointFailed {
        /// Updates applied to the weights.
        step: u64,
        /// Why.
        reason: String,
    },
    /// The run cannot go on: nobody is left to compute, or its record is broken.
    GiveUp {
        /// Why, and what to do.
        reason: String,
    },
    /// Another coordinator has taken a higher term.
    TakenOver {
        /// How it showed.
        reason: String,
    },
    /// A person wants the run to stand still after the current step, with a checkpoint.
    Pause {
        /// Who wants it, for the log.
        reason: String,
    },
    /// A person wants a run that stands still to go on.
    Unpause,
    /// A person wants the run to end after the current step, with a checkpoint.
    Stop {
        /// Who wants it, for the log.
        reason: String,
    },
    /// Time has passed.
    Tick,
}

impl Event {
    /// The worker that sent the event, if one did.
    pub fn worker(&self) -> Option<WorkerId> {
        match self {
            Event::Hello { worker, .. }
            | Event::Prepared { worker, .. }
            | Event::Heartbeat { worker, .. }
            | Event::Lost { worker, .. }
            | Event::Leave { worker }
            | Event::Ready { worker, .. }
            | Event::Failed { worker, .. }
            | Event::RestoreFailed { worker, .. }
            | Event::PartStored { worker, .. }
            | Event::PartFailed { worker, .. } => Some(*worker),
            Event::Recorded { .. }
            | Event::CheckpointFound { .. }
            | Event::CheckpointStored { .. }
            | Event::CheckpointFailed { .. }
            | Event::GiveUp { .. }
            | Event::TakenOver { .. }
            | Event::Pause { .. }
            | Event::Unpause
            | Event::Stop { .. }
            | Event::Tick => None,
        }
    }
}
