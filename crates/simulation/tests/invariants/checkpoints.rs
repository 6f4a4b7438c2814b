//! What can be seen of a checkpoint is whole: all parts are there, and all are from the weights of its step.

use std::ops::Range;

use ledger::Settings;
use simulation::{Observer, Seen, reference};

pub struct Checkpoints {
    batches: plan::Batches,
    left_out: Range<u64>,
}

impl Checkpoints {
    pub fn new(settings: &Settings, left_out: &Range<u64>) -> Self {
        Checkpoints { batches: settings.batches.clone(), left_out: left_out.clone() }
    }
}

impl Observer for Checkpoints {
    fn see(&mut self, _: u64, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Checkpoint { step, parts } = seen else { return Ok(()) };
        let expected = reference(&self.batches, *step, &self.left_out);
        match !parts.is_empty() && parts.iter().all(|&part| part == expected) {
            true => Ok(()),
            false => {
                Err(format!("the checkpoint of step {step} has parts of {parts:x?}, not of {expected:x}"))
            }
        }
    }
}
