//! What is planned happens: to a worker, to a coordinator, on the network between them.

use ledger::{Event, PartReport, StateSource, StepReport, WorkerId};

use super::{Fault, Planned, TICK, World};
use crate::coordinator::Coordinator;
use crate::storage::Manifest;
use crate::worker::{Doing, State, Worker};
use crate::{Observer, Seen};

/// Killed workers whose connections do not break, per ten thousand.
const SILENT: u64 = 2_500;

impl<O: Observer> World<O> {
    pub(crate) fn happen(&mut self, planned: Planned) -> Result<(), String> {
        let now = self.now;
        let stands_still = |state: &&mut Worker| state.frozen_until > now || !state.backlog.is_empty();
        if let Some(state) = in_worker(&planned).and_then(|id| self.workers.get_mut(&id)).filter(stands_still)
        {
            state.backlog.push_back(planned);
            return Ok(());
        }
        self.happen_now(planned)
    }

    /// A process that stood still goes on: everything that waited happens now, in order.
    fn thaw(&mut self, worker: WorkerId) -> Result<(), String> {
        let still = |state: &Worker| state.frozen_until > self.now;
        if self.workers.get(&worker).is_none_or(still) {
            return Ok(());
        }
        while let Some(planned) = self.workers.get_mut(&worker).and_then(|state| state.backlog.pop_front()) {
            self.happen_now(planned)?;
        }
        Ok(())
    }

    fn happen_now(&mut self, planned: Planned) -> Result<(), String> {
        match planned {
            Planned::Thaw(worker) => self.thaw(worker)?,
            Planned::Birth => self.birth(),
            Planned::Connect(worker) => self.connect(worker),
            Planned::Prepared(worker) => self.say_what_it_holds(worker),
            Planned::Heartbeat(worker) => {
                if self.workers.get(&worker).is_some_and(|state| state.session.is_some()) {
                    self.say(worker, Event::Heartbeat { worker });
                    self.plan(self.scenario.times.heartbeat, Planned::Heartbeat(worker));
                }
            }
            Planned::Message { session, .. } | Planned::Order { session, .. }
                if self.broken.contains(&session) => {}
            Planned::Message { worker, session, event } => {
                let current = self.coordinator.as_mut().is_some_and(|coordinator| match event {
                    Event::Hello { .. } => {
                        // A newer session takes the place of an older one.
                        let known = coordinator.sessions.entry(worker).or_insert(session);
                        *known = session.max(*known);
                        *known == session
                    }
                    _ => coordinator.sessions.get(&worker) == Some(&session),
                });
                if current {
                    self.tell(event)?;
                }
            }
            Planned::Order { worker, session, order } => {
                if self.workers.get(&worker).is_some_and(|state| state.session == Some(session)) {
                    self.obey(worker, order)?;
                }
            }
            Planned::Cut { worker, session } => self.disconnected(worker, session),
            Planned::Lost { worker, session } => {
                if let Some(coordinator) = &mut self.coordinator
                    && coordinator.sessions.get(&worker) == Some(&session)
                {
                    coordinator.sessions.remove(&worker);
                    self.tell(Event::Lost { worker, reason: "the connection is gone".to_owned() })?;
                }
            }
            Planned::Joined { group } => self.hand_on(group),
            Planned::Computed { worker, group, step } => self.computed(worker, group, step),
            Planned::Reduced { group, step } => self.reduced(group, step)?,
            Planned::PeerLost { worker, group } => self.peer_lost(worker, group),
            Planned::Part { worker, step, index, of, state } => self.part(worker, step, index, of, state),
            Planned::Manifest { term, step, of, head } => self.manifest(term, step, of, head)?,
            Planned::Flush { term } => {
                if self.is_in_charge(term) {
                    self.flush()?;
                    self.plan(self.scenario.times.flush, Planned::Flush { term });
                }
            }
            Planned::Tick { term } => {
                if self.is_in_charge(term) {
                    self.plan(TICK, Planned::Tick { term });
                    self.tell(Event::Tick)?;
                }
            }
            Planned::Restart => self.restart()?,
            Planned::Fault(fault) => self.fault(fault)?,
        }
        Ok(())
    }

