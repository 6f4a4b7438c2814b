//! The clock and everything that is about to happen. An event is taken from the queue, changes one process, and plans
//! what follows.

mod happen;
mod obey;
mod step;
mod store;

use std::collections::{BTreeMap, BTreeSet};

use ledger::{Ending, Event, WorkerId, WorkerInfo};
use plan::{Key, Stream};

use crate::collective::Group;
use crate::coordinator::{Coordinator, Order};
use crate::scenario::{Faults, Scenario, next};
use crate::storage::Storage;
use crate::worker::{State, Worker, Workers};
use crate::{Observer, Seen};

/// How often the ledger hears that time has passed, as in `coordinator`.
const TICK: u64 = 100;

/// What happened in a history, in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Virtual time, in milliseconds.
    pub time: u64,
    /// Steps that were committed, those that were undone later included.
    pub commits: u64,
    /// Steps that were committed and computed again.
    pub undone: u64,
    /// Generations that were opened.
    pub generations: u64,
    /// Times from the end of a process against its will to the next commit, in milliseconds.
    pub recoveries: Vec<u64>,
    /// Terms of coordinators.
    pub terms: u64,
}

/// What is about to happen.
#[derive(Clone, Debug)]
pub(crate) enum Planned {
    /// A worker process begins.
    Birth,
    /// A worker has read plan and dataset.
    Prepared(WorkerId),
    /// A worker tries to connect.
    Connect(WorkerId),
    /// A message reaches the coordinator, if its session is still open.
    Message {
        worker: WorkerId,
        session: u64,
        event: Event,
    },
    /// A message reaches a worker, if its session is still open.
    Order {
        worker: WorkerId,
        session: u64,
        order: Order,
    },
    /// A worker may have stood still long enough.
    Thaw(WorkerId),
    /// One side notices that a session is over.
    Cut {
        worker: WorkerId,
        session: u64,
    },
    Lost {
        worker: WorkerId,
        session: u64,
    },
    Heartbeat(WorkerId),
    /// All members have met: the weights are handed on.
    Joined {
        group: (u64, u64),
    },
    /// A member has computed its share of a step.
    Computed {
        worker: WorkerId,
        group: (u64, u64),
        step: u64,
    },
    /// The gradients are added up.
    Reduced {
        group: (u64, u64),
        step: u64,
    },
    /// A member notices that a collective has failed.
    PeerLost {
        worker: WorkerId,
        group: (u64, u64),
    },
    /// A part of a checkpoint is stored, or not.
    Part {
        worker: WorkerId,
        step: u64,
        index: u32,
        of: u32,
        state: State,
    },
    /// The scribe has come to a checkpoint.
    Manifest {
        term: u64,
        step: u64,
        of: u32,
        head: String,
    },
    /// A coordinator has looked at the checkpoints up to this one.
    Found {
        term: u64,
        step: u64,
    },
    Flush {
        term: u64,
    },
    Tick {
        term: u64,
    },
    /// A coordinator process begins, if none is there or it is to begin all the same.
    Start {
        beside: bool,
    },
    Fault(Fault),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Kill(WorkerId),
    Freeze(WorkerId),
    CutOff(WorkerId),
    Leave(WorkerId),
    Hang(WorkerId),
    Unreachable(WorkerId),
    Pause,
    Unpause,
    Replace(WorkerId),
    Coordinator,
    Usurper,
}

/// A cluster and its history so far.
#[derive(Debug)]
pub struct World<O> {
    pub(crate) scenario: Scenario,
    pub(crate) now: u64,
    pub(crate) random: Stream,
    /// By time, and then by the order in which it was planned.
    future: BTreeMap<(u64, u64), Planned>,
    planned: u64,
    born: u64,
    sessions: u64,
    pub(crate) workers: Workers,
    pub(crate) groups: BTreeMap<(u64, u64), Group>,
    /// By their terms: whoever is not the last was taken for dead.
    pub(crate) coordinators: BTreeMap<u64, Coordinator>,
    /// The terms of the coordinators that sessions are with.
    pub(crate) sessions_with: BTreeMap<u64, u64>,
    pub(crate) storage: Storage,
    /// Sessions that are cut: what was on its way in them is lost.
    pub(crate) broken: BTreeSet<u64>,
    /// Why coordinators gave up, those that were started again.
    pub(crate) failures: Vec<String>,
    /// When the last message of a session arrives, to and from its worker: streams keep their order.
    arrivals: BTreeMap<(u64, bool), u64>,
    pub(crate) ending: Option<Ending>,
    pub(crate) summary: Summary,
    /// Committed steps, and since when processes that were killed have not been made up for.
    pub(crate) committed: u64,
    pub(crate) killed_at: Vec<u64>,
    observer: O,
    /// What happened last, for people; only if it is wanted.
    log: Option<Vec<String>>,
}

