//! What must hold of every history, each property by itself.

pub mod checkpoints;
pub mod exactly_once;
pub mod generations;
pub mod kept;
pub mod leases;
pub mod one_state;
pub mod terms;
pub mod unstored;
pub mod votes;

use std::ops::Range;

use ledger::Settings;
use simulation::{Observer, Seen};

/// All of them.
pub struct Judge(Vec<Box<dyn Observer>>);

impl Judge {
    /// Steps of `left_out` are not to be computed in the end.
    pub fn new(settings: &Settings, left_out: &Range<u64>) -> Self {
        Judge(vec![
            Box::new(terms::Terms::default()),
            Box::new(generations::Generations::new(settings)),
            Box::new(kept::Kept::default()),
            Box::new(leases::Leases::new(settings)),
            Box::new(votes::Votes::default()),
            Box::new(one_state::OneState::new(settings, left_out)),
            Box::new(checkpoints::Checkpoints::new(settings, left_out)),
            Box::new(exactly_once::Appending::default()),
            Box::new(unstored::Unstored::new(settings)),
        ])
    }
}

impl Observer for Judge {
    fn see(&mut self, now: u64, seen: &Seen<'_>) -> Result<(), String> {
        self.0.iter_mut().try_for_each(|judge| judge.see(now, seen))
    }
}
