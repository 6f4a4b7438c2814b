//! Checkpoints: one part per member, then a manifest; and the end of the run, which waits for the last one.

use std::collections::BTreeMap;

use super::guards::minority;
use super::{Attempt, FINAL_CHECKPOINT_ATTEMPTS, Ledger, NEXT_ATTEMPT_MS, Phase, Refusal};
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

    /// The checkpoints of the terms before have been looked at. The run may have gone on meanwhile.
    pub(super) fn checkpoint_found(
        &mut self,
        step: u64,
        head: String,
        skipped: Vec<String>,
        out: &mut Vec<Command>,
    ) {
        if std::mem::replace(&mut self.looked, true) {
            return; // Told twice.
        }
        // Which steps are left out for a jump of the loss depends on where checkpoints are.
        self.owed |= !skipped.is_empty() && self.settings.guards.spike.is_none();
        out.extend(skipped.into_iter().map(Command::Notice));
        if step > self.durable {
            (self.durable, self.durable_head) = (step, head);
        }
        if self.opened == 0 {
            self.take_stock();
        }
    }

    /// A checkpoint can be seen.
    pub(super) fn checkpoint_stored(&mut self, step: u64, out: &mut Vec<Command>) {
        // Told twice, or of an attempt that was given up: there may be another by now.
        let Some(attempt) = self.attempts.remove(&step) else { return };
        if step >= self.durable {
            (self.doubts_since_checkpoint, self.refusal) = (0, None);
            (self.durable, self.durable_head) = (step, attempt.head);
        }
        self.record(Record::Checkpointed { step }, out);
    }

    pub(super) fn record_going_on_from_the_checkpoint(&mut self, out: &mut Vec<Command>) {
        let (step, checkpoint) = (self.durable, self.durable_head.clone());
        self.record(Record::Resumed { step, checkpoint }, out);
    }

    /// Storage did not take a checkpoint.
    pub(super) fn refuse_attempt(&mut self, now: u64, step: u64, why: &str, out: &mut Vec<Command>) {
        if self.generation.is_none() && step == self.step {
            self.refusal = Some(Refusal { step, times: self.refusals() + 1, last: now });
        }
        self.drop_attempt(step, why, out);
    }

    /// How often storage refused the checkpoint of the weights at hand.
    pub(super) fn refusals(&self) -> u32 {
        self.refusal.filter(|refusal| refusal.step == self.step).map_or(0, |refusal| refusal.times)
    }

    /// Whether those who wait may store the weights at hand now: every attempt holds a copy of the state, and one that
    /// was refused is given some time.
    pub(super) fn may_store(&self, now: u64) -> bool {
        let refused = self.refusal.filter(|refusal| refusal.step == self.step);
        self.knows_the_newest(true)
            && self.attempts.is_empty()
            && refused.is_none_or(|refusal| now >= refusal.last + NEXT_ATTEMPT_MS)
    }

    pub(super) fn drop_attempt(&mut self, step: u64, why: &str, out: &mut Vec<Command>) {
        if self.attempts.remove(&step).is_some() {
            out.push(Command::Notice(format!("the checkpoint of step {step} is given up: {why}")));
        }
    }

    /// Who holds the weights of the last committed step.
    fn holders(&self) -> Vec<WorkerId> {
        self.workers.iter().filter(|(_, w)| w.applied == Some(self.step)).map(|(&id, _)| id).collect()
    }

    /// A person wants the run to stand still: the weights are stored, and everybody waits.
    pub(super) fn pause(&mut self, now: u64, out: &mut Vec<Command>) {
        if std::mem::replace(&mut self.phase, Phase::Paused) != Phase::Paused {
            out.push(Command::Notice(format!("the run stands still before step {}", self.step)));
        }
        let holders = self.holders();
        if self.step > self.durable && !holders.is_empty() && self.may_store(now) {
            self.start_checkpoint(holders, out);
        }
    }

    /// All steps are committed, or the run is being stopped: store the weights, then let everybody go.
    pub(super) fn finish(&mut self, now: u64, out: &mut Vec<Command>) {
        if std::mem::replace(&mut self.phase, Phase::Finishing) != Phase::Finishing {
            // Tries while the run stood still do not count.
            self.refusal = None;
        }
        let holders = self.holders();
        if !self.knows_the_newest(!holders.is_empty()) {
            return;
        }
        self.record_what_was_brought(out);
        let ending = if self.step >= self.settings.steps { Ending::Completed } else { Ending::Stopped };
        if self.durable >= self.step {
            if self.record.steps != self.step {
                self.record_going_on_from_the_checkpoint(out);
            }
            return self.end(ending, out);
        }
        // Another one may still be under way.
        if !self.attempts.is_empty() {
            return;
        }
        if holders.is_empty() && self.survivors_are_busy() {
            return;
        }
        if holders.is_empty() {
            // Everybody died with the last weights: the steps since the checkpoint are computed again.
            if self.stopping {
                out.push(Command::Notice("no worker holds the weights any more".into()));
                return self.end(Ending::Stopped, out);
            }
            return self.open_generation(now, out);
        }
        if self.refusals() > FINAL_CHECKPOINT_ATTEMPTS {
            let reason = format!(
                "the last checkpoint could not be stored; the newest one holds step {}: mend the storage and resume",
                self.durable
            );
            return self.end(Ending::Failed(reason), out);
        }
        if self.may_store(now) {
            self.start_checkpoint(holders, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Command, Event, Ledger, Opening, Settings, Share, Start, StepReport, Stored, Tail, Waits, WorkerId,
        WorkerInfo,
    };

    const WORKER: WorkerId = WorkerId(1);

    fn report() -> StepReport {
        StepReport {
            loss: 1.0,
            targets: 1,
            tokens: 1,
            grad_norm: 1.0,
            digest: String::new(),
            overflowed: false,
            measures: Vec::new(),
            waits: Waits::default(),
        }
    }

    fn checkpoints(commands: &[Command]) -> Vec<u64> {
        let step = |command: &Command| match command {
            Command::Checkpoint { step, .. } => Some(*step),
            _ => None,
        };
        commands.iter().filter_map(step).collect()
    }

    /// A run of the first term, with one worker that has committed one step.
    fn run() -> Ledger {
        let settings = Settings {
            steps: 10,
            batches: plan::Batches::even(1),
            min_workers: 1,
            max_workers: 1,
            checkpoint_every: 100,
            heartbeat_ms: 1_000,
            dead_after_ms: None,
            unmeasured_ms: 20_000,
            guards: plan::Guards::default(),
            keepers: 1,
            unstored: 100,
        };
        let mut ledger = Ledger::new(settings, Start { term: 1, stored: Stored::default() });
        let info = WorkerInfo { name: String::new(), address: String::new(), platform: String::new() };
        ledger.handle(0, Event::Hello { worker: WORKER, info });
        let tail = Tail { term: 0, first: 0, records: Vec::new() };
        let prepared = Event::Prepared { worker: WORKER, applied: None, since: Opening::default(), tail };
        let opened = |commands: &[Command]| matches!(commands.last(), Some(Command::Open { .. }));
        assert!(!opened(&ledger.handle(0, prepared)), "nobody knows yet what is stored");
        let found = Event::CheckpointFound { step: 0, head: String::new(), skipped: Vec::new() };
        assert!(opened(&ledger.handle(0, found)));
        let (generation, share) = (1, Share::default());
        ledger.handle(1, Event::Ready { worker: WORKER, generation, step: 0, report: report(), share });
        assert_eq!(ledger.status().step, 1);
        ledger
    }

    #[test]
    fn a_run_that_stands_still_tries_a_refused_checkpoint_again_and_again_but_not_at_once() {
        let mut ledger = run();
        ledger.handle(2, Event::Pause { reason: "lunch".into() });
        let (generation, share) = (1, Share::default());
        let ready = Event::Ready { worker: WORKER, generation, step: 1, report: report(), share };
        assert_eq!(checkpoints(&ledger.handle(3, ready)), [2]);
        let refused = |at| (at, Event::PartFailed { worker: WORKER, step: 2, reason: "503".into() });
        let mut now = 4;
        for _ in 0..2 * super::FINAL_CHECKPOINT_ATTEMPTS {
            let (at, event) = refused(now);
            assert_eq!(checkpoints(&ledger.handle(at, event)), [0; 0]);
            let again = now + super::NEXT_ATTEMPT_MS;
            assert_eq!(checkpoints(&ledger.handle(again - 1, Event::Tick)), [0; 0]);
            assert_eq!(checkpoints(&ledger.handle(again, Event::Tick)), [2]);
            now = again + 1;
        }
        // Whoever ends the run then has as many tries as ever.
        ledger.handle(now, Event::Stop { reason: "home".into() });
        let (at, event) = refused(now);
        ledger.handle(at, event);
        assert_eq!(checkpoints(&ledger.handle(now + super::NEXT_ATTEMPT_MS, Event::Tick)), [2]);
    }

    #[test]
    fn what_a_new_term_finds_damaged_is_made_up_for_at_the_next_step() {
        let mut ledger = run();
        let found = |skipped: &[&str]| Event::CheckpointFound {
            step: 0,
            head: String::new(),
            skipped: skipped.iter().copied().map(str::to_owned).collect(),
        };
        assert_eq!(ledger.handle(2, found(&["told twice"])), []);
        let mut later = Ledger { looked: false, ..ledger };
        let told = later.handle(2, found(&["checkpoint of step 1 skipped"]));
        assert_eq!(told, [Command::Notice("checkpoint of step 1 skipped".into())]);
        let (generation, share) = (1, Share::default());
        let ready = Event::Ready { worker: WORKER, generation, step: 1, report: report(), share };
        assert_eq!(checkpoints(&later.handle(3, ready)), [2]);
    }
}
