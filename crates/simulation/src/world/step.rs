//! A step: every member computes its share, the sum is there on all of them at once, and each votes on it.

use ledger::{Event, Share, StepReport, Waits, WorkerId};

use super::{Planned, World};
use crate::worker::{Doing, Worker};
use crate::{Observer, Seen};

impl<O: Observer> World<O> {
    /// Begins the share of the next step.
    pub(crate) fn compute(&mut self, worker: WorkerId) {
        let Some(state) = self.workers.get(&worker) else { return };
        let (Some(membership), Some(step)) = (&state.membership, state.applied()) else { return };
        let (group, slowness) = (membership.key(), state.slowness.max(1));
        if membership.leaves_out(step) {
            return self.leave_out(worker, step);
        }
        if state.hangs {
            return;
        }
        let (count, again) = (self.scenario.settings.batches.of(step).count, self.twice(step, membership));
        let share = membership.share(count).len() + again.map_or(0, |(_, again)| usize::from(again));
        let takes = (0..share).map(|_| slowness * self.draw(|scenario| scenario.times.micro_batch)).sum();
        if let Some(state) = self.workers.get_mut(&worker) {
            state.computes = takes;
        }
        self.plan(takes, Planned::Computed { worker, group, step });
    }

    /// The micro-batch that a member computes for the sake of comparison, if it does, and whether it is another's.
    fn twice(&self, step: u64, membership: &crate::worker::Membership) -> Option<(u64, bool)> {
        let every = self.scenario.settings.guards.recompute_every;
        if every == 0 || !step.is_multiple_of(every) {
            return None;
        }
        let count = self.scenario.settings.batches.of(step).count;
        let draw = step.wrapping_mul(0x9e37_79b9);
        let index = draw % count;
        let ranks = membership.twice(index, draw, count);
        ranks.contains(&membership.rank).then_some((index, ranks[0] != membership.rank))
    }

    /// A step that nobody computes is voted on all the same.
    fn leave_out(&mut self, worker: WorkerId, step: u64) {
        let Some(membership) = self.workers.get_mut(&worker).and_then(|state| state.membership.as_mut())
        else {
            return;
        };
        membership.doing = Doing::Voting { gradient: None };
        let (generation, report) = (membership.key().1, report(None, f64::NAN));
        self.say(worker, Event::Ready { worker, generation, step, report, share: Share::default() });
    }

    pub(super) fn computed(&mut self, worker: WorkerId, key: (u64, u64), step: u64) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        let (Some(held), Some(membership)) = (state.held, state.membership.as_mut()) else { return };
        if membership.key() != key || membership.doing != Doing::Computing || held.applied != step {
            return;
        }
        membership.doing = Doing::Reducing;
        let wrong = u64::from(state.miscomputes);
        (state.waits_since, state.done) = (self.now, state.done + 1);
        let share = membership.share(self.scenario.settings.batches.of(step).count);
        let gradients = share.into_iter().map(|index| (index, held.gradient(index) ^ wrong)).collect();
        let failed = self.chance(self.scenario.faults.collective * 100);
        let members = self.groups.get(&key).map(|group| group.members.clone()).unwrap_or_default();
        let failed = failed || self.cannot_reach_each_other(&members);
        let Some(group) = self.groups.get_mut(&key) else { return };
        if group.broken || failed {
            return self.break_group(key);
        }
        if group.add(worker, gradients) {
            let delay = self.draw(|scenario| scenario.times.collective);
            self.plan(delay, Planned::Reduced { group: key, step });
        }
    }

    /// The sum is there, on all members at once; each reports it.
    pub(super) fn reduced(&mut self, key: (u64, u64), step: u64) -> Result<(), String> {
        let Some(group) = self.groups.get_mut(&key).filter(|group| !group.broken) else { return Ok(()) };
        let (gradient, shares) = group.reduce();
        let members = group.members.clone();
        self.see(&Seen::Reduced { generation: key, step, shares: &shares })?;
        let loss = if self.scenario.jump == Some(step) { 100.0 } else { 1.0 + (step % 3) as f64 / 100.0 };
        for worker in members {
            let Some(state) = self.workers.get(&worker) else { continue };
            let Some(membership) = state.membership.as_ref().filter(|membership| membership.key() == key)
            else {
                continue;
            };
            if membership.doing == Doing::Reducing {
                let share = self.share(step, state, membership);
                if let Some(membership) =
                    self.workers.get_mut(&worker).and_then(|state| state.membership.as_mut())
                {
                    membership.doing = Doing::Voting { gradient: Some(gradient) };
                }
                let (generation, report) = (key.1, report(Some(gradient), loss));
                self.say(worker, Event::Ready { worker, generation, step, report, share });
            }
        }
        Ok(())
    }

    /// What a member says of its own part of a step.
    fn share(&self, step: u64, state: &Worker, membership: &crate::worker::Membership) -> Share {
        let compare = self.scenario.settings.guards.compare_every;
        let held = state.held.filter(|_| compare > 0 && step.is_multiple_of(compare));
        let result = |index| state.held.map_or(0, |held| held.gradient(index) ^ u64::from(state.miscomputes));
        let twice = self.twice(step, membership).map(|(index, _)| (index, format!("{:x}", result(index))));
        Share {
            micro_batches: membership.share(self.scenario.settings.batches.of(step).count).len() as u64,
            compute_ms: state.computes as f64,
            data_ms: 0.0,
            checkpoint_ms: 0.0,
            reduce_ms: (self.now - state.waits_since) as f64,
            poisoned: Vec::new(),
            recomputed: twice.into_iter().collect(),
            state_digest: held.map(|held| format!("{:x}", held.hash)),
        }
    }

    /// Whether there are several, and a link between two of them does not hold.
    pub(super) fn cannot_reach_each_other(&self, members: &[WorkerId]) -> bool {
        let cut_off = |id| self.workers.get(id).is_some_and(|state| self.now < state.unreachable_until);
        members.len() > 1 && members.iter().any(cut_off)
    }
}

/// What all members found: in a step that is left out, nothing.
fn report(gradient: Option<u64>, loss: f64) -> StepReport {
    StepReport {
        loss,
        targets: 1,
        tokens: 1,
        grad_norm: 1.0,
        digest: gradient.map_or_else(String::new, |gradient| format!("{gradient:016x}")),
        overflowed: gradient.is_none(),
        measures: Vec::new(),
        waits: Waits::default(),
    }
}
