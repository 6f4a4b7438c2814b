//! What a coordinator tells people of a run, and the same as JSON. Decides nothing.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use ledger::StepReport;
use serde_json::{Value, json};

/// Something worth showing to a person.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// A step was committed.
    Step {
        /// Committed steps, this one included.
        step: u64,
        /// What it found.
        report: StepReport,
        /// Its learning rate.
        learning_rate: f64,
        /// Over the last steps.
        tokens_per_second: f64,
        /// Members that computed it.
        members: usize,
    },
    /// A generation was opened.
    Opened {
        /// Its number.
        generation: u64,
        /// Its members.
        members: usize,
        /// The next step.
        step: u64,
        /// Why.
        reason: String,
    },
    /// A checkpoint is stored.
    Checkpointed {
        /// Updates applied.
        step: u64,
    },
    /// A sentence.
    Notice(String),
}

impl Update {
    /// What `cloze train --json` prints of it. What is no number is `null`.
    pub fn json(&self) -> Value {
        match self {
            Update::Step { step, report, learning_rate, tokens_per_second, members } => json!({
                "kind": "step", "step": step, "loss": report.loss, "targets": report.targets,
                "tokens": report.tokens, "grad_norm": report.grad_norm, "digest": report.digest,
                "learning_rate": learning_rate, "tokens_per_second": tokens_per_second, "workers": members,
                "waits": { "data_ms": report.waits.data_ms, "checkpoint_ms": report.waits.checkpoint_ms },
                "measures": report.measures.iter().cloned().collect::<BTreeMap<_, _>>(),
            }),
            Update::Opened { generation, members, step, reason } => json!({
                "kind": "opened", "generation": generation, "workers": members, "step": step, "reason": reason,
            }),
            Update::Checkpointed { step } => json!({"kind": "checkpointed", "step": step}),
            Update::Notice(text) => json!({"kind": "notice", "text": text}),
        }
    }

    /// The same in a line of a file, with the time in seconds since 1970.
    pub(crate) fn line(&self, now: SystemTime) -> String {
        let mut json = self.json();
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        json["time"] = ((seconds * 1e3).round() / 1e3).into();
        json.to_string()
    }
}
