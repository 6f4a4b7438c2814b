//! What must hold of every history, each property by itself. Told of every event and command in order.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{Command, Event, WorkerId};

/// Everything that is remembered to judge the next command.
#[derive(Default)]
pub struct Judge {
    open: Option<(u64, Vec<WorkerId>, u64)>,
    generations: u64,
    votes: BTreeSet<(WorkerId, u64, u64)>,
    next_step: u64,
    durable: u64,
    parts: BTreeMap<u64, BTreeSet<(u32, u32)>>,
}

impl Judge {
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Ready { worker, generation, step, .. } => {
                self.votes.insert((*worker, *generation, *step));
            }
            Event::PartStored { step, of, index, .. } => {
                self.parts.entry(*step).or_default().insert((*of, *index));
            }
            Event::CheckpointStored { step } => self.durable = self.durable.max(*step),
            _ => {}
        }
    }

    pub fn command(&mut self, command: &Command) -> Result<(), String> {
        match command {
            Command::Open { generation, .. } => {
                self.one_generation_at_a_time()?;
                self.generations_only_grow(generation.number)?;
                self.steps_continue_or_go_back_to_a_checkpoint(generation.step)?;
                self.open = Some((generation.number, generation.members.clone(), generation.step));
            }
            Command::Abort { generation, .. } => {
                if self.open.as_ref().map(|(number, ..)| number) != Some(generation) {
                    return Err(format!("generation {generation} is aborted, but not open"));
                }
                self.open = None;
            }
            Command::Commit { generation, step, members, next } => {
                self.all_members_are_ready(*generation, *step, members)?;
                self.one_commit_per_step(*step)?;
                if *next == ledger::Next::Wait {
                    self.open = None;
                }
            }
            Command::CommitCheckpoint { step, parts, .. } => self.all_parts_are_stored(*step, parts.len())?,
            Command::Done(_) => self.open = None,
            _ => {}
        }
        Ok(())
    }

    fn one_generation_at_a_time(&self) -> Result<(), String> {
        match &self.open {
            Some((number, ..)) => Err(format!("generation {number} is still open")),
            None => Ok(()),
        }
    }

    fn generations_only_grow(&mut self, number: u64) -> Result<(), String> {
        if number <= self.generations {
            return Err(format!("generation {number} after {}", self.generations));
        }
        self.generations = number;
        Ok(())
    }

    fn steps_continue_or_go_back_to_a_checkpoint(&mut self, step: u64) -> Result<(), String> {
        if step != self.next_step && step != self.durable {
            return Err(format!(
                "opened at step {step}; {} is next, {} durable",
                self.next_step, self.durable
            ));
        }
        self.next_step = step;
        Ok(())
    }

    fn all_members_are_ready(&self, generation: u64, step: u64, members: &[WorkerId]) -> Result<(), String> {
        let (open, opened_with, _) = self.open.as_ref().ok_or("a commit without a generation")?;
        if *open != generation || opened_with != members {
            return Err(format!("a commit for generation {generation}, but {open} is open"));
        }
        match members.iter().find(|&&member| !self.votes.contains(&(member, generation, step))) {
            Some(member) => Err(format!("step {step} is committed without the vote of {member}")),
            None => Ok(()),
        }
    }

    fn one_commit_per_step(&mut self, step: u64) -> Result<(), String> {
        if step != self.next_step {
            return Err(format!("step {step} is committed, {} is next", self.next_step));
        }
        self.next_step += 1;
        Ok(())
    }

    fn all_parts_are_stored(&self, step: u64, of: usize) -> Result<(), String> {
        let stored = self.parts.get(&step).ok_or("a checkpoint without parts")?;
        match (0..of as u32).find(|&index| !stored.contains(&(of as u32, index))) {
            Some(index) => Err(format!("the checkpoint of step {step} lacks part {index} of {of}")),
            None => Ok(()),
        }
    }
}
