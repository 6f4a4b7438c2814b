//! Nobody is let go with the newest weights before they are stored, or somebody else holds them, too. Unless a coordinator
//! cannot account for them, because all who knew what it needs to know are gone.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{Command, Event, Record, Settings, WorkerId};
use simulation::{Observer, Seen};

pub struct Farewells {
    /// Steps may be left out, and weights with them.
    leaves_out: bool,
    term: u64,
    /// Updates that workers have applied.
    held: BTreeMap<WorkerId, u64>,
    /// As far as the coordinator in charge was told of them, by workers that it has not lost.
    known: BTreeMap<WorkerId, u64>,
    /// Updates applied in the checkpoints that are there.
    checkpoints: BTreeSet<u64>,
    /// The last step that was gone on from or applied.
    step: u64,
    /// Updates that the records account for that are stored, or were made in this term.
    recorded: u64,
    /// And that is stored.
    stored: u64,
    /// Attempts to store a checkpoint that failed, since one did not.
    refusals: u64,
}

impl Farewells {
    pub fn new(settings: &Settings) -> Self {
        let (held, known) = Default::default();
        Farewells {
            leaves_out: settings.guards.spike.is_some(),
            term: 0,
            held,
            known,
            checkpoints: BTreeSet::new(),
            step: 0,
            recorded: 0,
            stored: 0,
            refusals: 0,
        }
    }

    fn heard(&mut self, event: &Event) {
        if let Event::Prepared { tail, .. } = event {
            // It may tell of another way that the run has taken meanwhile, with another coordinator.
            let told = tail.records.iter().fold(self.recorded, |steps, record| record.steps_after(steps));
            self.recorded = self.recorded.min(told);
        }
        match *event {
            Event::Prepared { worker, applied: Some(step), .. } => {
                self.known.insert(worker, step);
                self.held.insert(worker, step);
            }
            Event::Prepared { worker, .. } => {
                self.known.remove(&worker);
                self.held.remove(&worker);
            }
            // It may be said twice, and late.
            Event::Ready { worker, step, .. } => {
                for told in [&mut self.known, &mut self.held] {
                    let known = told.entry(worker).or_default();
                    *known = step.max(*known);
                }
            }
            Event::Lost { worker, .. } => {
                self.known.remove(&worker);
            }
            // Whoever cannot store what it holds is let go in the end.
            Event::PartFailed { .. } | Event::CheckpointFailed { .. } => self.refusals += 1,
            Event::CheckpointStored { .. } => self.refusals = 0,
            _ => {}
        }
    }

    fn decided(&mut self, command: &Command) -> Result<(), String> {
        match command {
            Command::Open { generation, .. } => self.step = generation.step,
            Command::Commit { step, members, .. } => {
                self.known.extend(members.iter().map(|&member| (member, step + 1)));
            }
            Command::Record(record) => self.recorded = record.steps_after(self.recorded),
            Command::Disconnect { worker } => {
                self.known.remove(worker);
            }
            Command::Dismiss { worker, .. } => {
                self.known.remove(worker);
                let held = self.held.get(worker).copied().unwrap_or(0);
                let kept = held == 0
                    || self.checkpoints.last() >= Some(&held)
                    || self.known.values().any(|&other| other >= held);
                if !kept
                    && !self.leaves_out
                    && held == self.step
                    && held <= self.recorded
                    && self.refusals < 20
                {
                    return Err(format!(
                        "{worker} goes with the weights of step {held}, which nobody else has"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Observer for Farewells {
    fn see(&mut self, _: u64, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Term { term, .. } => {
                self.term = *term;
                self.known.clear();
                self.recorded = self.stored;
            }
            Seen::Applied { worker, step, .. } => {
                self.held.insert(*worker, *step);
                self.step = *step;
            }
            Seen::Checkpoint { step, .. } => {
                self.checkpoints.insert(*step);
            }
            Seen::Damaged { step, .. } => {
                self.checkpoints.remove(step);
            }
            Seen::Appended { records, .. } => {
                let after = |steps, record: &Record| record.steps_after(steps);
                self.stored = records.iter().fold(self.stored, after);
            }
            Seen::Event { term, event } if *term == self.term => self.heard(event),
            Seen::Command { term, command } if *term == self.term => return self.decided(command),
            _ => {}
        }
        Ok(())
    }
}
