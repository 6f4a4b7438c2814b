//! No commit without the votes of all members, and they agree on the gradient; no step is committed twice in a
//! generation.

use std::collections::BTreeMap;

use ledger::{Command, Event, WorkerId};
use simulation::{Observer, Seen};

#[derive(Clone, Default)]
pub struct Votes {
    /// The open generation's members and its next step.
    open: Option<(u64, Vec<WorkerId>, u64)>,
    votes: BTreeMap<(WorkerId, u64, u64), String>,
}

impl Observer for Votes {
    fn see(&mut self, _: u64, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Event { event: Event::Ready { worker, generation, step, report, .. }, .. } => {
                self.votes.insert((*worker, *generation, *step), report.digest.clone());
            }
            Seen::Command { command: Command::Open { generation, .. }, .. } => {
                self.open = Some((generation.number, generation.members.clone(), generation.step));
                self.votes.clear();
            }
            Seen::Command { command: Command::Commit { generation, step, members, .. }, .. } => {
                return self.commit(*generation, *step, members);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Votes {
    fn commit(&mut self, generation: u64, step: u64, members: &[WorkerId]) -> Result<(), String> {
        let (open, opened_with, next) = self.open.as_mut().ok_or("a commit without a generation")?;
        if (*open, &opened_with[..], *next) != (generation, members, step) {
            return Err(format!(
                "step {step} is committed for {members:?} in generation {generation}; open is {open} with \
                 {opened_with:?} at step {next}"
            ));
        }
        *next += 1;
        let mut digests: Vec<_> =
            members.iter().map(|&member| self.votes.get(&(member, generation, step))).collect();
        if digests.iter().any(Option::is_none) {
            return Err(format!("step {step} is committed without the votes of all of {members:?}"));
        }
        digests.dedup();
        match digests.len() {
            1 => Ok(()),
            _ => Err(format!("step {step} is committed, and its members hold {digests:?}")),
        }
    }
}
