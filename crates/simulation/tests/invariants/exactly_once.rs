//! The durable record tells of every step once: what was undone is undone by name, nothing is missing, nothing is there
//! twice, and the samples of the steps follow on each other.

use ledger::{Body, Chain, Finding, Record, Segment, audit};
use simulation::{Observer, Seen};

/// Records become durable in the order of terms.
#[derive(Default)]
pub struct Appending {
    term: u64,
}

impl Observer for Appending {
    fn see(&mut self, _: u64, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Appended { term, .. } = *seen else { return Ok(()) };
        if term < self.term {
            return Err(format!("records of term {term} follow on those of term {}", self.term));
        }
        self.term = term;
        Ok(())
    }
}

/// Reads a whole run's records again, as `cloze verify` does.
pub fn replay<'a>(
    records: impl Iterator<Item = &'a Record>,
    checkpoints: impl Iterator<Item = (u64, &'a str)>,
    steps: u64,
    batches: &plan::Batches,
) -> Result<(), String> {
    let checkpoints: Vec<_> = checkpoints.map(|(step, head)| (step, head.to_owned())).collect();
    let text = records.map(|record| format!("{}\n", record.line())).collect();
    let body = Body { term: u64::MAX, chain: Chain::new().head(), summary: None, text };
    let audited = audit(batches.clone(), &checkpoints, &[Segment { number: 0, body: Ok(body) }]);
    match audited.findings.first() {
        Some(Finding { place, what }) => Err(format!("{place}: {what}")),
        None if audited.steps != steps => Err(format!("{} steps of {steps} are recorded", audited.steps)),
        None => Ok(()),
    }
}
