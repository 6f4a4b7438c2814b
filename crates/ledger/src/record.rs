//! The durable record of a run and its hash chain. Knows nothing of where it is kept.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::WorkerId;

/// One line of the run's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    /// A generation was opened at a step. If that step is below the one before, the steps between are undone.
    Opened {
        /// The coordinator's term.
        term: u64,
        /// The generation.
        generation: u64,
        /// The next step.
        step: u64,
        /// The members by rank: lane `l` belongs to rank `l mod members`.
        members: Vec<WorkerId>,
        /// Why.
        reason: String,
    },
    /// A step was committed: its samples are used, its update is applied.
    Committed {
        /// The generation.
        generation: u64,
        /// The step, counted from 0.
        step: u64,
        /// The phase of the plan.
        #[serde(default, skip_serializing_if = "is_first")]
        phase: usize,
        /// The first micro-batch of the step, counted over the phase.
        first_micro_batch: u64,
        /// Micro-batches in the step.
        micro_batches: u64,
        /// Mean loss over all targets.
        loss: f64,
        /// Masked positions.
        targets: u64,
        /// L2 norm of the gradient.
        grad_norm: f64,
        /// Hash of the reduced gradient.
        digest: String,
        /// The gradient could not be used; the weights are unchanged.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        skipped: bool,
    },
    /// A checkpoint became visible.
    Checkpointed {
        /// Updates applied.
        step: u64,
    },
}

fn is_first(phase: &usize) -> bool {
    *phase == 0
}

/// The hash chain over all records of a term: whoever holds its head can tell whether a line was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain(u128);

impl Chain {
    /// A chain that follows on `head`, the head that the newest checkpoint names (empty for a new run).
    pub fn after(head: &str) -> Self {
        Chain(xxh3_128(head.as_bytes()))
    }

    /// Appends one record and returns it as a line of JSON (without the line's end).
    pub fn append(&mut self, record: &Record) -> String {
        let line = serde_json::to_string(record).expect("a record is made of strings and finite numbers");
        let mut bytes = self.0.to_le_bytes().to_vec();
        bytes.extend_from_slice(line.as_bytes());
        self.0 = xxh3_128(&bytes);
        line
    }

    /// The head of the chain.
    pub fn head(&self) -> String {
        format!("{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_depends_on_every_record_and_their_order() {
        let record = |step| Record::Checkpointed { step };
        let head = |steps: &[u64]| {
            let mut chain = Chain::after("");
            steps.iter().for_each(|&step| drop(chain.append(&record(step))));
            chain.head()
        };
        assert_eq!(head(&[1, 2]), head(&[1, 2]));
        assert_ne!(head(&[1, 2]), head(&[2, 1]));
        assert_ne!(head(&[1, 2]), head(&[1, 2, 3]));
    }
}
