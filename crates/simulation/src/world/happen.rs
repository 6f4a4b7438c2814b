//! What is planned happens: to a worker, to a coordinator, on the network between them.

use ledger::{Event, Opening, StateSource, WorkerId};

use super::{Fault, Planned, TICK, World};
use crate::coordinator::Coordinator;
use crate::worker::{Doing, State, Worker};
use crate::{Observer, Seen};

/// A process that hangs ends itself so long after it was told to stop, in milliseconds.
pub(super) const SUPERVISED: u64 = 10_000;
/// A run that is paused goes on after at most this time, in milliseconds.
const UNPAUSED: u64 = 3_000;
/// Coordinators that are there at once, at most.
const COORDINATORS: usize = 3;
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
                if let Some(state) = self.workers.get(&worker).filter(|state| state.session.is_some()) {
                    let progress = state.progress();
                    self.say(worker, Event::Heartbeat { worker, progress });
                    self.plan(self.scenario.times.heartbeat, Planned::Heartbeat(worker));
                }
            }
            Planned::Message { session, .. } | Planned::Order { session, .. }
                if self.broken.contains(&session) => {}
            Planned::Message { worker, session, event } => {
                let Some((term, coordinator)) = self.coordinator_of(session) else { return Ok(()) };
                let current = match event {
                    Event::Hello { .. } => {
                        // A newer session takes the place of an older one.
                        let known = coordinator.sessions.entry(worker).or_insert(session);
                        *known = session.max(*known);
                        *known == session
                    }
                    _ => coordinator.sessions.get(&worker) == Some(&session),
                };
                if current {
                    self.tell(term, event)?;
                }
            }
            Planned::Order { worker, session, order } => {
                if self.workers.get(&worker).is_some_and(|state| state.session == Some(session)) {
                    self.obey(worker, order)?;
                }
            }
            Planned::Cut { worker, session } => self.disconnected(worker, session),
            Planned::Lost { worker, session } => {
                if let Some((term, coordinator)) = self.coordinator_of(session)
                    && coordinator.sessions.get(&worker) == Some(&session)
                {
                    coordinator.sessions.remove(&worker);
                    self.tell(term, Event::Lost { worker, reason: "the connection is gone".to_owned() })?;
                }
            }
            Planned::Joined { group } => self.hand_on(group),
            Planned::Computed { worker, group, step } => self.computed(worker, group, step),
            Planned::Reduced { group, step } => self.reduced(group, step)?,
            Planned::PeerLost { worker, group } => self.peer_lost(worker, group),
            Planned::Part { worker, step, index, of, state } => self.part(worker, step, index, of, state),
            Planned::Manifest { term, step, of, head } => self.manifest(term, step, of, head)?,
            Planned::Flush { term } => {
                if self.is_there(term) {
                    self.look_after(term)?;
                    self.plan(self.scenario.times.flush, Planned::Flush { term });
                }
            }
            Planned::Tick { term } => {
                if self.is_there(term) {
                    self.plan(TICK, Planned::Tick { term });
                    self.tell(term, Event::Tick)?;
                }
            }
            Planned::Found { term, step } => self.found(term, step)?,
            Planned::Start { beside } => self.start(beside)?,
            Planned::Fault(fault) => self.fault(fault)?,
        }
        Ok(())
    }

    pub(super) fn is_there(&self, term: u64) -> bool {
        self.coordinators.contains_key(&term)
    }

    /// The other end of a session, if it is still there.
    fn coordinator_of(&mut self, session: u64) -> Option<(u64, &mut Coordinator)> {
        let term = *self.sessions_with.get(&session)?;
        self.coordinators.get_mut(&term).map(|coordinator| (term, coordinator))
    }

    fn start(&mut self, beside: bool) -> Result<(), String> {
        if self.coordinators.len() >= if beside { COORDINATORS } else { 1 } {
            return Ok(());
        }
        let coordinator = Coordinator::start(self.scenario.settings.clone(), &mut self.storage);
        let term = coordinator.term;
        self.coordinators.insert(term, coordinator);
        self.summary.terms = term;
        self.plan(TICK, Planned::Tick { term });
        self.plan(self.scenario.times.flush, Planned::Flush { term });
        let durable = self.storage.newest().map_or(0, |(step, _)| step);
        self.see(&Seen::Term { term, durable })?;
        self.look(term);
        Ok(())
    }

    /// A coordinator reads the newest checkpoint, which takes its time.
    pub(super) fn look(&mut self, term: u64) {
        let step = self.storage.newest().map_or(0, |(step, _)| step);
        self.damage(step);
        let delay = self.draw(|scenario| scenario.times.restore);
        self.plan(delay, Planned::Found { term, step });
    }

    /// Whoever wants to read a checkpoint may find it damaged from now on.
    fn damage(&mut self, step: u64) {
        if step > 0 && self.chance(self.scenario.faults.damage * 100) {
            self.storage.damage(step);
        }
    }

    /// It knows now whether that is whole; if it is not, it goes to the one before.
    fn found(&mut self, term: u64, newest: u64) -> Result<(), String> {
        if !self.is_there(term) {
            return Ok(());
        }
        let mut skipped = Vec::new();
        loop {
            let found = self.storage.manifests().filter(|&(step, _)| step <= newest).last();
            let (step, head) = found.map_or_else(Default::default, |(step, of)| (step, of.head.clone()));
            if let Some(&damaged) = skipped.last() {
                self.see(&Seen::Damaged { step: damaged, durable: step })?;
            }
            if !self.storage.is_damaged(step) {
                let skipped =
                    skipped.iter().map(|step| format!("a bit of step {step} was flipped")).collect();
                return self.tell(term, Event::CheckpointFound { step, head, skipped });
            }
            if term < self.storage.terms {
                return self.taken_over(term);
            }
            self.storage.set_aside(step);
            skipped.push(step);
        }
    }

    /// The worker's side of a session is over.
    fn disconnected(&mut self, worker: WorkerId, session: u64) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        if state.session == Some(session) {
            state.session = None;
            if state.is_stuck() {
                return self.plan(SUPERVISED, Planned::Fault(Fault::Replace(worker)));
            }
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
        if self.cannot_reach_each_other(&members) {
            return self.break_group(key);
        }
        if let Some(step) = self.restores(members[0], key) {
            self.damage(step);
        }
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
                    // What it held before is overwritten only by what is whole.
                    let Some(hash) = self.storage.whole(step) else {
                        return self.restore_failed(member, key);
                    };
                    state.held = Some(State { applied: step, hash });
                }
            }
            if rank == 0 {
                first = state.held;
            }
            if state.held.is_some_and(|held| held.applied == step) {
                membership.doing = Doing::Computing;
                state.since = Opening { term: key.0, generation: key.1 };
                self.compute(member);
            } else {
                self.plan(0, Planned::PeerLost { worker: member, group: key });
            }
        }
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
            Event::Failed {
                worker,
                generation: key.1,
                reason: "a peer did not answer".to_owned(),
                own: false,
            },
        );
    }

    /// The step whose checkpoint a member restores in a generation, if it does.
    fn restores(&self, worker: WorkerId, key: (u64, u64)) -> Option<u64> {
        let membership = self.workers.get(&worker)?.membership.as_ref()?;
        let restores = membership.key() == key && membership.source() == StateSource::Restore;
        restores.then_some(membership.generation.step)
    }

    fn restore_failed(&mut self, worker: WorkerId, key: (u64, u64)) {
        self.leave_group(worker);
        self.say_what_it_holds(worker);
        let reason = "its checksum is another one".to_owned();
        self.say(worker, Event::RestoreFailed { worker, generation: key.1, reason });
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
            Fault::Hang(worker) if faults.hang > 0 => {
                if let Some(state) = self.workers.get_mut(&worker) {
                    state.hangs = true;
                }
            }
            Fault::Unreachable(worker) if faults.unreachable > 0 => {
                let until = self.now + self.draw(|scenario| scenario.times.unreachable);
                if let Some(state) = self.workers.get_mut(&worker) {
                    state.unreachable_until = until;
                    self.plan_fault(faults.unreachable, fault);
                }
            }
            // A worker that was told to stop and does not ends itself, and its supervisor starts another.
            Fault::Replace(worker) => {
                if let Some(state) = self.workers.get(&worker) {
                    if let Some(session) = state.session {
                        self.cut(worker, session);
                    }
                    self.bury(worker);
                }
            }
            _ => return self.fault_above(fault),
        }
        Ok(())
    }

    /// What goes wrong with coordinators, and what people do.
    fn fault_above(&mut self, fault: Fault) -> Result<(), String> {
        let faults = self.scenario.faults.clone();
        match fault {
            Fault::Coordinator if faults.coordinator > 0 => {
                if let Some(&term) = self.coordinators.keys().next_back() {
                    self.kill_coordinator(term)?;
                }
                self.plan_fault(faults.coordinator, fault);
            }
            Fault::Pause if faults.pause > 0 => {
                self.ask(Event::Pause { reason: "somebody wants it".to_owned() })?;
                self.plan_fault(faults.pause, fault);
            }
            // Somebody else looks now and then whether it goes on.
            Fault::Unpause => {
                self.ask(Event::Unpause)?;
                self.plan(UNPAUSED, Planned::Fault(Fault::Unpause));
            }
            Fault::Usurper if faults.usurper > 0 => {
                self.plan(0, Planned::Start { beside: true });
                self.plan_fault(faults.usurper, fault);
            }
            _ => {}
        }
        Ok(())
    }

    /// Somebody asks the newest coordinator for something.
    fn ask(&mut self, event: Event) -> Result<(), String> {
        match self.coordinators.keys().next_back() {
            Some(&term) => self.tell(term, event),
            None => Ok(()),
        }
    }

    /// A session breaks: what is on its way arrives nowhere, and each side notices in its own time.
    pub(crate) fn cut(&mut self, worker: WorkerId, session: u64) {
        self.broken.insert(session);
        for planned in [Planned::Cut { worker, session }, Planned::Lost { worker, session }] {
            let delay = self.draw(|scenario| scenario.times.message);
            self.plan(delay, planned);
        }
    }

    pub(crate) fn kill_coordinator(&mut self, term: u64) -> Result<(), String> {
        let Some(coordinator) = self.coordinators.remove(&term) else { return Ok(()) };
        self.killed_at.push(self.now);
        for (worker, session) in coordinator.sessions {
            self.cut(worker, session);
        }
        // Who was about to say hello finds nobody, too.
        let open: Vec<_> =
            self.workers.iter().filter_map(|(&worker, state)| Some((worker, state.session?))).collect();
        for (worker, session) in open {
            if self.sessions_with.get(&session) == Some(&term) && !self.broken.contains(&session) {
                self.cut(worker, session);
            }
        }
        let delay = self.draw(|scenario| scenario.times.restart);
        self.plan(delay, Planned::Start { beside: false });
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
