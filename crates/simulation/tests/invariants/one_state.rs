//! After so many updates everybody holds the same weights, in whatever generation and term, and they are those of an
//! undisturbed run.

use std::ops::Range;

use ledger::Settings;
use simulation::{Observer, Seen, reference};

pub struct OneState {
    expected: Vec<u64>,
    left_out: Range<u64>,
}

impl OneState {
    pub fn new(settings: &Settings, left_out: &Range<u64>) -> Self {
        let expected = (0..=settings.steps).map(|step| reference(&settings.batches, step, left_out));
        OneState { expected: expected.collect(), left_out: left_out.clone() }
    }
}

impl Observer for OneState {
    fn see(&mut self, _: u64, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Applied { worker, step, state } = *seen else { return Ok(()) };
        // Until its loss jumped nobody knew that the step would be left out.
        if self.left_out.contains(&(step - 1)) {
            return Ok(());
        }
        match self.expected.get(step as usize) {
            Some(&expected) if expected == state => Ok(()),
            expected => {
                Err(format!("{worker} holds {state:x} after {step} updates; undisturbed: {expected:x?}"))
            }
        }
    }
}
