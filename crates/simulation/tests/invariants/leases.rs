//! Leases are disjoint and whole: whatever is added up for a step holds each of its micro-batches once.

use ledger::Settings;
use simulation::{Observer, Seen};

pub struct Leases {
    batches: plan::Batches,
}

impl Leases {
    pub fn new(settings: &Settings) -> Self {
        Leases { batches: settings.batches.clone() }
    }
}

impl Observer for Leases {
    fn see(&mut self, _: u64, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Reduced { generation, step, shares } = seen else { return Ok(()) };
        let mut added: Vec<u64> = shares.iter().flat_map(|(_, share)| share).copied().collect();
        added.sort_unstable();
        let expected: Vec<u64> = (0..self.batches.of(*step).count).collect();
        match added == expected {
            true => Ok(()),
            false => Err(format!("step {step} of generation {generation:?} is the sum of {shares:?}")),
        }
    }
}
