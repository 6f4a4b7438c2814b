//! Checkpoints: one part per member, then a manifest; and the end of the run, which waits for the last one.

use std::collections::BTreeMap;

use super::guards::minority;
use super::{Attempt, FINAL_CHECKPOINT_ATTEMPTS, Ledger, Phase};
use crate::{Command, Ending, PartReport, Record, WorkerId};

impl Ledger {
    pub(super) fn start_checkpoint(&mut self, members: Vec<WorkerId>, out: &mut Vec<Command>) {
        self.owed = false;
        self.record_what_was_brought(out);
        if self.record.steps != self.step {
            // The last steps were lost with those who held their weights.
            self.record(Record::Resumed { step: self.step, checkpoint: String::new() }, out);
        }
        let attempt = Attempt {
            members: members.clone(),
            parts: BTreeMap::new(),
            head: self.record.chain.head(),
            loss: self.last.as_ref().map(|report| report.loss),
        };
        self.attempts.insert(self.step, attempt);
        out.push(Command::Checkpoint { step: self.step, members });
    }

    /// Every attempt holds a copy of the state in the members' memory: there is one at a time.
    pub(super) fn checkpoint_if_storage_keeps_up(&mut self, members: Vec<WorkerId>, out: &mut Vec<Command>) {
        match self.attempts.first_key_value() {
            Some((pending, _)) => out.push(Command::Notice(format!(
                "no checkpoint of step {}: that of step {pending} is not stored yet; storage is slower than \
                 checkpoint.every",
                self.step
            ))),
            None => self.start_checkpoint(members, out),
        }
    }

    pub(super) fn part_stored(
        &mut self,
        worker: WorkerId,
        step: u64,
        of: u32,
        index: u32,
        part: PartReport,
        out: &mut Vec<Command>,
    ) {
        let Some(attempt) = self.attempts.get_mut(&step) else { return };
        if attempt.members.len() != of as usize || attempt.members.get(index as usize) != Some(&worker) {
            return; // An attempt that was given up; its parts are orphans.
        }
        if attempt.parts.insert(index, part).is_some() {
            return; // Told twice.
        }
        if attempt.parts.len() < attempt.members.len() {
            return;
        }
        let parts: Vec<PartReport> = attempt.parts.values().cloned().collect();
        let votes: Vec<(WorkerId, &str)> =
            attempt.members.iter().copied().zip(parts.iter().map(|part| &part.state_digest[..])).collect();
        if let Some((worker, others)) = minority(&votes) {
            let why = format!("the weights of step {step} differ between {worker} and {}", others[0]);
            return self.doubt_weights(worker, &others, &why, out);
        }
        let (ledger_head, loss) = (attempt.head.clone(), attempt.loss);
        out.push(Command::CommitCheckpoint { step, parts, ledger_head, loss });
    }

    /// A checkpoint can be seen.
    pub(super) fn checkpoint_stored(&mut self, step: u64, out: &mut Vec<Command>) {
        // Told twice, or of an attempt that was given up: there may be another by now.
        let Some(attempt) = self.attempts.remove(&step) else { return };
        if step >= self.durable {
            (self.doubts_since_checkpoint, self.refused_attempts) = (0, 0);
            (self.durable, self.durable_head) = (step, attempt.head);
        }
        self.record(Record::Checkpointed { step }, out);
    }

    pub(super) fn record_going_on_from_the_checkpoint(&mut self, out: &mut Vec<Command>) {
        let (step, checkpoint) = (self.durable, self.durable_head.clone());
        self.record(Record::Resumed { step, checkpoint }, out);
    }

    /// Storage did not take a checkpoint.
    pub(super) fn refuse_attempt(&mut self, step: u64, why: &str, out: &mut Vec<Command>) {
        if self.generation.is_none() && step == self.step {
            self.refused_attempts += 1;
        }
        self.drop_attempt(step, why, out);
    }

    pub(super) fn drop_attempt(&mut self, step: u64, why: &str, out: &mut Vec<Command>) {
        if self.attempts.remove(&step).is_some() {
            out.push(Command::Notice(format!("the checkpoint of step {step} is given up: {why}")));
        }
    }

    /// A person wants the run to stand still: the weights are stored, and everybody waits.
    pub(super) fn pause(&mut self, out: &mut Vec<Command>) {
        if self.phase == Phase::Paused {
            return;
        }
        self.phase = Phase::Paused;
        out.push(Command::Notice(format!("the run stands still before step {}", self.step)));
        let holds =
            |(id, worker): (&WorkerId, &super::Worker)| (worker.applied == Some(self.step)).then_some(*id);
        let holders: Vec<WorkerId> = self.workers.iter().filter_map(holds).collect();
        if self.step > self.durable && !holders.is_empty() && !self.attempts.contains_key(&self.step) {
            self.start_checkpoint(holders, out);
        }
    }

    /// All steps are committed, or the run is being stopped: store the weights, then let everybody go.
    pub(super) fn finish(&mut self, now: u64, out: &mut Vec<Command>) {
        self.phase = Phase::Finishing;
        self.record_what_was_brought(out);
        let ending = if self.step >= self.settings.steps { Ending::Completed } else { Ending::Stopped };
        if self.durable >= self.step {
            if self.record.steps != self.step {
                self.record_going_on_from_the_checkpoint(out);
            }
            return self.end(ending, out);
        }
        // Another one may still be under way, and every attempt holds a copy of the state.
        if !self.attempts.is_empty() {
            return;
        }
        let step = self.step;
        let holders: Vec<WorkerId> =
            self.workers.iter().filter(|(_, w)| w.applied == Some(step)).map(|(&id, _)| id).collect();
        if holders.is_empty() && self.survivors_are_busy() {
            return;
        }
        if holders.is_empty() {
            // Everybody died with the last weights: the steps since the checkpoint are computed again.
            out.push(Command::Notice("no worker holds the weights any more".into()));
            if self.stopping {
                return self.end(Ending::Stopped, out);
            }
            return self.open_generation(now, out);
        }
        if self.refused_attempts > FINAL_CHECKPOINT_ATTEMPTS {
            let reason = format!(
                "the last checkpoint could not be stored; the newest one holds step {}: mend the storage and resume",
                self.durable
            );
            return self.end(Ending::Failed(reason), out);
        }
        self.start_checkpoint(holders, out);
    }
}
