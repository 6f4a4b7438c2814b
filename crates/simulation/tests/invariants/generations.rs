//! Within a term, the numbers of generations only grow, one is open at a time, and nobody is in it twice.

use ledger::Command;
use simulation::{Observer, Seen};

#[derive(Default)]
pub struct Generations {
    last: u64,
    open: Option<u64>,
}

impl Observer for Generations {
    fn see(&mut self, _: u64, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Term { .. } => *self = Generations::default(),
            Seen::Command { command: Command::Open { generation, .. }, .. } => {
                if let Some(open) = self.open {
                    return Err(format!("generation {} is opened while {open} is open", generation.number));
                }
                if generation.number <= self.last {
                    return Err(format!("generation {} follows on {}", generation.number, self.last));
                }
                let mut members = generation.members.clone();
                members.sort();
                members.dedup();
                if members.is_empty() || members.len() != generation.members.len() {
                    return Err(format!(
                        "generation {} has the members {:?}",
                        generation.number, generation.members
                    ));
                }
                (self.last, self.open) = (generation.number, Some(generation.number));
            }
            Seen::Command { command: Command::Abort { generation, .. }, .. } => {
                if self.open != Some(*generation) {
                    return Err(format!("generation {generation} is aborted, but {:?} is open", self.open));
                }
                self.open = None;
            }
            Seen::Command { command: Command::Commit { generation, next, .. }, .. } => {
                if self.open != Some(*generation) {
                    return Err(format!("a commit for generation {generation}, but {:?} is open", self.open));
                }
                if *next == ledger::Next::Wait {
                    self.open = None;
                }
            }
            Seen::Command { command: Command::Done(_), .. } => self.open = None,
            _ => {}
        }
        Ok(())
    }
}