impl<O: Observer> World<O> {
    /// A run that is about to begin.
    pub fn new(scenario: Scenario, observer: O) -> Self {
        let random = Key::root(scenario.seed).named("simulation").stream();
        let mut world = World {
            now: 0,
            random,
            future: BTreeMap::new(),
            planned: 0,
            born: 0,
            sessions: 0,
            workers: BTreeMap::new(),
            groups: BTreeMap::new(),
            coordinators: BTreeMap::new(),
            sessions_with: BTreeMap::new(),
            storage: Storage::default(),
            broken: BTreeSet::new(),
            failures: Vec::new(),
            arrivals: BTreeMap::new(),
            ending: None,
            summary: Summary::default(),
            committed: 0,
            killed_at: Vec::new(),
            observer,
            log: None,
            scenario,
        };
        world.plan(0, Planned::Start { beside: false });
        for _ in 0..world.scenario.workers {
            let delay = world.scenario.times.replacement.draw(&mut world.random);
            world.plan(delay, Planned::Birth);
        }
        world.plan_fault(world.scenario.faults.coordinator, Fault::Coordinator);
        world.plan_fault(world.scenario.faults.usurper, Fault::Usurper);
        if world.scenario.faults.pause > 0 {
            world.plan_fault(world.scenario.faults.pause, Fault::Pause);
            world.plan(0, Planned::Fault(Fault::Unpause));
        }
        world
    }

    /// Remembers what happens, for [`World::log`].
    pub fn keep_log(&mut self) {
        self.log = Some(Vec::new());
    }

    /// What happened, a line each, if [`World::keep_log`] was called.
    pub fn log(&self) -> &[String] {
        self.log.as_deref().unwrap_or_default()
    }

    /// From now on other things go wrong; those that are under way still do.
    pub fn set_faults(&mut self, faults: Faults) {
        self.scenario.faults = faults;
    }

    /// Lets time pass until `end`, in milliseconds, or the end of the run.
    ///
    /// # Errors
    /// What the observer objects to, or what no member could have done.
    pub fn run_until(&mut self, end: u64) -> Result<(), String> {
        while self.ending.is_none() {
            let Some((&(at, order), _)) = self.future.first_key_value() else { break };
            if at > end {
                break;
            }
            if let Some(planned) = self.future.remove(&(at, order)) {
                self.now = at;
                self.happen(planned)?;
            }
        }
        self.summary.time = self.now;
        Ok(())
    }

    /// How the run ended, if it has.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Why coordinators gave up the run, which was then resumed.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The numbers so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Who looks at it.
    pub fn observer(&self) -> &O {
        &self.observer
    }

    /// The hash of the weights in the newest checkpoint, and its step.
    pub fn stored(&self) -> Option<(u64, u64)> {
        self.storage.newest().map(|(step, manifest)| (step, manifest.state))
    }

    /// The records that are durable, in order.
    pub fn ledger(&self) -> impl Iterator<Item = &ledger::Record> {
        self.storage.ledger()
    }

    /// Step and ledger head of every checkpoint, in order.
    pub fn checkpoints(&self) -> impl Iterator<Item = (u64, &str)> {
        self.storage.manifests().map(|(step, manifest)| (step, manifest.head.as_str()))
    }

    /// What the ledger of the highest term says of the run.
    pub fn status(&self) -> Option<ledger::Status> {
        self.coordinators.last_key_value().map(|(_, coordinator)| coordinator.ledger.status())
    }

    /// A worker's memory changes: it holds other weights than it should. Says which worker, if there is one.
    pub fn corrupt(&mut self) -> Option<WorkerId> {
        let holder = self.workers.iter_mut().find(|(_, worker)| worker.held.is_some());
        holder.map(|(&id, worker)| {
            worker.held = worker.held.map(|held| State { hash: held.hash ^ 1, ..held });
            id
        })
    }

    /// From now on a worker computes wrong results. Says which.
    pub fn break_processor(&mut self) -> Option<WorkerId> {
        let (&id, worker) = self.workers.last_key_value()?;
        let broken = Worker { miscomputes: true, ..worker.clone() };
        self.workers.insert(id, broken);
        Some(id)
    }