    fn is_in_charge(&self, term: u64) -> bool {
        self.coordinator.as_ref().is_some_and(|coordinator| coordinator.term == term)
    }

    fn restart(&mut self) -> Result<(), String> {
        if self.coordinator.is_some() {
            return Ok(());
        }
        let coordinator = Coordinator::start(self.scenario.settings.clone(), &mut self.storage);
        let term = coordinator.term;
        self.coordinator = Some(coordinator);
        self.summary.terms = term;
        self.plan(TICK, Planned::Tick { term });
        self.plan(self.scenario.times.flush, Planned::Flush { term });
        let durable = self.storage.newest().map_or(0, |(step, _)| step);
        self.see(&Seen::Term { term, durable })
    }

    /// The worker's side of a session is over.
    fn disconnected(&mut self, worker: WorkerId, session: u64) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        if state.session == Some(session) {
            state.session = None;
            self.forget_half_received(worker);
            self.leave_group(worker);
            let delay = self.draw(|scenario| scenario.times.reconnect);
            self.plan(delay, Planned::Connect(worker));
        }
    }

    /// All members are there: whoever holds no weights gets them.
    fn hand_on(&mut self, key: (u64, u64)) {
        let Some(group) = self.groups.get(&key).filter(|group| !group.broken) else { return };
        let members = group.members.clone();
        let mut first: Option<State> = None;
        for (rank, &member) in members.iter().enumerate() {
            let Some(state) = self.workers.get_mut(&member) else { continue };
            let Some(membership) = state.membership.as_mut().filter(|membership| membership.key() == key)
            else {
                continue;
            };
            let (step, source) = (membership.generation.step, membership.source());
            match source {
                StateSource::Keep => {}
                StateSource::Receive => state.held = first,
                StateSource::Restore if step == 0 => state.held = Some(State::FIRST),
                StateSource::Restore => {
                    let manifest = self.storage.manifest(step);
                    state.held = manifest.map(|manifest| State { applied: step, hash: manifest.state });
                }
            }
            if rank == 0 {
                first = state.held;
            }
            if state.held.is_some_and(|held| held.applied == step) {
                membership.doing = Doing::Computing;
                self.compute(member);
            } else {
                self.plan(0, Planned::PeerLost { worker: member, group: key });
            }
        }
    }

    /// Begins the share of the next step.
    pub(crate) fn compute(&mut self, worker: WorkerId) {
        let Some(state) = self.workers.get(&worker) else { return };
        let (Some(membership), Some(step)) = (&state.membership, state.applied()) else { return };
        let (group, count) = (membership.key(), self.scenario.settings.batches.of(step).count);
        let share = membership.share(count).len();
        let delay = (0..share).map(|_| self.draw(|scenario| scenario.times.micro_batch)).sum();
        self.plan(delay, Planned::Computed { worker, group, step });
    }

    fn computed(&mut self, worker: WorkerId, key: (u64, u64), step: u64) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        let (Some(held), Some(membership)) = (state.held, state.membership.as_mut()) else { return };
        if membership.key() != key || membership.doing != Doing::Computing || held.applied != step {
            return;
        }
        membership.doing = Doing::Reducing;
        let share = membership.share(self.scenario.settings.batches.of(step).count);
        let gradients = share.into_iter().map(|index| (index, held.gradient(index))).collect();
        let failed = self.chance(self.scenario.faults.collective * 100);
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
    fn reduced(&mut self, key: (u64, u64), step: u64) -> Result<(), String> {
        let Some(group) = self.groups.get_mut(&key).filter(|group| !group.broken) else { return Ok(()) };
        let (gradient, shares) = group.reduce();
        let members = group.members.clone();
        self.see(&Seen::Reduced { generation: key, step, shares: &shares })?;
        for worker in members {
            let Some(membership) = self.workers.get_mut(&worker).and_then(|state| state.membership.as_mut())
            else {
                continue;
            };
            if membership.key() == key && membership.doing == Doing::Reducing {
                membership.doing = Doing::Voting { gradient };
                self.say(worker, Event::Ready { worker, generation: key.1, step, report: report(gradient) });
            }
        }
        Ok(())
    }

    /// A collective that a member waits in has failed.
    fn peer_lost(&mut self, worker: WorkerId, key: (u64, u64)) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        let Some(membership) = state.membership.as_ref().filter(|membership| membership.key() == key) else {
            return;
        };
        match membership.doing {
            Doing::Joining if membership.source() != StateSource::Keep => state.held = None,
            Doing::Joining | Doing::Reducing => {}
            // It notices when it comes to the collective, or not at all.
            Doing::Computing | Doing::Voting { .. } => return,
        }
        self.leave_group(worker);
        self.say_what_it_holds(worker);
        self.say(
            worker,
            Event::Failed { worker, generation: key.1, reason: "a peer did not answer".to_owned() },
        );
    }

    fn part(&mut self, worker: WorkerId, step: u64, index: u32, of: u32, state: State) {
        let failed = self.chance(self.scenario.faults.storage * 100);
        // An error does not say that nothing was stored.
        if !failed || self.chance(5_000) {
            self.storage.put_part(step, of, index, state.hash);
        }
        let event = if failed {
            Event::PartFailed { worker, step, reason: "503".to_owned() }
        } else {
            let part = PartReport {
                name: format!("part-{index}-of-{of}"),
                size: 1,
                checksum: String::new(),
                tensors: Vec::new(),
                state_digest: format!("{:016x}", state.hash),
            };
            Event::PartStored { worker, step, of, index, part }
        };
        self.say(worker, event);
    }

    /// Writes the records that are waiting. Says whether they are durable now.
    fn flush(&mut self) -> Result<bool, String> {
        let failed = self.chance(self.scenario.faults.storage * 100);
        let Some(coordinator) = self.coordinator.as_mut().filter(|coordinator| !coordinator.lines.is_empty())
        else {
            return Ok(true);
        };
        if failed {
            return Ok(false);
        }
        let (term, records) = (coordinator.term, std::mem::take(&mut coordinator.lines));
        if !self.storage.append(term, coordinator.segment, &records) {
            return Err(format!("segment {} of term {term} is somebody else's", coordinator.segment));
        }
        coordinator.segment += 1;
        coordinator.written += records.len() as u64;
        let written = coordinator.written;
        self.see(&Seen::Appended { term, records: &records })?;
        self.tell(Event::Recorded { records: written })?;
        Ok(true)
    }

    /// First the records, then the manifest.
    fn manifest(&mut self, term: u64, step: u64, of: u32, head: String) -> Result<(), String> {
        if !self.is_in_charge(term) {
            return Ok(());
        }
        let failed = self.chance(self.scenario.faults.storage * 100);
        let flushed = self.flush()?;
        if !self.is_in_charge(term) {
            return Ok(());
        }
        if !flushed || (failed && self.chance(5_000)) {
            return self.tell(Event::CheckpointFailed { step, reason: "503".to_owned() });
        }
        let Some(parts) = self.storage.parts(step, of) else {
            return Err(format!("the checkpoint of step {step} lacks a part of {of}"));
        };
        if self.storage.put_manifest(step, Manifest { head, state: parts[0] }) {
            self.see(&Seen::Checkpoint { step, parts: &parts })?;
        }
        match failed {
            true => self.tell(Event::CheckpointFailed { step, reason: "time-out".to_owned() }),
            false => self.tell(Event::CheckpointStored { step }),
        }
    }

    fn fault(&mut self, fault: Fault) -> Result<(), String> {
        let faults = self.scenario.faults.clone();
        match fault {
            Fault::Kill(worker) if faults.kill > 0 && self.workers.contains_key(&worker) => {
                self.killed_at.push(self.now);
                let session = self.workers.get(&worker).and_then(|state| state.session);
                self.bury(worker);
                // A machine that loses its power says nothing: its silence does.
                let silent = self.chance(SILENT);
                if let Some(session) = session.filter(|_| !silent) {
                    let delay = self.draw(|scenario| scenario.times.message);
                    self.plan(delay, Planned::Lost { worker, session });
                }
                self.see(&Seen::Killed { worker: Some(worker) })?;
            }
            Fault::Freeze(worker) if faults.freeze > 0 => {
                let span = faults.frozen.unwrap_or(crate::Span::new(0, 0));
                let until = self.now + self.draw(|_| span);
                if let Some(state) = self.workers.get_mut(&worker) {
                    state.frozen_until = until.max(state.frozen_until);
                    let until = state.frozen_until;
                    self.plan_at(until, Planned::Thaw(worker));
                    self.plan_fault(faults.freeze, fault);
                }
            }
            Fault::CutOff(worker) if faults.cut > 0 => {
                if let Some(session) = self.workers.get(&worker).and_then(|state| state.session) {
                    self.cut(worker, session);
                }
                if self.workers.contains_key(&worker) {
                    self.plan_fault(faults.cut, fault);
                }
            }
            Fault::Leave(worker) if faults.leave > 0 => {
                if let Some(state) = self.workers.get_mut(&worker) {
                    state.leaving = true;
                    self.say(worker, Event::Leave { worker });
                }
            }
            Fault::Coordinator if faults.coordinator > 0 => {
                self.kill_coordinator()?;
                self.plan_fault(faults.coordinator, fault);
            }
            _ => {}
        }
        Ok(())
    }

    /// A session breaks: what is on its way arrives nowhere, and each side notices in its own time.
    pub(crate) fn cut(&mut self, worker: WorkerId, session: u64) {
        self.broken.insert(session);
        for planned in [Planned::Cut { worker, session }, Planned::Lost { worker, session }] {
            let delay = self.draw(|scenario| scenario.times.message);
            self.plan(delay, planned);
        }
    }

    pub(crate) fn kill_coordinator(&mut self) -> Result<(), String> {
        let Some(coordinator) = self.coordinator.take() else { return Ok(()) };
        self.killed_at.push(self.now);
        for (worker, session) in coordinator.sessions {
            self.cut(worker, session);
        }
        // Who was about to say hello finds nobody, too.
        let open: Vec<_> =
            self.workers.iter().filter_map(|(&worker, state)| Some((worker, state.session?))).collect();
        for (worker, session) in open {
            if !self.broken.contains(&session) {
                self.cut(worker, session);
            }
        }
        let delay = self.draw(|scenario| scenario.times.restart);
        self.plan(delay, Planned::Restart);
        self.see(&Seen::Killed { worker: None })
    }
}

/// The worker process in which it happens, if it does in one.
fn in_worker(planned: &Planned) -> Option<WorkerId> {
    match planned {
        Planned::Prepared(worker)
        | Planned::Connect(worker)
        | Planned::Order { worker, .. }
        | Planned::Cut { worker, .. }
        | Planned::Heartbeat(worker)
        | Planned::Computed { worker, .. }
        | Planned::PeerLost { worker, .. }
        | Planned::Part { worker, .. } => Some(*worker),
        _ => None,
    }
}

fn report(gradient: u64) -> StepReport {
    StepReport {
        loss: 1.0,
        targets: 1,
        tokens: 1,
        grad_norm: 1.0,
        digest: format!("{gradient:016x}"),
        overflowed: false,
        measures: Vec::new(),
    }
}
