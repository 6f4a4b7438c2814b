//! Which checkpoints stay, and which are deleted. Knows nothing of storage.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckpointEntry, CheckpointState};

/// What of a run's checkpoints stays. The newest whole one always does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retention {
    /// So many of the newest.
    pub last: u32,
    /// Those of every so many steps; 0 for none.
    pub every: u64,
    /// So many of the best, by `best_by`.
    pub best: u32,
    /// The measure of the evaluation: the lowest is the best, or of an accuracy, a precision or a recall the highest.
    pub best_by: String,
    /// The one of this step.
    pub keep: Option<u64>,
}

impl Retention {
    /// The measure that tells the best if nothing else is said: every family predicts masked tokens.
    const BEST_BY: &str = "mlm";
}

impl From<&plan::Checkpointing> for Retention {
    fn from(said: &plan::Checkpointing) -> Self {
        Retention {
            last: said.keep,
            every: said.keep_every,
            best: said.keep_best,
            best_by: said.best_by.clone().unwrap_or_else(|| Retention::BEST_BY.to_owned()),
            keep: None,
        }
    }
}

impl Retention {
    /// The steps whose checkpoints, or what is left of them, are to be deleted. `measures` are those of [`best_by`](
    /// Self::best_by), by step.
    pub(super) fn doomed(&self, entries: &[CheckpointEntry], measures: &BTreeMap<u64, f64>) -> Vec<u64> {
        let is_whole = |entry: &&CheckpointEntry| matches!(entry.state, CheckpointState::Whole(_));
        let whole: Vec<u64> = entries.iter().filter(is_whole).map(|entry| entry.step).collect();
        let Some(&newest) = whole.last() else { return Vec::new() };
        let newer = |step| whole.iter().filter(|&&other| other > step).count();
        let is_new = |step| newer(step) < self.last.max(1) as usize;
        let best = self.best_of(&whole, measures);
        let stays = |entry: &CheckpointEntry| {
            let step = entry.step;
            if self.keep == Some(step) {
                return true;
            }
            match entry.state {
                CheckpointState::Whole(_) => {
                    let milestone = self.every > 0 && step.is_multiple_of(self.every);
                    is_new(step) || milestone || best.contains(&step)
                }
                // The newest damaged ones stay for whoever wants to know what happened.
                CheckpointState::Damaged(_) | CheckpointState::SetAside => is_new(step),
                CheckpointState::Unfinished => step >= newest,
            }
        };
        entries.iter().filter(|entry| !stays(entry)).map(|entry| entry.step).collect()
    }

    fn best_of(&self, whole: &[u64], measures: &BTreeMap<u64, f64>) -> BTreeSet<u64> {
        let mut measured: Vec<(f64, u64)> = whole
            .iter()
            .filter_map(|step| {
                let value = *measures.get(step)?;
                let is_share =
                    ["accuracy", "precision", "recall"].iter().any(|share| self.best_by.ends_with(share));
                let cost = if is_share { -value } else { value };
                // What is no number is no best.
                (!cost.is_nan()).then_some((cost, *step))
            })
            .collect();
        // Of equals, the newer.
        measured.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        measured.into_iter().take(self.best as usize).map(|(_, step)| step).collect()
    }
}
