//! What a run's records come to: what a coordinator has to know of them to go on. Knows nothing of where they are kept.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::guards::Losses;
use crate::{Chain, Opening, Record, WorkerId};

/// What a run's stored records come to. Stored beside them now and then, as JSON, it saves a coordinator from reading all
/// of them before it can go on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// The term in which the last of them was stored.
    pub term: u64,
    /// How many there are.
    pub records: u64,
    /// Updates that they account for.
    pub steps: u64,
    /// The most updates that they ever accounted for: no checkpoint is newer.
    pub(crate) furthest: u64,
    /// The highest number of a generation in them.
    pub generations: u64,
    /// The chain over them.
    pub chain: Chain,
    /// Steps that are left out: the first of each range, and the step behind it.
    pub left_out: Vec<(u64, u64)>,
    /// Weights that are not to be used: those of generations up to the first one, after more updates than the number.
    pub(crate) rejected: Vec<(Opening, u64)>,
    /// The last generation, and who was in it.
    pub(crate) last: Opening,
    pub(crate) last_members: Vec<WorkerId>,
    /// What results depend on in the last bits, as its members said.
    pub(crate) platform: String,
    /// Why it stands still, if a person wants it to.
    pub(crate) paused: Option<String>,
    /// The losses of the last steps.
    pub(crate) losses: Losses,
}

impl Stored {
    /// The way in which records are summed up: another one comes to something else.
    const VERSION: u64 = 3;

    /// As it is stored beside the records.
    pub fn summary(&self) -> Value {
        json!({ "version": Self::VERSION, "stored": self })
    }

    /// What a summary says; none if it is one of another version.
    pub fn of_summary(summary: &Value) -> Option<Self> {
        let version = summary.get("version")?.as_u64()?;
        (version == Self::VERSION).then(|| Stored::deserialize(summary.get("stored")?).ok())?
    }

    /// Takes in the next record, which was stored in `term`.
    pub fn append(&mut self, term: u64, record: &Record) {
        self.append_line(term, record, &record.line());
    }

    /// The same with the line that it was read from.
    pub fn append_line(&mut self, term: u64, record: &Record, line: &str) {
        self.term = term;
        self.records += 1;
        self.steps = record.steps_after(self.steps);
        self.furthest = self.furthest.max(self.steps);
        self.rejected.extend(rejected_by(self.last, record));
        self.paused = record.paused_after(self.paused.take());
        match record {
            Record::Opened { term, generation, members, platform, .. } => {
                self.last_members.clone_from(members);
                if !platform.is_empty() {
                    self.platform.clone_from(platform);
                }
                self.generations = self.generations.max(*generation);
                self.last = Opening { term: *term, generation: *generation };
            }
            Record::LeftOut { first, end, .. } => {
                self.left_out.push((*first, *end));
                self.losses.leave_out();
            }
            Record::Committed { step, phase, loss, .. } => self.losses.take(*step, *phase, *loss),
            _ => {}
        }
        self.chain.append_line(line);
    }

    /// Whether nobody computes this step.
    pub(crate) fn is_left_out(&self, step: u64) -> bool {
        self.left_out.iter().any(|&(first, end)| (first..end).contains(&step))
    }
}

/// The weights that are not used any more after a record, if the last generation before it is that: see
/// [`Stored::rejected`].
pub(super) fn rejected_by(last: Opening, record: &Record) -> Option<(Opening, u64)> {
    match record {
        Record::LeftOut { first, .. } => Some((last, *first)),
        Record::Doubted { weights: true, .. } => Some((last, 0)),
        _ => None,
    }
}
