//! However long storage refuses, only so many records wait for it.

use ledger::{Command, Settings};
use simulation::{Observer, Seen};

#[derive(Clone)]
pub struct Unstored {
    most: usize,
    waiting: usize,
}

impl Unstored {
    pub fn new(settings: &Settings) -> Self {
        Unstored { most: settings.unstored, waiting: 0 }
    }
}

impl Observer for Unstored {
    fn see(&mut self, _: u64, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Command { command: Command::Record(_), .. } => self.waiting += 1,
            Seen::Appended { records, .. } => self.waiting = self.waiting.saturating_sub(records.len()),
            // The commit itself and a new deal come on top.
            Seen::Command { command: Command::Commit { .. }, .. } if self.waiting > self.most + 2 => {
                return Err(format!("commits while {} records are not stored", self.waiting));
            }
            _ => {}
        }
        Ok(())
    }
}
