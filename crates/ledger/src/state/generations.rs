//! Generations: opened with whoever is there, committed step by step, closed when a member is lost.

use super::members::NOBODY;
use super::{Attempt, FAILURE_GRACE_MS, Ledger, Phase, REGATHER_MS, Worker};
use crate::{Command, Generation, Next, Record, StateSource, StepReport, WorkerId};

impl Ledger {
    pub(super) fn is_current(&self, worker: WorkerId, generation: u64) -> bool {
        let open = self.generation.as_ref().is_some_and(|open| open.number == generation);
        open && self.workers.get(&worker).is_some_and(|worker| worker.generation == generation)
    }

    pub(super) fn open_generation(&mut self, now: u64, out: &mut Vec<Command>) {
        // A run that somebody is in the middle of does not begin.
        let begins = self.opened == 0 && self.workers.values().all(|worker| worker.applied.is_none());
        let needed = if begins { self.settings.min_workers } else { 1 }.max(1);
        if self.workers.len() < needed {
            return;
        }
        let ready: Vec<WorkerId> =
            self.workers.iter().filter(|(_, w)| w.prepared && !w.leaving).map(|(&id, _)| id).collect();
        let held = ready.iter().any(|id| self.workers[id].applied == Some(self.step));
        if ready.len() < needed || self.awaits_survivors(now, held) || !self.knows_the_newest(held) {
            return;
        }
        if !held && !self.last_holders().is_empty() {
            self.missing_since = None;
            return; // They are about to store them.
        }
        let stored = |attempt: &Attempt| attempt.parts.len() == attempt.members.len();
        if !held && (self.attempts.contains_key(&self.step) || self.attempts.values().any(stored)) {
            return; // A checkpoint is about to exist; going back now would be going back too far.
        }
        // Whoever could not read it gives others some time to come.
        let unable = |id: &WorkerId| self.workers[id].could_not_restore;
        let is_out = |id: &WorkerId| unable(id) || !self.may_take_part(now, *id);
        let nobody_is_able = !held && self.step > 0 && ready.iter().all(is_out);
        if held || (self.step == self.durable && !nobody_is_able) {
            self.missing_since = None;
        } else if now < *self.missing_since.get_or_insert(now) + REGATHER_MS || self.survivors_are_busy() {
            return;
        }
        if !held && self.step != self.durable {
            // Somebody who fell behind may still hold more than the checkpoint.
            let behind =
                self.workers.values().filter_map(|worker| worker.applied).filter(|&held| held < self.step);
            let (best, lost) = (behind.fold(self.durable, u64::max), self.step);
            self.step = best;
            let from = if best == self.durable { "the checkpoint of " } else { "" };
            out.push(Command::Notice(format!(
                "{NOBODY}: back to {from}step {best}, {} steps are redone",
                lost - best
            )));
            if !self.last_holders().is_empty() {
                return; // Whoever holds them wants to go, and stores them first.
            }
        }
        let holds = |id: &WorkerId| self.workers[id].applied == Some(self.step);
        let held = ready.iter().any(holds);
        let ready = ready.into_iter().filter(|&id| self.may_take_part(now, id));
        let (mut members, mut others): (Vec<_>, Vec<_>) = ready.partition(holds);
        if members.is_empty() && (held || others.is_empty()) {
            return; // Those who are left out for a while are waited for.
        }
        // The first one restores, if nobody holds them.
        others.sort_by_key(|id| (self.workers[id].could_not_restore, self.workers[id].trials));
        members.extend(others);
        members.truncate(self.settings.max_workers);
        let sources = members.iter().enumerate().map(|(rank, id)| match (holds(id), rank) {
            (true, _) => StateSource::Keep,
            (false, 0) => StateSource::Restore,
            (false, _) => StateSource::Receive,
        });
        let sources: Vec<StateSource> = sources.collect();
        self.record_what_was_brought(out);
        let restored = sources[0] == StateSource::Restore && self.step > 0;
        if restored || self.step > self.record.steps {
            self.record_going_on_from_the_checkpoint(out);
        }
        self.open_with(now, members, sources, out);
    }

    fn open_with(
        &mut self,
        now: u64,
        members: Vec<WorkerId>,
        sources: Vec<StateSource>,
        out: &mut Vec<Command>,
    ) {
        self.opened += 1;
        self.missing_since = None;
        self.record_whether_it_is_paused(out);
        let deal = self.deal_for(&members);
        let left_out = self.record.left_out.iter().copied().filter(|&(_, end)| end > self.step).collect();
        let number = self.record.generations + 1;
        for (member, source) in members.iter().zip(&sources) {
            let known = self.workers.get_mut(member).expect("a member is a worker");
            // Whatever it waited for before, it begins now.
            (known.generation, known.progressed) = (number, now);
            if *source != StateSource::Keep {
                // On its way; the member holds it when it is ready.
                known.applied = None;
            }
        }
        let generation = Generation { number, members, step: self.step, sources, deal, left_out };
        let same_members = generation.members == self.record.last_members && !generation.needs_broadcast();
        self.timing.begin(same_members);
        let even = generation.deal.is_even();
        let reason = std::mem::take(&mut self.reason);
        let platform = self.new_platform(&generation.members, out);
        self.record(
            Record::Opened {
                term: self.term,
                generation: generation.number,
                step: generation.step,
                members: generation.members.clone(),
                weights: if even { Vec::new() } else { generation.deal.weights().to_vec() },
                platform,
                reason: reason.clone(),
            },
            out,
        );
        (self.dealt_at, self.phase, self.got_on_at) = (self.step, Phase::Running, now);
        self.generation = Some(generation.clone());
        let (tail, keepers) = (self.tell(self.tail.first), self.settings.keepers);
        out.push(Command::Open { generation, reason, tail, keepers });
    }

