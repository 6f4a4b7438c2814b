//! Who is there: workers come, fall silent, are lost, leave.

use std::collections::BTreeSet;

use super::{FINAL_CHECKPOINT_ATTEMPTS, Ledger, Pace, REGATHER_MS, SURVIVORS_MS, Worker};
use crate::{Command, Doing, Opening, Progress, Record, Tail, WorkerId, WorkerInfo};

/// How long members may take to connect once all of them are at it, in milliseconds.
const CONNECTING_MS: u64 = 20_000;
/// Why the run goes back.
pub(super) const NOBODY: &str = "no worker holds the weights any more";

/// Why two machines do not compute one run.
fn unlike(refused: &WorkerInfo, other: &WorkerInfo) -> String {
    format!(
        "{} runs on {}, but {} on {}: their results would differ in the last bits; use machines of one kind",
        refused.name, refused.platform, other.name, other.platform
    )
}

impl Worker {
    /// Whether its last generation may have given it weights of which it has not said anything yet.
    fn may_have_received(&self) -> bool {
        self.applied.is_none() && self.entered < self.generation
    }
}

impl Ledger {
    pub(super) fn hello(&mut self, now: u64, worker: WorkerId, info: WorkerInfo, out: &mut Vec<Command>) {
        if self.workers.contains_key(&worker) {
            self.lose(worker, "it connected again", out);
        }
        // All that are here agree, so the first speaks for them.
        let other = self.workers.values().next().map(|other| other.info.clone());
        if let Some(other) = other.filter(|other| other.platform != info.platform) {
            // Whoever has computed so far holds the weights: the others came first by chance.
            if self.opened > 0 || info.platform != self.record.platform {
                return out.push(Command::Refuse { worker, reason: unlike(&info, &other) });
            }
            for (stranger, known) in std::mem::take(&mut self.workers) {
                self.do_without(stranger, "its machine is of another kind", out);
                out.push(Command::Refuse { worker: stranger, reason: unlike(&known.info, &info) });
            }
        }
        let known = Worker {
            info,
            last_heard: now,
            prepared: false,
            applied: None,
            since: Opening::default(),
            leaving: false,
            pace: Pace::default(),
            progress: Progress::default(),
            progressed: now,
            generation: 0,
            entered: 0,
            could_not_restore: false,
            trials: 0,
            not_before: 0,
        };
        self.workers.insert(worker, known);
    }

    /// A worker says what it holds.
    pub(super) fn prepared(
        &mut self,
        now: u64,
        worker: WorkerId,
        held: (Option<u64>, Opening),
        entered: u64,
        tail: Tail,
    ) {
        let Some(known) = self.workers.get_mut(&worker) else { return };
        known.prepared = true;
        // In a generation that it does not know of yet, it may lose them, or get others.
        if entered >= known.generation {
            ((known.applied, known.since), known.entered) = (held, entered);
        }
        self.reject_what_is_not_used();
        self.gathering_since.get_or_insert(now);
        if self.opened == 0 {
            self.take_up(tail);
        }
    }

    /// A coordinator that comes back learns from the workers how far the run had come, and what was decided without
    /// becoming durable. Weights that no record accounts for are not used: nobody could say what is in them.
    fn take_up(&mut self, tail: Tail) {
        let end = self.tail.end();
        let newest = self.brought.as_ref().map_or((self.record.term, end), |tail| (tail.term, tail.end()));
        // Once something is recorded, another way that others know of is closed.
        let open = end == self.begun && tail.since(end).is_some();
        if (tail.term, tail.end()) > newest && open {
            self.brought = Some(tail);
            if !self.asked {
                let stored = self.record.paused.clone();
                self.paused =
                    self.brought().iter().fold(stored, |paused, record| record.paused_after(paused));
            }
        }
        self.reject_what_is_not_used();
        self.take_stock();
    }

    /// Updates that are committed, as far as anybody here knows, and the most that ever were.
    fn known_steps(&self) -> (u64, u64) {
        self.brought().iter().fold((self.record.steps, self.record.furthest), |(steps, furthest), record| {
            let steps = record.steps_after(steps);
            (steps, furthest.max(steps))
        })
    }

