//! Checkpoints: one part per member, then a manifest; and the end of the run, which waits for the last one.

use std::collections::BTreeMap;

use super::guards::minority;
use super::members::NOBODY;
use super::{Attempt, FINAL_CHECKPOINT_ATTEMPTS, Ledger, NEXT_ATTEMPT_MS, Phase, REGATHER_MS, Refusal};
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

    /// Every attempt may hold a copy of the state in the members' memory: there is one at a time.
    pub(super) fn checkpoint_if_storage_keeps_up(&mut self, members: Vec<WorkerId>, out: &mut Vec<Command>) {
        if self.attempts.is_empty() && !self.lingering.is_empty() {
            // They may hold copies of it. Which steps are left out for a jump of the loss depends on where checkpoints are.
            self.owed |= self.settings.guards.spike.is_none();
            return;
        }
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
        if self.lingering.remove(&worker) {
            return; // Of an attempt that was given up; its parts are orphans.
        }
        let Some(attempt) = self.attempts.get_mut(&step) else { return };
        if attempt.members.len() != of as usize || attempt.members.get(index as usize) != Some(&worker) {
            return;
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

    /// The checkpoints have been looked at. The run may have gone on meanwhile.
    pub(super) fn checkpoint_found(
        &mut self,
        step: u64,
        head: String,
        skipped: Vec<String>,
        out: &mut Vec<Command>,
    ) {
        if self.looked {
            return; // Told twice.
        }
        // Which steps are left out for a jump of the loss depends on where checkpoints are.
        let made_up_for = self.durable > 0 || !self.attempts.is_empty();
        self.owed |= !skipped.is_empty() && !made_up_for && self.settings.guards.spike.is_none();
        if !skipped.is_empty() {
            // It was not for want of ability.
            self.workers.values_mut().for_each(|worker| worker.could_not_restore = false);
        }
        out.extend(skipped.into_iter().map(Command::Notice));
        self.looked = !std::mem::take(&mut self.look_again);
        if !self.looked {
            return out.push(Command::LookBack);
        }
        if step > self.durable {
            (self.durable, self.durable_head) = (step, head);
        }
        if self.opened == 0 {
            self.take_stock();
        }
    }

    /// What was taken for the newest checkpoint is not whole any more. Nobody restores anything until it is known which one
    /// is.
    pub(super) fn restore_failed(&mut self, worker: WorkerId, why: &str, out: &mut Vec<Command>) {
        self.end_failed_generation(true, &format!("{worker} cannot restore step {}: {why}", self.step), out);
        self.may_be_stored = self.may_be_stored.max(self.durable);
        (self.durable, self.durable_head) = (0, String::new());
        if let Some(known) = self.workers.get_mut(&worker) {
            known.could_not_restore = true;
        }
        if self.phase != Phase::Done && std::mem::take(&mut self.looked) {
            out.push(Command::LookBack);
        } else {
            // Whoever is looking may have begun before it was there.
            self.look_again = true;
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
        if self.attempts.contains_key(&step) && self.generation.is_none() && step == self.step {
            // A run that stands still has all the time in the world.
            let counts = u32::from(self.phase != Phase::Paused);
            self.refusal = Some(Refusal { step, times: self.refusals() + counts, last: now });
        }
        self.drop_attempt(step, why, out);
    }

    /// How often storage refused the checkpoint of the weights at hand.
    pub(super) fn refusals(&self) -> u32 {
        self.refusal.filter(|refusal| refusal.step == self.step).map_or(0, |refusal| refusal.times)
    }

    /// Whether those who wait may store the weights at hand now: every attempt may hold a copy of the state, one that
    /// was refused is given some time, and what may be stored already is looked at first.
    pub(super) fn may_store(&self, now: u64) -> bool {
        let refused = self.refusal.filter(|refusal| refusal.step == self.step);
        (self.looked || self.step > self.may_be_stored)
            && self.attempts.is_empty()
            && self.lingering.is_empty()
            && refused.is_none_or(|refusal| now >= refusal.last + NEXT_ATTEMPT_MS)
    }

    pub(super) fn drop_attempt(&mut self, step: u64, why: &str, out: &mut Vec<Command>) {
        if let Some(attempt) = self.attempts.remove(&step) {
            self.linger(attempt);
            out.push(Command::Notice(format!("the checkpoint of step {step} is given up: {why}")));
        }
    }

    /// Whoever stores a part of an attempt that is given up goes on with it, and may hold a copy until it says so.
    pub(super) fn linger(&mut self, attempt: Attempt) {
        let at_it = (0..).zip(attempt.members).filter(|(index, _)| !attempt.parts.contains_key(index));
        self.lingering.extend(at_it.map(|(_, member)| member).filter(|id| self.workers.contains_key(id)));
    }

    /// Who holds the weights of the last committed step.
    fn holders(&self) -> Vec<WorkerId> {
        self.workers.iter().filter(|(_, w)| w.applied == Some(self.step)).map(|(&id, _)| id).collect()
    }

    /// A person wants the run to stand still: the weights are stored, and everybody waits.
    pub(super) fn pause(&mut self, now: u64, out: &mut Vec<Command>) {
        if std::mem::replace(&mut self.phase, Phase::Paused) != Phase::Paused {
            let why = self.paused.clone().unwrap_or_default();
            out.push(Command::Notice(format!(
                "the run stands still before step {} until `cloze unpause`: {why}",
                self.step
            )));
        }
        let holders = self.holders();
        // Before a term's first generation others may come who hold more.
        let known = self.opened > 0;
        if known && self.step > self.durable && !holders.is_empty() && self.may_store(now) {
            self.start_checkpoint(holders, out);
        }
    }

    /// All steps are committed, or the run is being stopped: store the weights, then let everybody go.
    pub(super) fn finish(&mut self, now: u64, out: &mut Vec<Command>) {
        self.phase = Phase::Finishing;
        let holders = self.holders();
        if !self.knows_the_newest(!holders.is_empty()) {
            // Whoever wants it to end need not know what is stored, if there is nothing to store.
            if self.stopping && holders.is_empty() && self.attempts.is_empty() && !self.survivors_are_busy() {
                self.end(self.stopped(), out);
            }
            return;
        }
        self.record_what_was_brought(out);
        self.record_whether_it_is_paused(out);
        let ending = if self.step >= self.settings.steps { Ending::Completed } else { self.stopped() };
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
            return match self.stopping {
                true => self.stop_without_the_last(now, out),
                false => self.open_generation(now, out),
            };
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

impl Ledger {
    /// A run that is being stopped has lost the weights of its last steps: for a moment, maybe. Then what somebody holds is
    /// stored, if it is more than the newest checkpoint.
    fn stop_without_the_last(&mut self, now: u64, out: &mut Vec<Command>) {
        if now < *self.missing_since.get_or_insert(now) + REGATHER_MS {
            return;
        }
        self.missing_since = None;
        let held = self.workers.values().filter_map(|worker| worker.applied);
        let best = held.filter(|&held| held < self.step).fold(self.durable, u64::max);
        out.push(Command::Notice(format!("{NOBODY}: the run stops at step {best} instead of {}", self.step)));
        self.step = best;
        match best > self.durable {
            true => self.finish(now, out),
            false => self.end(self.stopped(), out),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::state::testing::report;
    use crate::{
        Command, Event, Ledger, Opening, PartReport, Progress, Settings, Share, Start, Stored, Tail,
        WorkerId, WorkerInfo,
    };

    const WORKER: WorkerId = WorkerId(1);

    fn checkpoints(commands: &[Command]) -> Vec<u64> {
        let step = |command: &Command| match command {
            Command::Checkpoint { step, .. } => Some(*step),
            _ => None,
        };
        commands.iter().filter_map(step).collect()
    }

    /// The only part of a checkpoint is stored.
    fn stored(step: u64) -> Event {
        let part = PartReport {
            name: "part".into(),
            size: 1,
            checksum: String::new(),
            tensors: Vec::new(),
            state_digest: String::new(),
        };
        Event::PartStored { worker: WORKER, step, of: 1, index: 0, part }
    }

    fn opened(commands: &[Command]) -> bool {
        commands.iter().any(|command| matches!(command, Command::Open { .. }))
    }

    /// A worker that holds nothing.
    fn comes(ledger: &mut Ledger, now: u64, worker: WorkerId) -> Vec<Command> {
        let info = WorkerInfo { name: String::new(), address: String::new(), platform: String::new() };
        ledger.handle(now, Event::Hello { worker, info });
        let tail = Tail { term: 0, first: 0, records: Vec::new() };
        let since = Opening::default();
        ledger.handle(now, Event::Prepared { worker, applied: None, since, entered: 0, tail })
    }

    fn ready(step: u64) -> Event {
        Event::Ready { worker: WORKER, generation: 1, step, report: report(), share: Share::default() }
    }

    /// A run of the first term, with one worker that has committed one step.
    fn run(checkpoint_every: u64) -> Ledger {
        let settings = Settings {
            steps: 10,
            batches: plan::Batches::even(1),
            min_workers: 1,
            max_workers: 1,
            checkpoint_every,
            heartbeat_ms: 1_000,
            dead_after_ms: None,
            unmeasured_ms: 20_000,
            guards: plan::Guards::default(),
            keepers: 1,
            unstored: 100,
        };
        let mut ledger = Ledger::new(settings, Start { term: 1, stored: Stored::default() });
        assert!(!opened(&comes(&mut ledger, 0, WORKER)), "nobody knows yet what is stored");
        let found = Event::CheckpointFound { step: 0, head: String::new(), skipped: Vec::new() };
        assert!(opened(&ledger.handle(0, found)));
        ledger.handle(1, ready(0));
        assert_eq!(ledger.status().step, 1);
        ledger
    }

    #[test]
    fn while_storage_is_slower_than_the_interval_checkpoints_are_left_out_and_it_is_said() {
        let mut ledger = run(1);
        let skipped = |commands: &[Command]| {
            commands
                .iter()
                .any(|command| matches!(command, Command::Notice(text) if text.contains("storage is slower")))
        };
        // That of step 1 is on its way.
        let said = ledger.handle(2, ready(1));
        assert!(skipped(&said) && checkpoints(&said).is_empty(), "{said:?}");
        ledger.handle(3, stored(1));
        let said = ledger.handle(4, ready(2));
        assert!(skipped(&said) && checkpoints(&said).is_empty(), "its manifest is not there yet: {said:?}");
        ledger.handle(5, Event::CheckpointStored { step: 1 });
        let said = ledger.handle(6, ready(3));
        assert!(!skipped(&said) && checkpoints(&said) == [4], "{said:?}");
    }

    #[test]
    fn a_run_that_stands_still_tries_a_refused_checkpoint_again_and_again_but_not_at_once() {
        let mut ledger = run(100);
        ledger.handle(2, Event::Pause { reason: "lunch".into() });
        assert_eq!(checkpoints(&ledger.handle(3, ready(1))), [2]);
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
        let ledger = &mut run(100);
        let found = |skipped: &[&str]| Event::CheckpointFound {
            step: 0,
            head: String::new(),
            skipped: skipped.iter().copied().map(str::to_owned).collect(),
        };
        assert_eq!(ledger.handle(2, found(&["told twice"])), []);
        let mut later = Ledger { looked: false, ..ledger.clone() };
        let told = later.handle(2, found(&["checkpoint of step 1 skipped"]));
        assert_eq!(told, [Command::Notice("checkpoint of step 1 skipped".into())]);
        assert_eq!(checkpoints(&later.handle(3, ready(1))), [2]);
    }

    #[test]
    fn nobody_begins_anew_while_the_last_holder_waits_to_store_what_it_holds() {
        let mut ledger = run(2);
        assert_eq!(checkpoints(&ledger.handle(2, ready(1))), [2]);
        ledger.handle(3, Event::Leave { worker: WORKER });
        assert_eq!(checkpoints(&ledger.handle(4, ready(2))), [0; 0], "one copy of the state at a time");
        let newcomer = WorkerId(2);
        assert!(!opened(&comes(&mut ledger, 5, newcomer)));
        for now in (100..60_000).step_by(100) {
            for worker in [WORKER, newcomer] {
                ledger.handle(now, Event::Heartbeat { worker, progress: Progress::default() });
            }
            let commands = ledger.handle(now, Event::Tick);
            assert!(commands.is_empty(), "{commands:?}");
        }
        let mut store = |step| {
            ledger.handle(60_000, stored(step));
            ledger.handle(60_000, Event::CheckpointStored { step })
        };
        assert_eq!(checkpoints(&store(2)), [3]);
        let commands = store(3);
        assert!(opened(&commands), "{commands:?}");
        assert_eq!(ledger.status().step, 3);
    }

    #[test]
    fn whoever_fell_behind_and_is_alone_stores_what_it_holds_and_may_go() {
        let mut ledger = run(100);
        // Before it hears of the commit, its connection is gone.
        ledger.handle(2, Event::Lost { worker: WORKER, reason: "cut off".into() });
        let info = WorkerInfo { name: String::new(), address: String::new(), platform: String::new() };
        ledger.handle(3, ready(1));
        ledger.step = 2;
        ledger.handle(4, Event::Hello { worker: WORKER, info });
        let (tail, since) = (ledger.tail.clone(), Opening { term: 1, generation: 1 });
        ledger.handle(4, Event::Prepared { worker: WORKER, applied: Some(1), since, entered: 0, tail });
        assert_eq!(checkpoints(&ledger.handle(5, Event::Leave { worker: WORKER })), [0; 0]);
        let later = 5 + super::super::REGATHER_MS;
        assert_eq!(checkpoints(&ledger.handle(later, Event::Tick)), [1]);
        ledger.handle(later, stored(1));
        let commands = ledger.handle(later, Event::CheckpointStored { step: 1 });
        assert!(matches!(commands.last(), Some(Command::Dismiss { .. })), "{commands:?}");
    }

    #[test]
    fn one_attempt_is_refused_once_and_the_next_waits_for_whoever_is_still_at_it() {
        let mut ledger = Ledger { settings: Settings { max_workers: 2, ..run(100).settings }, ..run(100) };
        let other = WorkerId(2);
        comes(&mut ledger, 2, other);
        ledger.handle(3, ready(1));
        for worker in [WORKER, other] {
            let (generation, step, report, share) = (2, 2, report(), Share::default());
            ledger.handle(4, Event::Ready { worker, generation, step, report, share });
        }
        ledger.handle(5, Event::Pause { reason: "lunch".into() });
        let mut commands = Vec::new();
        for worker in [WORKER, other] {
            let (generation, step, report, share) = (2, 3, report(), Share::default());
            commands = ledger.handle(6, Event::Ready { worker, generation, step, report, share });
        }
        assert_eq!(checkpoints(&commands), [4]);
        let failed = |worker| Event::PartFailed { worker, step: 4, reason: "503".into() };
        ledger.handle(7, failed(WORKER));
        assert_eq!(
            checkpoints(&ledger.handle(5_000, Event::Tick)),
            [0; 0],
            "the other one still has its copy"
        );
        assert_eq!(checkpoints(&ledger.handle(5_001, failed(other))), [4]);
    }

    #[test]
    fn a_checkpoint_that_cannot_be_restored_is_none_and_another_is_looked_for() {
        let ledger = &mut run(2);
        ledger.handle(2, ready(1));
        ledger.handle(3, stored(2));
        ledger.handle(3, Event::CheckpointStored { step: 2 });
        ledger.handle(4, Event::Lost { worker: WORKER, reason: "killed".into() });
        let other = WorkerId(2);
        assert!(opened(&comes(ledger, 5, other)));
        let failed =
            |generation| Event::RestoreFailed { worker: other, generation, reason: "its checksum".into() };
        assert_eq!(ledger.handle(6, failed(1)), [], "of a generation that is over");
        let (since, tail) = (Opening::default(), Tail::default());
        ledger.handle(6, Event::Prepared { worker: other, applied: None, since, entered: 2, tail });
        let told = ledger.handle(6, failed(2));
        assert!(matches!(&told[..], [Command::Abort { .. }, Command::LookBack]), "{told:?}");
        assert_eq!(ledger.handle(6, failed(2)), [], "told twice");
        let quiet = |ledger: &mut Ledger, until: u64| {
            for now in (100..until).step_by(100) {
                ledger.handle(now, Event::Heartbeat { worker: other, progress: Progress::default() });
                assert_eq!(ledger.handle(now, Event::Tick), []);
            }
        };
        quiet(ledger, 10_000);
        // If it is whole all the same, another worker may be able to read it.
        let mut whole = ledger.clone();
        let found = Event::CheckpointFound { step: 2, head: String::new(), skipped: Vec::new() };
        assert_eq!(whole.handle(10_000, found), [], "there may be one soon");
        let told = comes(&mut whole, 10_001, WorkerId(3));
        let first = told.iter().find_map(|command| match command {
            Command::Open { generation, .. } => Some((generation.step, generation.members[0])),
            _ => None,
        });
        assert_eq!(first, Some((2, WorkerId(3))), "{told:?}");
        let found =
            Event::CheckpointFound { step: 0, head: String::new(), skipped: vec!["of step 2".into()] };
        assert_eq!(ledger.handle(10_000, found), [Command::Notice("of step 2".into())]);
        let later = 10_000 + super::super::REGATHER_MS;
        assert!(opened(&ledger.handle(later, Event::Tick)));
        assert_eq!(ledger.status().step, 0);
    }

    #[test]
    fn weights_that_were_received_in_a_generation_that_ended_are_not_lost_with_whoever_sent_them() {
        let ledger = &mut Ledger { settings: Settings { max_workers: 2, ..run(100).settings }, ..run(100) };
        let other = WorkerId(2);
        comes(ledger, 2, other);
        assert!(opened(&ledger.handle(3, ready(1))), "it receives the weights of step 2 in generation 2");
        ledger.handle(4, Event::Lost { worker: WORKER, reason: "killed".into() });
        let holds = |applied, entered| {
            let (since, tail) = (Opening { term: 1, generation: entered }, Tail::default());
            Event::Prepared { worker: other, applied, since, entered, tail }
        };
        // Whatever it wants meanwhile, and however long it takes.
        ledger.handle(5, Event::Leave { worker: other });
        for now in (100..10_000).step_by(100) {
            ledger.handle(now, Event::Heartbeat { worker: other, progress: Progress::default() });
            assert_eq!(ledger.handle(now, Event::Tick), []);
        }
        assert_eq!(ledger.handle(10_000, holds(None, 1)), [], "said before it took up generation 2");
        assert_eq!(checkpoints(&ledger.handle(10_001, holds(Some(2), 2))), [2]);
    }
}