    /// What the members' results depend on, if that is not what it was before.
    fn new_platform(&self, members: &[WorkerId], out: &mut Vec<Command>) -> String {
        let now = members.first().and_then(|id| self.workers.get(id)).map(|worker| &worker.info.platform);
        let before = &self.record.platform;
        let Some(now) = now.filter(|now| *now != before) else { return String::new() };
        if !before.is_empty() {
            out.push(Command::Notice(format!(
                "the run was computed on {before} so far, and is on {now} from here on: in the last bits it is another one \
                 than it would have been"
            )));
        }
        now.clone()
    }

    /// Ends the open generation without committing the step in flight.
    pub(super) fn close_generation(&mut self, why: &str, out: &mut Vec<Command>) {
        let Some(generation) = self.generation.take() else { return };
        let members = generation.members.into_iter().filter(|id| self.workers.contains_key(id)).collect();
        self.clear_votes();
        self.reason = why.to_owned();
        self.phase = Phase::Gathering;
        out.push(Command::Abort { generation: generation.number, members, reason: why.to_owned() });
    }

    /// A member failed, but nobody is known to be dead: wait a moment for the news, then try again.
    pub(super) fn give_up_failed_generation(&mut self, now: u64, out: &mut Vec<Command>) {
        let (Some(since), Some(open)) = (self.failed_since, &self.generation) else { return };
        if self.failed.len() < open.members.len() && now < since + FAILURE_GRACE_MS {
            return;
        }
        let (worker, failure) = self.failed.first_key_value().expect("failed_since is set with an entry");
        let why = format!("{worker} could not go on: {}", failure.reason);
        self.take_apart(now, &why, out);
    }

    pub(super) fn commit_if_all_are_ready(&mut self, now: u64, out: &mut Vec<Command>) {
        if self.generation.as_ref().is_none_or(|open| self.ready.len() < open.members.len()) {
            return;
        }
        let Some(mut open) = self.generation.clone() else { return };
        if self.storage_is_behind(out) {
            return;
        }
        if self.doubts(&open, out) {
            return;
        }
        let report = self.ready[&open.members[0]].report.clone();
        if self.goes_back_before(&report, out) {
            return;
        }
        self.learn_pace(now);
        self.got_on_at = now;
        self.record(self.committed(open.number, &report), out);
        let step = self.step;
        self.step += 1;
        if self.settings.batches.of(self.step).phase != self.settings.batches.of(step).phase {
            self.forget_pace();
        }
        self.failures_in_a_row = 0;
        self.give_up_if_all_is_skipped(&report, out);
        if self.phase == Phase::Done {
            return;
        }
        self.last = Some(self.with_waits(report));
        self.clear_votes();
        for member in &open.members {
            let known = self.workers.get_mut(member).expect("a member is a worker");
            (known.applied, known.trials) = (Some(self.step), 0);
        }
        let next = if self.must_regroup(now, &open) { Next::Wait } else { Next::Continue };
        let deal = if next == Next::Continue { self.better_deal(&open) } else { None };
        if let Some(deal) = &deal {
            let weights = deal.weights().to_vec();
            self.record(Record::Dealt { generation: open.number, step: self.step, weights }, out);
            open.deal = deal.clone();
            self.generation = Some(open.clone());
        }
        let (tail, recorded) = (self.tell(self.told), self.tail.first);
        let (generation, members, keepers) = (open.number, open.members.clone(), self.settings.keepers);
        out.push(Command::Commit { generation, step, members, next, deal, tail, keepers, recorded });
        if next == Next::Wait {
            (self.generation, self.phase) = (None, Phase::Gathering);
            self.reason = "members come or go".to_owned();
        }
        let due = self.owed || self.step.is_multiple_of(self.settings.checkpoint_every);
        if due && self.step < self.settings.steps {
            self.checkpoint_if_storage_keeps_up(open.members, out);
        }
    }

    /// Members keep the records that are not durable yet, so that there must not be more and more of them.
    fn storage_is_behind(&mut self, out: &mut Vec<Command>) -> bool {
        let waiting = self.tail.records.len();
        let behind = waiting >= self.settings.unstored;
        if behind != std::mem::replace(&mut self.waits_for_storage, behind) {
            out.push(Command::Notice(match behind {
                true => format!("storage has not taken the last {waiting} records: the run waits for it"),
                false => "storage takes records again: the run goes on".to_owned(),
            }));
        }
        behind
    }

    pub(super) fn must_regroup(&self, now: u64, open: &Generation) -> bool {
        let spare = |(id, worker): (&WorkerId, &Worker)| {
            worker.generation != open.number && self.may_take_part(now, *id)
        };
        self.step >= self.settings.steps
            || self.stopping
            || self.paused.is_some()
            || open.members.iter().any(|member| self.leaving.contains(member))
            || (open.members.len() < self.settings.max_workers && self.workers.iter().any(spare))
    }

    pub(super) fn committed(&self, generation: u64, report: &StepReport) -> Record {
        let batch = self.settings.batches.of(self.step);
        Record::Committed {
            generation,
            step: self.step,
            phase: batch.phase,
            first_micro_batch: batch.first,
            micro_batches: batch.count,
            loss: report.loss,
            targets: report.targets,
            grad_norm: report.grad_norm,
            digest: report.digest.clone(),
            skipped: report.overflowed,
            poisoned: if report.overflowed { self.poisoned() } else { Vec::new() },
        }
    }

    pub(super) fn clear_votes(&mut self) {
        self.ready.clear();
        self.failed.clear();
        self.failed_since = None;
    }
}
