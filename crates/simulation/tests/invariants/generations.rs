//! Within a term, the numbers of generations only grow, one is open at a time, nobody is in it twice, and there is a lane
//! for each member.

use ledger::{Command, Settings};
use simulation::{Observer, Seen};

#[derive(Clone)]
pub struct Generations {
    most: usize,
    last: u64,
    open: Option<u64>,
}

impl Generations {
    pub fn new(settings: &Settings) -> Self {
        Generations { most: settings.max_workers, last: 0, open: None }
    }
}

impl Observer for Generations {
    fn see(&mut self, _: u64, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
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
                if !(1..=self.most).contains(&members.len()) || members.len() != generation.members.len() {
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
