//! The durable record of a run and its hash chain. Knows nothing of where it is kept.

use serde::{Deserialize, Deserializer, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::{Poisoned, WorkerId};

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
        /// The members by rank.
        members: Vec<WorkerId>,
        /// How micro-batches are dealt to them: see [`plan::Deal`]. Empty if all get the same.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weights: Vec<u32>,
        /// What their results depend on in the last bits; empty if it is what it was before.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        platform: String,
        /// Why.
        reason: String,
    },
    /// From a step on, micro-batches are dealt to the members of the open generation by other weights.
    Dealt {
        /// The generation.
        generation: u64,
        /// The first step that is dealt so.
        step: u64,
        /// The weights by rank.
        weights: Vec<u32>,
    },
    /// Steps that are not computed: their samples count as used, and change nothing.
    LeftOut {
        /// The first.
        first: u64,
        /// The step behind the last.
        end: u64,
        /// Why.
        reason: String,
    },
    /// Members contradicted each other; the step was not committed then.
    Doubted {
        /// The generation.
        generation: u64,
        /// The step.
        step: u64,
        /// Which members.
        members: Vec<WorkerId>,
        /// It is about their weights: those of this generation and all before are not used any more.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        weights: bool,
        /// In what.
        reason: String,
    },
    /// The run goes on from other weights than those of the last committed step: what was committed since is undone.
    Resumed {
        /// Updates applied to them.
        step: u64,
        /// If they come from a checkpoint, the head of the ledger that it names; empty if a worker holds them. The
        /// checkpoint may be one that the run had gone back before, if nobody knew that it was stored; then it leads
        /// on, not back.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        checkpoint: String,
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
        /// Mean loss over all targets. What is no number is stored as null.
        #[serde(deserialize_with = "number_or_null")]
        loss: f64,
        /// Masked positions.
        targets: u64,
        /// L2 norm of the gradient.
        #[serde(deserialize_with = "number_or_null")]
        grad_norm: f64,
        /// Hash of the reduced gradient.
        digest: String,
        /// The gradient could not be used, or the step is left out; the weights are unchanged.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        skipped: bool,
        /// The micro-batches that it could not be used for, as far as is known.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        poisoned: Vec<Poisoned>,
    },
    /// A person wants the run to stand still: also if its coordinator is another one by now.
    Paused {
        /// Why.
        reason: String,
    },
    /// It goes on.
    Unpaused {},
    /// A checkpoint became visible.
    Checkpointed {
        /// Updates applied.
        step: u64,
    },
}

impl Record {
    /// Updates that a run's record accounts for after this one, if it accounted for `before` up to it.
    pub fn steps_after(&self, before: u64) -> u64 {
        match self {
            Record::Opened { step, .. } | Record::Resumed { step, .. } => *step,
            Record::Committed { step, .. } => step + 1,
            Record::Checkpointed { .. }
            | Record::Paused { .. }
            | Record::Unpaused {}
            | Record::Dealt { .. }
            | Record::LeftOut { .. }
            | Record::Doubted { .. } => before,
        }
    }

    /// Why a run stands still after this record, if it does, and if it did for the reason `before` up to it.
    pub(crate) fn paused_after(&self, before: Option<String>) -> Option<String> {
        match self {
            Record::Paused { reason } => Some(reason.clone()),
            Record::Unpaused {} => None,
            _ => before,
        }
    }

    /// The record that a line of JSON holds.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn from_line(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| error.to_string())
    }

    /// The record as a line of JSON, without the line's end.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("a record is made of strings and finite numbers")
    }
}

fn number_or_null<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

fn is_first(phase: &usize) -> bool {
    *phase == 0
}

/// The last records of a run, as somebody knows them: a coordinator, or a worker that was told of them. Whatever is not
/// durable yet is known to every member, so that it is lost only together with the weights that it led to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tail {
    /// The term of the coordinator that told of the last of them.
    pub term: u64,
    /// The place of the first of them in the run's record, counted from 0.
    pub first: u64,
    /// The records in order.
    pub records: Vec<Record>,
}

impl Tail {
    /// The place behind the last record.
    pub fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// Forgets records that are durable: those before place `recorded`.
    pub fn forget_before(&mut self, recorded: u64) {
        let known = usize::try_from(recorded.saturating_sub(self.first)).unwrap_or(usize::MAX);
        drop(self.records.drain(..known.min(self.records.len())));
        self.first = self.first.max(recorded);
    }

    /// What it knows from place `from` on; none if it begins later or ends before.
    pub fn since(&self, from: u64) -> Option<&[Record]> {
        let skipped = usize::try_from(from.checked_sub(self.first)?).ok()?;
        self.records.get(skipped..)
    }

