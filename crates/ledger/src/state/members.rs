//! Who is there: workers come, fall silent, are lost, leave.

use super::{Ledger, Worker};
use crate::{Command, WorkerId, WorkerInfo};

impl Ledger {
    pub(super) fn hello(&mut self, now: u64, worker: WorkerId, info: WorkerInfo, out: &mut Vec<Command>) {
        if self.workers.contains_key(&worker) {
            self.lose(worker, "it connected again", out);
        }
        if let Some(other) = self.workers.values().find(|other| other.info.platform != info.platform) {
            let reason = format!(
                "{} runs on {}, but {} on {}: their results would differ in the last bits; use machines of one kind",
                info.name, info.platform, other.info.name, other.info.platform
            );
            return out.push(Command::Refuse { worker, reason });
        }
        let known = Worker { info, last_heard: now, prepared: false, applied: None, leaving: false };
        self.workers.insert(worker, known);
    }

    pub(super) fn lose(&mut self, worker: WorkerId, reason: &str, out: &mut Vec<Command>) {
        let Some(lost) = self.workers.remove(&worker) else { return };
        let why = format!("{} is gone: {reason}", lost.info.name);
        let unfinished: Vec<u64> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.waits_for(worker))
            .map(|(&step, _)| step)
            .collect();
        for step in unfinished {
            self.drop_attempt(step, &why, out);
        }
        if self.generation.as_ref().is_some_and(|open| open.rank_of(worker).is_some()) {
            self.close_generation(&why, out);
        } else {
            out.push(Command::Notice(why));
        }
    }

    pub(super) fn bury_the_silent(&mut self, now: u64, out: &mut Vec<Command>) {
        let limit = self.settings.dead_after_ms;
        let silent: Vec<(WorkerId, u64)> = self
            .workers
            .iter()
            .map(|(&id, worker)| (id, now.saturating_sub(worker.last_heard)))
            .filter(|&(_, silence)| silence > limit)
            .collect();
        for (worker, silence) in silent {
            let reason = format!("silent for {silence} ms (cluster.dead_after_ms = {limit})");
            self.lose(worker, &reason, out);
            out.push(Command::Refuse { worker, reason: format!("{reason}; connect again") });
        }
    }

    pub(super) fn dismiss_the_leaving(&mut self, out: &mut Vec<Command>) {
        let leaving: Vec<WorkerId> =
            self.workers.iter().filter(|(_, worker)| worker.leaving).map(|(&id, _)| id).collect();
        for worker in leaving {
            if !self.attempts.values().any(|attempt| attempt.waits_for(worker)) {
                self.workers.remove(&worker);
                out.push(Command::Dismiss { worker, reason: "it asked to leave".into() });
            }
        }
    }
}