    pub(crate) fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        if let Some(log) = &mut self.log {
            log.push(format!("{} {seen:?}", self.now));
        }
        self.observer.see(self.now, seen)
    }

    pub(crate) fn plan(&mut self, delay: u64, planned: Planned) {
        self.plan_at(self.now + delay, planned);
    }

    pub(crate) fn plan_at(&mut self, at: u64, planned: Planned) {
        self.planned += 1;
        self.future.insert((at, self.planned), planned);
    }

    pub(crate) fn plan_fault(&mut self, mean: u64, fault: Fault) {
        if mean > 0 {
            let delay = next(mean, &mut self.random);
            self.plan(delay, Planned::Fault(fault));
        }
    }

    pub(crate) fn chance(&mut self, per_ten_thousand: u64) -> bool {
        per_ten_thousand > 0 && self.random.below(10_000) < per_ten_thousand
    }

    pub(crate) fn draw(&mut self, span: impl Fn(&Scenario) -> crate::Span) -> u64 {
        span(&self.scenario).draw(&mut self.random)
    }

    /// Something travels in a session: behind everything that travels the same way already.
    pub(crate) fn send(&mut self, session: u64, to_worker: bool, planned: Planned) {
        let delay = self.draw(|scenario| scenario.times.message);
        let last = self.arrivals.entry((session, to_worker)).or_default();
        *last = (self.now + delay).max(*last);
        let at = *last;
        self.plan_at(at, planned);
    }

    /// A worker says something, if it has a session.
    pub(crate) fn say(&mut self, worker: WorkerId, event: Event) {
        let Some(session) = self.workers.get(&worker).and_then(|worker| worker.session) else { return };
        let twice = !matches!(event, Event::Hello { .. }) && self.chance(self.scenario.faults.doubled * 100);
        for _ in 0..=u8::from(twice) {
            let event = event.clone();
            self.send(session, false, Planned::Message { worker, session, event });
        }
    }

    pub(crate) fn birth(&mut self) {
        self.born += 1;
        let worker = WorkerId(self.born << 32);
        let slowness = 1 + self.random.below(self.scenario.unevenness.max(1));
        self.workers.insert(worker, Worker { slowness, ..Worker::default() });
        let delay = self.draw(|scenario| scenario.times.start);
        self.plan(delay, Planned::Connect(worker));
        let faults = self.scenario.faults.clone();
        self.plan_fault(faults.kill, Fault::Kill(worker));
        self.plan_fault(faults.freeze, Fault::Freeze(worker));
        self.plan_fault(faults.cut, Fault::CutOff(worker));
        self.plan_fault(faults.leave, Fault::Leave(worker));
        self.plan_fault(faults.hang, Fault::Hang(worker));
        self.plan_fault(faults.unreachable, Fault::Unreachable(worker));
    }

    /// Opens a session, if there is a coordinator; of several it knows any.
    pub(crate) fn connect(&mut self, worker: WorkerId) {
        let reconnect = self.draw(|scenario| scenario.times.reconnect);
        let there: Vec<u64> = self.coordinators.keys().copied().collect();
        let known = match there[..] {
            [] => None,
            [only] => Some(only),
            _ => Some(there[self.random.below(there.len() as u64) as usize]),
        };
        let Some(state) = self.workers.get_mut(&worker).filter(|state| state.session.is_none()) else {
            return;
        };
        let Some(term) = known.filter(|&term| term >= state.term) else {
            return self.plan(reconnect, Planned::Connect(worker));
        };
        self.sessions += 1;
        self.sessions_with.insert(self.sessions, term);
        (state.session, state.term, state.entered) = (Some(self.sessions), term, 0);
        let leaving = state.leaving;
        let prepared = std::mem::replace(&mut state.prepared, true);
        let info = WorkerInfo { name: worker.to_string(), address: String::new(), platform: String::new() };
        self.say(worker, Event::Hello { worker, info });
        if prepared {
            self.say_what_it_holds(worker);
        } else {
            let delay = self.draw(|scenario| scenario.times.start);
            self.plan(delay, Planned::Prepared(worker));
        }
        if leaving {
            self.say(worker, Event::Leave { worker });
        }
        self.plan(self.scenario.times.heartbeat, Planned::Heartbeat(worker));
    }

    pub(crate) fn say_what_it_holds(&mut self, worker: WorkerId) {
        let Some(state) = self.workers.get(&worker) else { return };
        let (applied, since, entered) = (state.applied(), state.since, state.entered);
        let tail = state.tail.clone();
        self.say(worker, Event::Prepared { worker, applied, since, entered, tail });
    }

    /// A worker process ends.
    pub(crate) fn bury(&mut self, worker: WorkerId) {
        self.leave_group(worker);
        self.workers.remove(&worker);
        let delay = self.draw(|scenario| scenario.times.replacement);
        self.plan(delay, Planned::Birth);
    }

    /// A worker is no member of its generation any more: whoever waits for it there, waits in vain.
    pub(crate) fn leave_group(&mut self, worker: WorkerId) {
        let Some(left) = self.workers.get_mut(&worker).and_then(|state| state.membership.take()) else {
            return;
        };
        self.break_group(left.key());
    }

    /// Whoever waits in a collective of the group notices that it failed.
    pub(crate) fn break_group(&mut self, key: (u64, u64)) {
        let Some(group) = self.groups.get_mut(&key) else { return };
        group.broken = true;
        for member in group.members.clone() {
            let delay = self.draw(|scenario| scenario.times.message);
            self.plan(delay, Planned::PeerLost { worker: member, group: key });
        }
    }
}

/// The hash of the weights after so many undisturbed steps, of which those in `left_out` are not computed.
pub fn reference(batches: &plan::Batches, steps: u64, left_out: &std::ops::Range<u64>) -> u64 {
    let mut state = State::FIRST;
    for step in 0..steps {
        let sum =
            (0..batches.of(step).count).fold(0u64, |sum, index| sum.wrapping_add(state.gradient(index)));
        state = if left_out.contains(&step) { state.unchanged() } else { state.after(sum) };
    }
    state.hash
}
