//! What was committed is not thrown away while somebody holds it: a new coordinator goes on from the highest step of a
//! worker whose way there is known.

use std::collections::BTreeMap;

use ledger::{Command, Event, Record, WorkerId};
use simulation::{Observer, Seen};

/// What a new coordinator heard before it decided where to go on.
#[derive(Default)]
struct Heard {
    opened: bool,
    /// What workers said: the place in the record up to which they know it, and their updates, while they are there.
    told: BTreeMap<WorkerId, ((u64, u64), Option<u64>)>,
}

#[derive(Default)]
pub struct Kept {
    /// Records that are durable, and the term of the last of them.
    appended: (u64, u64),
    /// Updates that these account for.
    steps: u64,
    /// The run has left a way on purpose: what was computed on it is not kept.
    left: bool,
    /// By term.
    heard: BTreeMap<u64, Heard>,
}

impl Observer for Kept {
    fn see(&mut self, _: u64, seen: &Seen<'_>) -> Result<(), String> {
        let Some(term) = seen.term() else { return Ok(()) };
        let heard = self.heard.entry(term).or_default();
        match seen {
            Seen::Command {
                command: Command::Record(Record::LeftOut { .. } | Record::Doubted { .. }),
                ..
            } => {
                self.left = true;
            }
            Seen::Appended { records, .. } => {
                self.appended = (term, self.appended.1 + records.len() as u64);
                self.steps = records.iter().fold(self.steps, |steps, record| record.steps_after(steps));
            }
            Seen::Event { event: Event::Prepared { worker, applied, tail, .. }, .. } => {
                // Who is no keeper may hold more than it can account for.
                let accounted =
                    tail.records.iter().fold(self.steps, |steps, record| record.steps_after(steps));
                let applied = applied.filter(|&applied| applied <= accounted);
                heard.told.insert(*worker, ((tail.term, tail.end()), applied));
            }
            Seen::Event { event: Event::Lost { worker, .. } | Event::Hello { worker, .. }, .. }
            | Seen::Command {
                command: Command::Disconnect { worker } | Command::Dismiss { worker, .. },
                ..
            } => {
                // What it told of the record stays known.
                if let Some(told) = heard.told.get_mut(worker) {
                    told.1 = None;
                }
            }
            // Whoever leaves before the others have come stores what it holds, and that is decided then.
            Seen::Command { command: Command::Checkpoint { .. }, .. } => heard.opened = true,
            Seen::Command { command: Command::Open { generation, .. }, .. } if !heard.opened => {
                heard.opened = true;
                if self.left {
                    return Ok(());
                }
                let newest = heard.told.values().map(|told| told.0).max().unwrap_or_default();
                let best =
                    heard.told.values().filter(|told| told.0 == newest).filter_map(|told| told.1).max();
                // If more is durable than they know, it may say that their steps were undone.
                if newest >= self.appended && best > Some(generation.step) {
                    return Err(format!(
                        "goes on at step {}, although a worker holds {best:?}",
                        generation.step
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
