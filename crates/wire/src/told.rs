//! What a worker keeps of the run's record until it is durable. Knows only that records follow on each other.

use ledger::Tail;

use crate::convert::{tail_from, tail_of};
use crate::{Malformed, v1};

/// The records that a worker was told of and does not know to be durable.
#[derive(Clone, Debug, Default)]
pub struct Told(Tail);

impl Told {
    /// Learns what `Open` and `Commit` bring, if they bring anything.
    ///
    /// # Errors
    /// If something in it is no record.
    pub fn learn(&mut self, tail: Option<v1::Tail>) -> Result<(), Malformed> {
        if let Some(tail) = tail {
            self.0.learn(&tail_from(tail)?);
        }
        Ok(())
    }

    /// The first `recorded` records of the run are durable.
    pub fn forget_before(&mut self, recorded: u64) {
        self.0.forget_before(recorded);
    }

    /// All of it, for a coordinator that comes back.
    pub fn tail(&self) -> v1::Tail {
        tail_of(&self.0)
    }
}