    /// Learns what a coordinator of `term` tells: its records replace those that stand at the same places.
    pub fn learn(&mut self, news: &Tail) {
        match usize::try_from(news.first.wrapping_sub(self.first)) {
            Ok(kept) if news.first >= self.first && kept <= self.records.len() => {
                self.records.truncate(kept);
                self.records.extend_from_slice(&news.records);
            }
            // What lies between is unknown.
            _ => (self.first, self.records) = (news.first, news.records.clone()),
        }
        self.term = news.term;
    }
}

/// The hash chain over all records of a run: whoever holds its head can tell whether a line was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Chain(u128);

impl From<Chain> for String {
    fn from(chain: Chain) -> Self {
        chain.head()
    }
}

impl TryFrom<String> for Chain {
    type Error = String;

    fn try_from(head: String) -> Result<Self, String> {
        Chain::at(&head).ok_or_else(|| format!("`{head}` is no head of a chain"))
    }
}

impl Default for Chain {
    fn default() -> Self {
        Chain::new()
    }
}

impl Chain {
    /// The chain of a run that has no records yet.
    pub fn new() -> Self {
        Chain(xxh3_128(b""))
    }

    /// Appends a record and returns it as a line of JSON (without the line's end).
    pub fn append(&mut self, record: &Record) -> String {
        let line = record.line();
        self.append_line(&line);
        line
    }

    /// Appends a record that is a line of JSON already.
    pub fn append_line(&mut self, line: &str) {
        let mut bytes = self.0.to_le_bytes().to_vec();
        bytes.extend_from_slice(line.as_bytes());
        self.0 = xxh3_128(&bytes);
    }

    /// The chain with that head, if it is one.
    pub fn at(head: &str) -> Option<Self> {
        u128::from_str_radix(head, 16).ok().map(Chain)
    }

    /// The head of the chain.
    pub fn head(&self) -> String {
        format!("{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(term: u64, places: std::ops::Range<u64>) -> Tail {
        let records = places.clone().map(|place| Record::Checkpointed { step: 100 * term + place }).collect();
        Tail { term, first: places.start, records }
    }

    #[test]
    fn a_tail_learns_what_follows_and_what_is_decided_anew() {
        let mut known = tail(1, 3..7);
        known.learn(&tail(1, 7..9));
        assert_eq!(known, tail(1, 3..9));
        known.forget_before(5);
        assert_eq!(known, tail(1, 5..9));
        // Another coordinator did not know of places 7 and 8, and has decided otherwise.
        known.learn(&tail(2, 7..8));
        assert_eq!((known.term, known.first, known.end()), (2, 5, 8));
        assert_eq!(known.since(7), Some(&tail(2, 7..8).records[..]));
        assert_eq!((known.since(4), known.since(9)), (None, None));
        assert_eq!(known.since(8), Some(&[][..]));
        // A gap: what came before is of no use.
        known.learn(&tail(2, 11..12));
        assert_eq!(known, tail(2, 11..12));
        // What is older than all that is known replaces it.
        known.learn(&tail(3, 4..6));
        assert_eq!(known, tail(3, 4..6));
        known.forget_before(9);
        assert_eq!((known.first, known.end()), (9, 9));
    }

    #[test]
    fn a_line_comes_back_as_it_was() {
        for loss in [0.1 + 0.2, 1e-39, f64::NAN, f64::INFINITY, 10.0 / 3.0] {
            let record = Record::Committed {
                generation: 1,
                step: 2,
                phase: 0,
                first_micro_batch: 3,
                micro_batches: 4,
                loss,
                targets: 5,
                grad_norm: 1.0 / 3.0,
                digest: "d".into(),
                skipped: !loss.is_finite(),
                poisoned: vec![Poisoned { micro_batch: 1, samples: "3:14".into() }],
            };
            let line = record.line();
            assert_eq!(Record::from_line(&line).unwrap().line(), line);
        }
        assert!(Record::from_line("{\"kind\":\"committed\"}").is_err());
    }

    #[test]
    fn the_head_depends_on_every_record_and_their_order() {
        let record = |step| Record::Checkpointed { step };
        let head = |steps: &[u64]| {
            let mut chain = Chain::new();
            steps.iter().for_each(|&step| drop(chain.append(&record(step))));
            chain.head()
        };
        assert_eq!(head(&[1, 2]), head(&[1, 2]));
        assert_ne!(head(&[1, 2]), head(&[2, 1]));
        assert_ne!(head(&[1, 2]), head(&[1, 2, 3]));
    }
}
