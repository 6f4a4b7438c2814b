//! What can be seen of a history, for those who judge it.

use ledger::{Command, Event, Record, WorkerId};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Seen<'a> {
    /// A coordinator has begun its term.
    Term {
        /// The term.
        term: u64,
        /// Updates applied in the newest checkpoint.
        durable: u64,
    },
    /// The ledger of a term hears of an event.
    Event {
        /// The term.
        term: u64,
        /// The event.
        event: &'a Event,
    },
    /// The ledger of a term has decided.
    Command {
        /// The term.
        term: u64,
        /// The command.
        command: &'a Command,
    },
    /// All members of a generation have added their shares of a step.
    Reduced {
        /// Term and generation.
        generation: (u64, u64),
        /// The step, counted from 0.
        step: u64,
        /// Who added which micro-batches of the step.
        shares: &'a [(WorkerId, Vec<u64>)],
    },
    /// A worker has applied an update.
    Applied {
        /// Who.
        worker: WorkerId,
        /// Updates applied, this one included.
        step: u64,
        /// Hash of its weights.
        state: u64,
    },
    /// Records have become durable.
    Appended {
        /// The term.
        term: u64,
        /// The records.
        records: &'a [Record],
    },
    /// A checkpoint can be seen.
    Checkpoint {
        /// Updates applied.
        step: u64,
        /// Hashes of the weights that its parts are from.
        parts: &'a [u64],
    },
    /// A checkpoint turned out to be damaged and is there no more.
    Damaged {
        /// Updates applied in it.
        step: u64,
        /// Updates applied in the one before it, if there is one.
        durable: u64,
    },
    /// A process has ended against its will.
    Killed {
        /// The worker; none for the coordinator.
        worker: Option<WorkerId>,
    },
}

impl Seen<'_> {
    /// The term of the coordinator in which it happened, if it did in one.
    pub fn term(&self) -> Option<u64> {
        match *self {
            Seen::Term { term, .. }
            | Seen::Event { term, .. }
            | Seen::Command { term, .. }
            | Seen::Appended { term, .. } => Some(term),
            _ => None,
        }
    }
}

/// Someone who looks at everything and may object.
pub trait Observer {
    /// Sees what happened at `now`.
    ///
    /// # Errors
    /// What is wrong with it.
    fn see(&mut self, now: u64, seen: &Seen<'_>) -> Result<(), String>;
}

/// Who objects to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Observer for Nobody {
    fn see(&mut self, _: u64, _: &Seen<'_>) -> Result<(), String> {
        Ok(())
    }
}
