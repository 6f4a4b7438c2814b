//! Who is there: workers come, fall silent, are lost, leave.

use super::{FINAL_CHECKPOINT_ATTEMPTS, Ledger, Worker};
use crate::{Command, Tail, WorkerId, WorkerInfo};

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

    /// A worker says what it holds.
    pub(super) fn prepared(&mut self, worker: WorkerId, applied: Option<u64>, tail: Tail) {
        let Some(known) = self.workers.get_mut(&worker) else { return };
        (known.prepared, known.applied) = (true, applied);
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
        }
        let brought = self.brought.as_ref().and_then(|tail| tail.since(end)).unwrap_or_default();
        let steps = brought.iter().fold(self.record.steps, |steps, record| record.steps_after(steps));
        let held =
            self.workers.values().filter_map(|worker| worker.applied).filter(|&applied| applied <= steps);
        self.step = held.fold(self.durable, u64::max);
    }

    /// Records again what the coordinator before has decided and could not store: members have acted on it.
    pub(super) fn record_what_was_brought(&mut self, out: &mut Vec<Command>) {
        let Some(brought) = self.brought.take() else { return };
        for record in brought.since(self.tail.end()).unwrap_or_default().to_vec() {
            self.record_of(brought.term, record, out);
        }
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
        if now.saturating_sub(self.last_tick) > limit / 2 {
            // It was us who slept: nobody could be heard.
            self.workers.values_mut().for_each(|worker| worker.last_heard = now);
        }
        self.last_tick = now;
        let silent: Vec<(WorkerId, u64)> = self
            .workers
            .iter()
            // Preparing can take long, and nobody waits for it.
            .filter(|(_, worker)| worker.prepared)
            .map(|(&id, worker)| (id, now.saturating_sub(worker.last_heard)))
            .filter(|&(_, silence)| silence > limit)
            .collect();
        for (worker, silence) in silent {
            let reason = format!("silent for {silence} ms (cluster.dead_after_ms = {limit})");
            self.lose(worker, &reason, out);
            out.push(Command::Disconnect { worker });
        }
    }

    /// Lets those go who asked for it, between two generations. Whoever alone holds the weights stores them first.
    pub(super) fn dismiss_the_leaving(&mut self, out: &mut Vec<Command>) {
        let member = |id: &WorkerId| self.generation.as_ref().is_some_and(|open| open.rank_of(*id).is_some());
        let leaving: Vec<WorkerId> =
            self.workers.iter().filter(|(id, w)| w.leaving && !member(id)).map(|(&id, _)| id).collect();
        let holds = |worker: &Worker| worker.applied == Some(self.step) && self.step > self.durable;
        let somebody_stays = self.workers.values().any(|worker| holds(worker) && !worker.leaving);
        let holders: Vec<WorkerId> =
            leaving.iter().copied().filter(|id| !somebody_stays && holds(&self.workers[id])).collect();
        let can_store = self.refused_attempts <= FINAL_CHECKPOINT_ATTEMPTS;
        if !holders.is_empty() && can_store && !self.attempts.contains_key(&self.step) {
            self.start_checkpoint(holders.clone(), out);
        }
        for worker in leaving {
            let needed = can_store && holders.contains(&worker);
            if !needed && !self.attempts.values().any(|attempt| attempt.waits_for(worker)) {
                self.workers.remove(&worker);
                out.push(Command::Dismiss { worker, reason: "it asked to leave".into() });
            }
        }
    }
}