    /// Whether no checkpoint of the terms before can be newer than the weights at hand, if somebody holds them.
    pub(super) fn knows_the_newest(&self, held: bool) -> bool {
        let (steps, furthest) = self.known_steps();
        let stored = self.durable > 0 && self.durable == self.step;
        self.looked || ((held || stored) && self.step == steps && self.step == furthest)
    }

    /// Before the first generation of a term: the run goes on from the newest weights that a record accounts for, also if
    /// whoever brought them is cut off again: for a moment, maybe.
    pub(super) fn take_stock(&mut self) {
        let (steps, _) = self.known_steps();
        let held =
            self.workers.values().filter_map(|worker| worker.applied).filter(|&applied| applied <= steps);
        let cut_off = Some(self.step).filter(|&step| step <= steps).unwrap_or_default();
        self.step = held.chain([cut_off]).fold(self.durable, u64::max);
    }

    /// Between two generations: whoever comes back may hold more than what the run was about to go back to.
    pub(super) fn go_forth(&mut self) {
        if self.opened > 0 {
            let held = self.workers.values().filter_map(|worker| worker.applied);
            self.step = held.filter(|&applied| applied <= self.record.steps).fold(self.step, u64::max);
        }
    }

    /// Whether members of the generation before this term may be about to come: they know best how far the run had come,
    /// and whoever comes first may know nothing.
    pub(super) fn awaits_survivors(&self, now: u64, held: bool) -> bool {
        let patience = if held { SURVIVORS_MS } else { REGATHER_MS };
        let may_come = self.gathering_since.is_none_or(|since| now < since + patience);
        if self.opened > 0 || self.term == 1 || !may_come {
            return self.opened == 0 && self.survivors_are_busy();
        }
        let last = self.last_members();
        let here = |member| self.workers.get(member).is_some_and(|worker| worker.prepared);
        last.is_empty() || !last.iter().all(here)
    }

    /// The members of the last generation of which anybody here knows.
    fn last_members(&self) -> &[WorkerId] {
        let opened = self.brought().iter().rev().find_map(|record| match record {
            Record::Opened { members, .. } => Some(members),
            _ => None,
        });
        opened.unwrap_or(&self.record.last_members)
    }

    /// Whether somebody who may hold weights is connected and has not said yet what it holds: it may be in the middle of a
    /// micro-batch.
    pub(super) fn survivors_are_busy(&self) -> bool {
        let unprepared = |member| self.workers.get(member).is_some_and(|worker| !worker.prepared);
        self.last_members().iter().any(unprepared) || self.workers.values().any(Worker::may_have_received)
    }

    /// Weights of a way that the run has left are as good as none.
    pub(super) fn reject_what_is_not_used(&mut self) {
        let mut rejected = self.record.rejected.clone();
        let mut last = self.record.last;
        for record in self.brought() {
            rejected.extend(super::stored::rejected_by(last, record));
            if let Record::Opened { term, generation, .. } = record {
                last = Opening { term: *term, generation: *generation };
            }
        }
        for worker in self.workers.values_mut() {
            let since = worker.since;
            let left = |applied| rejected.iter().any(|&(until, above)| since <= until && applied > above);
            worker.applied = worker.applied.filter(|&applied| !left(applied));
        }
    }

    /// What the coordinator before has decided and could not store, as far as anybody has brought it. Meanwhile a record
    /// of our own may have come, of a checkpoint that was on its way: it does not take the place of any of them.
    fn brought(&self) -> &[Record] {
        self.brought.as_ref().and_then(|tail| tail.since(self.begun)).unwrap_or_default()
    }

    /// Records again what the coordinator before has decided and could not store: members have acted on it.
    pub(super) fn record_what_was_brought(&mut self, out: &mut Vec<Command>) {
        let records = self.brought().to_vec();
        let Some(brought) = self.brought.take() else { return };
        for record in records {
            self.record_of(brought.term, record, out);
        }
    }

    pub(super) fn lose(&mut self, worker: WorkerId, reason: &str, out: &mut Vec<Command>) {
        let Some(lost) = self.workers.remove(&worker) else { return };
        let why = format!("{} is gone: {reason}", lost.info.name);
        self.do_without(worker, &why, out);
        if self.generation.as_ref().is_some_and(|open| open.rank_of(worker).is_some()) {
            self.close_generation(&why, out);
        } else {
            out.push(Command::Notice(why));
        }
    }

