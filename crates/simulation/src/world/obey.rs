//! What is decided is carried out: the ledger's commands one by one, and a worker's orders.

use ledger::{Ending, Event, StateSource, WorkerId};

use super::happen::SUPERVISED;
use super::{Fault, Planned, World};
use crate::coordinator::{Effect, Order, effects};
use crate::worker::{Doing, Membership};
use crate::{Observer, Seen};

/// Groups that are remembered: nobody is in an older one.
const GROUPS: usize = 16;

impl<O: Observer> World<O> {
    /// A coordinator's ledger hears of an event, and what it decides is carried out, unless the process ends between.
    pub(crate) fn tell(&mut self, term: u64, event: Event) -> Result<(), String> {
        let now = self.now;
        if !self.coordinators.contains_key(&term) {
            return Ok(());
        }
        self.see(&Seen::Event { term, event: &event })?;
        let Some(coordinator) = self.coordinators.get_mut(&term) else { return Ok(()) };
        let commands = coordinator.ledger.handle(now, event);
        for command in commands {
            self.see(&Seen::Command { term, command: &command })?;
            self.count(&command);
            for effect in effects(term, command) {
                if self.chance(self.scenario.faults.in_decision) {
                    return self.kill_coordinator(term);
                }
                self.carry_out(term, effect)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, command: &ledger::Command) {
        match command {
            ledger::Command::Open { generation, .. } => {
                self.summary.generations += 1;
                self.summary.undone += self.committed.saturating_sub(generation.step);
                self.committed = generation.step;
            }
            ledger::Command::Commit { step, .. } => {
                self.summary.commits += 1;
                self.committed = step + 1;
                let now = self.now;
                self.summary.recoveries.extend(self.killed_at.drain(..).map(|at| now - at));
            }
            _ => {}
        }
    }

    fn carry_out(&mut self, term: u64, effect: Effect) -> Result<(), String> {
        let Some(coordinator) = self.coordinators.get_mut(&term) else { return Ok(()) };
        match effect {
            Effect::Tell(worker, order) => {
                if let Some(&session) = coordinator.sessions.get(&worker) {
                    if matches!(order, Order::Dismiss | Order::Refuse) {
                        coordinator.sessions.remove(&worker);
                    }
                    self.send(session, true, Planned::Order { worker, session, order });
                }
            }
            Effect::Disconnect(worker) => {
                if let Some(session) = coordinator.sessions.remove(&worker) {
                    self.cut(worker, session);
                }
            }
            Effect::Record(record) => coordinator.lines.push(record),
            Effect::Checkpoint { step, of, head } => {
                let takes = self.scenario.times.store.draw(&mut self.random);
                let done = coordinator.scribe_free.max(self.now) + takes;
                coordinator.scribe_free = done;
                self.plan_at(done, Planned::Manifest { term, step, of, head });
            }
            Effect::LookBack => self.look(term),
            // A run that failed is resumed by whoever watches over it.
            Effect::Done(Ending::Failed(reason)) => {
                self.failures.push(reason);
                self.kill_coordinator(term)?;
            }
            Effect::Done(Ending::TakenOver(_)) => self.kill_coordinator(term)?,
            // The scribe writes what is left.
            Effect::Done(ending) => {
                match self.append(term)? {
                    Some(_) => self.ending = Some(ending),
                    // It ends all the same; the run goes on elsewhere.
                    None => self.kill_coordinator(term)?,
                }
            }
        }
        Ok(())
    }

    /// A worker does what it is told.
    pub(crate) fn obey(&mut self, worker: WorkerId, order: Order) -> Result<(), String> {
        let Some(state) = self.workers.get_mut(&worker) else { return Ok(()) };
        let current = state.membership.as_ref().map(Membership::key);
        if state.is_stuck() {
            if matches!(order, Order::Abort { .. } | Order::Dismiss | Order::Refuse) {
                self.plan(SUPERVISED, Planned::Fault(Fault::Replace(worker)));
            }
            return Ok(());
        }
        match order {
            Order::Open(term, generation, tail) => {
                if let Some(tail) = tail {
                    state.tail.learn(&tail);
                }
                self.leave_group(worker);
                let Some(rank) = generation.rank_of(worker) else { return Ok(()) };
                let key = (term, generation.number);
                let members = generation.members.clone();
                let membership = Membership { term, generation, rank, doing: Doing::Joining };
                let restores = membership.source() == StateSource::Restore;
                if let Some(state) = self.workers.get_mut(&worker) {
                    (state.membership, state.entered) = (Some(membership), key.1);
                }
                let group = self.groups.entry(key).or_insert_with(|| crate::collective::Group::new(members));
                if group.broken {
                    self.break_group(key);
                } else if group.join(worker) {
                    let restore = if restores { self.draw(|scenario| scenario.times.restore) } else { 0 };
                    let delay = restore + self.draw(|scenario| scenario.times.collective);
                    self.plan(delay, Planned::Joined { group: key });
                }
                while self.groups.len() > GROUPS {
                    self.groups.pop_first();
                }
            }
            Order::Commit { .. } => self.apply(worker, order)?,
            Order::Abort { generation } => {
                if current.map(|(_, number)| number) == Some(generation) {
                    self.forget_half_received(worker);
                    self.leave_group(worker);
                    self.say_what_it_holds(worker);
                }
            }
            Order::Checkpoint { step, index, of } => match state.held.filter(|held| held.applied == step) {
                Some(held) => {
                    let delay = self.draw(|scenario| scenario.times.store);
                    self.plan(delay, Planned::Part { worker, step, index, of, state: held });
                }
                None => {
                    let reason = "this worker holds another step".to_owned();
                    self.say(worker, Event::PartFailed { worker, step, reason });
                }
            },
            Order::Dismiss | Order::Refuse => self.bury(worker),
        }
        Ok(())
    }

    /// A worker applies a step that is committed, and goes on with the next.
    fn apply(&mut self, worker: WorkerId, order: Order) -> Result<(), String> {
        let Order::Commit { generation, step, wait, deal, tail, recorded } = order else { return Ok(()) };
        let Some(state) = self.workers.get_mut(&worker) else { return Ok(()) };
        let Some(membership) = state.membership.as_mut().filter(|open| open.generation.number == generation)
        else {
            return Ok(());
        };
        let Doing::Voting { gradient } = membership.doing else { return Ok(()) };
        let Some(held) = state.held.filter(|held| held.applied == step) else { return Ok(()) };
        membership.doing = Doing::Computing;
        if let Some(deal) = deal {
            membership.generation.deal = deal;
        }
        let after = gradient.map_or(held.unchanged(), |gradient| held.after(gradient));
        (state.held, state.done) = (Some(after), state.done + 1);
        if let Some(tail) = tail {
            state.tail.learn(&tail);
        }
        state.tail.forget_before(recorded);
        if wait {
            state.membership = None;
        }
        self.see(&Seen::Applied { worker, step: after.applied, state: after.hash })?;
        if !wait {
            self.compute(worker);
        }
        Ok(())
    }

    /// Whoever was receiving weights, or loading them, holds none.
    pub(crate) fn forget_half_received(&mut self, worker: WorkerId) {
        if let Some(state) = self.workers.get_mut(&worker)
            && let Some(membership) = &state.membership
            && membership.doing == Doing::Joining
            && membership.source() != StateSource::Keep
        {
            state.held = None;
        }
    }
}
