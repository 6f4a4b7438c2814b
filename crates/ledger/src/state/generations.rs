//! Generations: opened with whoever is there, committed step by step, closed when a member is lost.

use super::{Attempt, FAILURE_GRACE_MS, FAILURES_BEFORE_GIVING_UP, Ledger, Phase, Worker};
use crate::{Command, Ending, Generation, Next, Record, StateSource, StepReport, WorkerId};

impl Ledger {
    pub(super) fn is_current(&self, worker: WorkerId, generation: u64) -> bool {
        self.generation
            .as_ref()
            .is_some_and(|open| open.number == generation && open.rank_of(worker).is_some())
    }

    pub(super) fn open_generation(&mut self, out: &mut Vec<Command>) {
        let ready: Vec<WorkerId> =
            self.workers.iter().filter(|(_, w)| w.prepared && !w.leaving).map(|(&id, _)| id).collect();
        let needed = if self.opened == 0 { self.settings.min_workers } else { 1 };
        if ready.len() < needed.max(1) {
            return;
        }
        let held = ready.iter().any(|id| self.workers[id].applied == Some(self.step));
        let stored = |attempt: &Attempt| attempt.parts.len() == attempt.members.len();
        if !held && (self.attempts.contains_key(&self.step) || self.attempts.values().any(stored)) {
            return; // A checkpoint is about to exist; going back now would be going back too far.
        }
        if !held && self.step != self.durable {
            // Somebody who fell behind may still hold more than the checkpoint.
            let behind =
                ready.iter().filter_map(|id| self.workers[id].applied).filter(|&held| held < self.step);
            let (best, lost) = (behind.fold(self.durable, u64::max), self.step);
            self.step = best;
            let from = if best == self.durable { "the checkpoint of " } else { "" };
            out.push(Command::Notice(format!(
                "no worker holds the weights any more: back to {from}step {best}, {} steps are redone",
                lost - best
            )));
        }
        let holds = |id: &WorkerId| self.workers[id].applied == Some(self.step);
        let (mut members, others): (Vec<_>, Vec<_>) = ready.into_iter().partition(holds);
        members.extend(others);
        members.truncate(self.settings.max_workers);
        let sources = members.iter().enumerate().map(|(rank, id)| match (holds(id), rank) {
            (true, _) => StateSource::Keep,
            (false, 0) => StateSource::Restore,
            (false, _) => StateSource::Receive,
        });
        let sources: Vec<StateSource> = sources.collect();
        for (member, source) in members.iter().zip(&sources) {
            if *source != StateSource::Keep {
                // On its way; the member holds it when it is ready.
                self.workers.get_mut(member).expect("a member is a worker").applied = None;
            }
        }
        self.record_what_was_brought(out);
        let restored = sources[0] == StateSource::Restore && self.step > 0;
        if restored || self.step > self.record.steps {
            self.record_going_on_from_the_checkpoint(out);
        }
        self.opened += 1;
        let generation =
            Generation { number: self.record.generations + 1, members, step: self.step, sources };
        let reason = std::mem::take(&mut self.reason);
        self.record(
            Record::Opened {
                term: self.term,
                generation: generation.number,
                step: generation.step,
                members: generation.members.clone(),
                reason: reason.clone(),
            },
            out,
        );
        self.generation = Some(generation.clone());
        self.phase = Phase::Running;
        let tail = self.tell(self.tail.first);
        out.push(Command::Open { generation, reason, tail });
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

    /// A member failed, but nobody is known to be dead: wait a moment for the news, then try with the same members.
    pub(super) fn give_up_failed_generation(&mut self, now: u64, out: &mut Vec<Command>) {
        let (Some(since), Some(open)) = (self.failed_since, &self.generation) else { return };
        if self.failed.len() < open.members.len() && now < since + FAILURE_GRACE_MS {
            return;
        }
        let (worker, reason) = self.failed.first_key_value().expect("failed_since is set with an entry");
        let why = format!("{worker} could not go on: {reason}");
        self.failures_in_a_row += 1;
        self.close_generation(&why, out);
        if self.failures_in_a_row >= FAILURES_BEFORE_GIVING_UP {
            let reason = format!("{FAILURES_BEFORE_GIVING_UP} generations failed in a row; the last: {why}");
            self.end(Ending::Failed(reason), out);
        }
    }

    pub(super) fn commit_if_all_are_ready(&mut self, out: &mut Vec<Command>) {
        let Some(open) = self.generation.clone() else { return };
        if self.ready.len() < open.members.len() {
            return;
        }
        let report = self.ready[&open.members[0]].clone();
        if let Some((worker, _)) = self.ready.iter().find(|(_, other)| other.digest != report.digest) {
            let why =
                format!("{worker} and {} disagree on the gradient of step {}", open.members[0], self.step);
            self.failures_in_a_row += 1;
            self.close_generation(&why, out);
            if self.failures_in_a_row >= FAILURES_BEFORE_GIVING_UP {
                self.end(Ending::Failed(why), out);
            }
            return;
        }
        self.record(self.committed(open.number, &report), out);
        let step = self.step;
        self.step += 1;
        self.failures_in_a_row = 0;
        self.last = Some(report);
        self.clear_votes();
        for member in &open.members {
            self.workers.get_mut(member).expect("a member is a worker").applied = Some(self.step);
        }
        let next = if self.must_regroup(&open) { Next::Wait } else { Next::Continue };
        let members = open.members.clone();
        let (tail, recorded) = (self.tell(self.told), self.tail.first);
        out.push(Command::Commit {
            generation: open.number,
            step,
            members: members.clone(),
            next,
            tail,
            recorded,
        });
        if next == Next::Wait {
            (self.generation, self.phase) = (None, Phase::Gathering);
            self.reason = "members come or go".to_owned();
        }
        if self.step.is_multiple_of(self.settings.checkpoint_every) && self.step < self.settings.steps {
            self.checkpoint_if_storage_keeps_up(members, out);
        }
    }

    pub(super) fn must_regroup(&self, open: &Generation) -> bool {
        let spare = |(id, worker): (&WorkerId, &Worker)| {
            worker.prepared && !worker.leaving && open.rank_of(*id).is_none()
        };
        self.step >= self.settings.steps
            || self.stopping
            || open.members.iter().any(|member| self.workers[member].leaving)
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
        }
    }

    pub(super) fn clear_votes(&mut self) {
        self.ready.clear();
        self.failed.clear();
        self.failed_since = None;
    }
}