    /// Gives up whatever waits for a worker that is no longer there.
    pub(super) fn do_without(&mut self, worker: WorkerId, why: &str, out: &mut Vec<Command>) {
        self.leaving.remove(&worker);
        self.lingering.remove(&worker);
        let unfinished: Vec<u64> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.waits_for(worker))
            .map(|(&step, _)| step)
            .collect();
        // Which steps are left out for a jump of the loss depends on where checkpoints are.
        self.owed |= !unfinished.is_empty() && self.settings.guards.spike.is_none();
        for step in unfinished {
            self.drop_attempt(step, why, out);
        }
    }

    pub(super) fn bury_the_silent(&mut self, now: u64, out: &mut Vec<Command>) {
        let limit = self.silence_limit();
        if now.saturating_sub(self.last_tick) > limit / 2 {
            // It was us who slept: nobody could be heard.
            for worker in self.workers.values_mut() {
                (worker.last_heard, worker.progressed) = (now, now);
            }
        }
        self.last_tick = now;
        let survivors: BTreeSet<WorkerId> = self.last_members().iter().copied().collect();
        let silent: Vec<(WorkerId, u64)> = self
            .workers
            .iter()
            // Preparing can take long, and nobody waits for it; but for those who were members before.
            .filter(|(id, worker)| worker.prepared || survivors.contains(id))
            .map(|(&id, worker)| (id, now.saturating_sub(worker.last_heard)))
            .filter(|&(_, silence)| silence > limit)
            .collect();
        for (worker, silence) in silent {
            let reason =
                format!("silent for {silence} ms, and {limit} are the limit (cluster.dead_after_ms)");
            self.lose(worker, &reason, out);
            out.push(Command::Disconnect { worker });
        }
    }

    /// A worker says how far it has come.
    pub(super) fn got_on(&mut self, now: u64, worker: WorkerId, progress: Progress) {
        if let Some(known) = self.workers.get_mut(&worker)
            && known.progress != progress
        {
            (known.progress, known.progressed) = (progress, now);
        }
    }

    /// Members that live but do not get on: one that computes for much too long is lost; if all wait for each other, the
    /// generation is.
    pub(super) fn end_what_hangs(&mut self, now: u64, out: &mut Vec<Command>) {
        let Some(open) = &self.generation else { return };
        let late = open.members.iter().filter(|member| !self.ready.contains_key(member));
        let late: Vec<(WorkerId, Doing, u64)> = late
            .map(|member| (*member, &self.workers[member]))
            .map(|(id, worker)| (id, worker.progress.doing, now.saturating_sub(worker.progressed)))
            .collect();
        let hangs = late.iter().find_map(|&(worker, doing, still)| {
            let limit = match doing {
                Doing::Computing => self.compute_limit(worker),
                Doing::Waiting => self.waiting_limit(),
                Doing::Connecting | Doing::Collective => return None,
            };
            (still > limit).then_some((worker, still, limit))
        });
        if let Some((worker, still, limit)) = hangs {
            let reason = format!("it has not got on for {still} ms, and {limit} are the limit");
            self.lose(worker, &reason, out);
            return out.push(Command::Disconnect { worker });
        }
        let waiting = self.collective_limit();
        let waits =
            |&(_, doing, still): &(WorkerId, Doing, u64)| doing == Doing::Collective && still > waiting;
        let together =
            |&(_, doing, _): &(WorkerId, Doing, u64)| matches!(doing, Doing::Collective | Doing::Connecting);
        let all_for = late.iter().map(|&(_, _, still)| still).min().unwrap_or(0);
        let connects = late.iter().find(|(_, doing, _)| *doing == Doing::Connecting);
        if !late.is_empty() && late.iter().all(waits) {
            let why =
                format!("its members wait for each other for more than {waiting} ms: a connection hangs");
            self.take_apart(now, &why, out);
        } else if let Some((worker, ..)) = connects
            && late.iter().all(together)
            && all_for > CONNECTING_MS
        {
            let why = format!("{worker} was not connected with the others within {CONNECTING_MS} ms");
            self.take_apart(now, &why, out);
        }
    }

    /// Those who want to go and must not yet: nobody who stays holds the weights, and they can be stored.
    pub(super) fn last_holders(&self) -> Vec<WorkerId> {
        let holds = |worker: &Worker| worker.applied == Some(self.step) && self.step > self.durable;
        let somebody_stays = self.workers.values().any(|worker| holds(worker) && !worker.leaving);
        if somebody_stays || self.generation.is_some() || self.refusals() > FINAL_CHECKPOINT_ATTEMPTS {
            return Vec::new();
        }
        let leaving = self.workers.iter().filter(|(_, worker)| worker.leaving && holds(worker));
        leaving.map(|(&worker, _)| worker).collect()
    }

    /// Whether the run may have to go back to what this worker holds: nobody holds the weights of the last committed step, or
    /// newer ones than it does.
    fn is_best(&self, worker: WorkerId) -> bool {
        let held = self.workers.get(&worker).and_then(|worker| worker.applied);
        let best = self.workers.values().filter_map(|worker| worker.applied).max();
        let can_store = self.refusals() <= FINAL_CHECKPOINT_ATTEMPTS;
        self.generation.is_none()
            && can_store
            && held == best
            && held < Some(self.step)
            && held > Some(self.durable)
    }

    /// Nobody is left who could go on, and whoever wants to go fell behind: that is what there is to store.
    fn go_back_to_the_last(&mut self, now: u64, out: &mut Vec<Command>) {
        let alone = self.workers.values().all(|worker| worker.leaving || !worker.prepared);
        let best = self.leaving.iter().copied().find(|&worker| self.is_best(worker));
        let known = self.looked && !self.survivors_are_busy();
        let held = best.and_then(|worker| self.workers[&worker].applied).filter(|_| alone && known);
        if let Some(held) = held {
            if now < *self.missing_since.get_or_insert(now) + REGATHER_MS {
                return;
            }
            let lost = self.step - held;
            out.push(Command::Notice(format!("{NOBODY}: back to step {held}, {lost} steps are redone")));
            self.step = held;
        }
    }

    /// Lets those go who asked for it, between two generations. Whoever alone holds the weights stores them first.
    pub(super) fn dismiss_the_leaving(&mut self, now: u64, out: &mut Vec<Command>) {
        if self.leaving.is_empty() {
            return;
        }
        // Those who come next may hold more, or account for weights that nobody here can account for.
        let gathering =
            self.opened == 0 && self.gathering_since.is_some_and(|since| now < since + REGATHER_MS);
        if !gathering {
            self.go_back_to_the_last(now, out);
        }
        let holders = self.last_holders();
        if !holders.is_empty() && !gathering && self.may_store(now) {
            self.start_checkpoint(holders.clone(), out);
        }
        let member = |id: &WorkerId| self.generation.as_ref().is_some_and(|open| open.rank_of(*id).is_some());
        let leaving: Vec<WorkerId> =
            self.leaving.iter().filter(|id| self.workers.contains_key(id) && !member(id)).copied().collect();
        for worker in leaving {
            let known = &self.workers[&worker];
            if (gathering && known.applied > Some(self.durable))
                || known.may_have_received()
                || self.is_best(worker)
            {
                continue;
            }
            if !holders.contains(&worker) && !self.attempts.values().any(|attempt| attempt.waits_for(worker))
            {
                self.workers.remove(&worker);
                self.leaving.remove(&worker);
                self.lingering.remove(&worker);
                out.push(Command::Dismiss { worker, reason: "it asked to leave".into() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, PartReport, Settings, Start, Stored};

    fn committed(generation: u64, step: u64) -> Record {
        Record::Committed {
            generation,
            step,
            phase: 0,
            first_micro_batch: step,
            micro_batches: 1,
            loss: 1.0,
            targets: 1,
            grad_norm: 1.0,
            digest: String::new(),
            skipped: false,
            poisoned: Vec::new(),
        }
    }

    fn opened(generation: u64, step: u64, members: &[WorkerId]) -> Record {
        let (members, reason) = (members.to_vec(), String::new());
        let (weights, platform) = (Vec::new(), String::new());
        Record::Opened { term: 1, generation, step, members, weights, platform, reason }
    }

    fn settings() -> Settings {
        Settings {
            steps: 10,
            batches: plan::Batches::even(1),
            min_workers: 2,
            max_workers: 2,
            checkpoint_every: 100,
            heartbeat_ms: 1_000,
            dead_after_ms: None,
            unmeasured_ms: 20_000,
            guards: plan::Guards::default(),
            keepers: 1,
            unstored: 100,
        }
    }

    /// What a worker of an earlier term says when it comes.
    fn comes(
        ledger: &mut Ledger,
        worker: WorkerId,
        applied: Option<u64>,
        since: Opening,
        tail: Tail,
    ) -> Vec<Command> {
        let info = WorkerInfo { name: worker.to_string(), address: String::new(), platform: String::new() };
        ledger.handle(0, Event::Hello { worker, info });
        ledger.handle(0, Event::Prepared { worker, applied, since, entered: 0, tail })
    }

    #[test]
    fn those_who_computed_so_far_are_not_turned_away_for_a_stranger_who_comes_first() {
        let mut stored = Stored::default();
        let members = vec![WorkerId(1)];
        let (weights, platform, reason) = (Vec::new(), "avx512".to_owned(), String::new());
        let first = Record::Opened { term: 1, generation: 1, step: 0, members, weights, platform, reason };
        for record in [first, committed(1, 0)] {
            stored.append(1, &record);
        }
        let mut ledger = Ledger::new(settings(), Start { term: 2, stored });
        let mut hello = |id: u64, platform: &str| {
            let info = WorkerInfo { name: String::new(), address: String::new(), platform: platform.into() };
            let said = ledger.handle(0, Event::Hello { worker: WorkerId(id), info });
            let refused = said.into_iter().filter_map(|command| match command {
                Command::Refuse { worker, .. } => Some(worker),
                _ => None,
            });
            refused.collect::<Vec<_>>()
        };
        assert_eq!(hello(7, "neon"), []);
        assert_eq!(hello(1, "avx512"), [WorkerId(7)]);
        assert_eq!(hello(8, "neon"), [WorkerId(8)]);
        assert_eq!(hello(2, "avx512"), []);
    }

    #[test]
    fn a_checkpoint_that_is_stored_meanwhile_takes_the_place_of_no_record_that_is_brought() {
        let (leaving, keeper) = (WorkerId(1), WorkerId(2));
        let mut stored = Stored::default();
        for record in [opened(1, 0, &[leaving, keeper]), committed(1, 0)] {
            stored.append(1, &record);
        }
        let mut ledger = Ledger::new(settings(), Start { term: 2, stored });
        let found = Event::CheckpointFound { step: 0, head: String::new(), skipped: Vec::new() };
        ledger.handle(0, found);
        // One that knows nothing newer goes, and stores what it holds.
        let nothing = Tail { term: 1, first: 2, records: Vec::new() };
        comes(&mut ledger, leaving, Some(1), Opening { term: 1, generation: 1 }, nothing);
        ledger.handle(REGATHER_MS, Event::Leave { worker: leaving });
        let part = PartReport {
            name: "part".into(),
            size: 1,
            checksum: String::new(),
            tensors: Vec::new(),
            state_digest: String::new(),
        };
        ledger.handle(REGATHER_MS, Event::PartStored { worker: leaving, step: 1, of: 1, index: 0, part });
        // Before the checkpoint can be seen, another one comes and knows more.
        let more = vec![opened(2, 1, &[keeper]), committed(2, 1)];
        let tail = Tail { term: 1, first: 2, records: more.clone() };
        ledger.handle(REGATHER_MS, Event::Pause { reason: "nothing is to be opened yet".into() });
        comes(&mut ledger, keeper, Some(2), Opening { term: 1, generation: 2 }, tail);
        let mut commands = ledger.handle(REGATHER_MS, Event::CheckpointStored { step: 1 });
        commands.extend(ledger.handle(REGATHER_MS, Event::Unpause));
        let recorded: Vec<Record> = commands
            .into_iter()
            .filter_map(|command| match command {
                Command::Record(record) => Some(record),
                _ => None,
            })
            .collect();
        let brought = [&[Record::Checkpointed { step: 1 }], &more[..]].concat();
        assert!(recorded.starts_with(&brought), "{recorded:?}");
        assert!(matches!(recorded[3], Record::Opened { term: 2, step: 2, .. }), "{recorded:?}");
    }
}
