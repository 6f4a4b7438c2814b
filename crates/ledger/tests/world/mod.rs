//! Simulated workers, network and storage around a real ledger. Every delay and every fault is drawn from the seed.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{
    Command, Ending, Event, Ledger, Next, PartReport, Settings, Start, StateSource, Status, StepReport,
    WorkerId, WorkerInfo,
};
use plan::{Key, Stream};

use crate::invariants::Judge;

/// How much goes wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    None,
    Often,
}

const STEPS: u64 = 40;

#[derive(Clone, Debug, Default)]
struct Worker {
    applied: Option<u64>,
    /// The weights that it holds once it has received or restored them.
    arriving: Option<u64>,
    /// The generation and step that it computes, if it does.
    computing: Option<(u64, u64)>,
    /// Frozen until then: sends nothing, not even heartbeats.
    frozen_until: u64,
}

pub struct World {
    pub faults: Faults,
    pub log: Vec<String>,
    now: u64,
    random: Stream,
    ledger: Ledger,
    judge: Judge,
    workers: BTreeMap<WorkerId, Worker>,
    /// What will happen, by time and order of planning.
    future: BTreeMap<(u64, u64), Planned>,
    planned: u64,
    born: u64,
    ending: Option<Ending>,
    stored: BTreeSet<u64>,
}

#[derive(Clone, Debug)]
enum Planned {
    Event(Event),
    /// A worker finishes its share of a step, if it still computes it.
    Finishes(WorkerId, u64, u64),
    Pulse,
}

impl World {
    pub fn new(seed: u64, faults: Faults) -> Self {
        let settings = Settings {
            steps: STEPS,
            batches: plan::Batches::even(4),
            min_workers: 2,
            max_workers: 4,
            checkpoint_every: 7,
            dead_after_ms: 2_000,
        };
        let ledger = Ledger::new(settings, Start { term: 1, durable: 0, head: String::new() });
        let random = Key::root(seed).named("simulation").stream();
        let mut world = World {
            faults,
            log: Vec::new(),
            now: 0,
            random,
            ledger,
            judge: Judge::default(),
            workers: BTreeMap::new(),
            future: BTreeMap::new(),
            planned: 0,
            born: 0,
            ending: None,
            stored: BTreeSet::new(),
        };
        world.plan(0, Planned::Pulse);
        world.birth();
        world.birth();
        world
    }

    pub fn completed(&self) -> bool {
        self.ending == Some(Ending::Completed)
    }

    pub fn status(&self) -> Status {
        self.ledger.status()
    }

    /// A completed run has its last state stored.
    pub fn durable_at_the_end(&self) -> Result<(), String> {
        match self.stored.last() {
            Some(&STEPS) => Ok(()),
            stored => Err(format!("the run is completed, but the last stored step is {stored:?}")),
        }
    }

    pub fn run_until(&mut self, end: u64) -> Result<(), String> {
        while self.ending.is_none() {
            let Some((&(at, order), _)) = self.future.first_key_value() else { break };
            if at > end {
                break;
            }
            let planned = self.future.remove(&(at, order)).expect("it was just seen");
            self.now = at;
            self.happen(planned)?;
        }
        Ok(())
    }

    fn plan(&mut self, delay: u64, planned: Planned) {
        self.planned += 1;
        self.future.insert((self.now + delay, self.planned), planned);
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.faults == Faults::Often && self.random.below(100) < percent
    }

    fn birth(&mut self) {
        self.born += 1;
        let worker = WorkerId(self.born << 32);
        self.workers.insert(worker, Worker::default());
        let info =
            WorkerInfo { name: format!("w{}", self.born), address: String::new(), platform: "p".into() };
        let (hello, prepared) = (10 + self.random.below(50), 100 + self.random.below(400));
        self.plan(hello, Planned::Event(Event::Hello { worker, info }));
        self.plan(prepared, Planned::Event(Event::Prepared { worker, applied: None }));
    }

    fn happen(&mut self, planned: Planned) -> Result<(), String> {
        match planned {
            Planned::Pulse => self.pulse(),
            Planned::Finishes(worker, generation, step) => {
                let Some(state) = self.workers.get(&worker) else { return Ok(()) };
                if state.computing != Some((generation, step)) {
                    return Ok(());
                }
                if state.frozen_until > self.now {
                    let rest = state.frozen_until - self.now;
                    self.plan(rest, Planned::Finishes(worker, generation, step));
                    return Ok(());
                }
                if self.chance(1) {
                    return self.tell(Event::Failed { worker, generation, reason: "a peer was lost".into() });
                }
                if let Some(state) = self.workers.get_mut(&worker)
                    && let Some(arrived) = state.arriving.take()
                {
                    state.applied = Some(arrived);
                }
                self.tell(Event::Ready { worker, generation, step, report: report(step) })
            }
            Planned::Event(event) => {
                // The dead say nothing more; only the news of their death travels.
                let from = event.worker();
                let dead = from.is_some_and(|worker| !self.workers.contains_key(&worker));
                if dead && !matches!(event, Event::Lost { .. }) { Ok(()) } else { self.tell(event) }
            }
        }
    }

    /// Heartbeats, the clock, and faults.
    fn pulse(&mut self) -> Result<(), String> {
        self.plan(100, Planned::Pulse);
        let ids: Vec<WorkerId> = self.workers.keys().copied().collect();
        for worker in ids {
            let Some(state) = self.workers.get(&worker) else { continue };
            if state.frozen_until <= self.now {
                self.tell(Event::Heartbeat { worker })?;
            }
            if self.chance(1) {
                self.workers.remove(&worker);
                let delay = self.random.below(300);
                self.plan(delay, Planned::Event(Event::Lost { worker, reason: "killed".into() }));
            } else if self.chance(1) {
                let until = self.now + self.random.below(4_000);
                if let Some(state) = self.workers.get_mut(&worker) {
                    state.frozen_until = until;
                }
            } else if self.chance(1) {
                self.tell(Event::Leave { worker })?;
            }
        }
        let wanted = if self.faults == Faults::None { 2 } else { 1 + self.random.below(5) as usize };
        if self.workers.len() < wanted {
            self.birth();
        }
        self.tell(Event::Tick)
    }

    fn tell(&mut self, event: Event) -> Result<(), String> {
        if self.ending.is_some() {
            return Ok(());
        }
        self.judge.event(&event);
        for command in self.ledger.handle(self.now, event) {
            self.log.push(format!("{} {command:?}", self.now));
            self.judge.command(&command).map_err(|broken| format!("{broken}\n{}", self.tail()))?;
            self.obey(command)?;
        }
        Ok(())
    }

    fn tail(&self) -> String {
        self.log[self.log.len().saturating_sub(20)..].join("\n")
    }

    fn obey(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::Open { generation, .. } => {
                for (&member, &source) in generation.members.iter().zip(&generation.sources) {
                    self.enter(member, generation.number, generation.step, source)?;
                }
            }
            Command::Abort { members, .. } => {
                for member in members {
                    if let Some(state) = self.workers.get_mut(&member) {
                        state.computing = None;
                    }
                }
            }
            Command::Commit { generation, step, members, next } => {
                for member in members {
                    let Some(state) = self.workers.get_mut(&member) else { continue };
                    if state.applied != Some(step) {
                        return Err(format!("{member} applies step {step} to {:?}", state.applied));
                    }
                    state.applied = Some(step + 1);
                    state.computing = (next == Next::Continue).then_some((generation, step + 1));
                    self.compute(member, generation, step + 1);
                }
            }
            Command::Checkpoint { step, members } => self.store_parts(step, &members)?,
            Command::CommitCheckpoint { step, .. } => {
                let event = match self.chance(20) {
                    true => Event::CheckpointFailed { step, reason: "503".into() },
                    false => {
                        self.stored.insert(step);
                        Event::CheckpointStored { step }
                    }
                };
                let delay = self.random.below(300);
                self.plan(delay, Planned::Event(event));
            }
            Command::Dismiss { worker, .. } | Command::Refuse { worker, .. } => {
                self.workers.remove(&worker);
            }
            Command::Disconnect { worker } => self.come_back(worker),
            Command::Done(ending) => self.ending = Some(ending),
            Command::Record(_) | Command::Notice(_) => {}
        }
        Ok(())
    }

    fn enter(&mut self, member: WorkerId, number: u64, step: u64, source: StateSource) -> Result<(), String> {
        let Some(state) = self.workers.get_mut(&member) else { return Ok(()) };
        match source {
            StateSource::Keep if state.applied != Some(step) => {
                return Err(format!("{member} is to keep step {step}, but holds {:?}", state.applied));
            }
            StateSource::Restore if !self.stored.contains(&step) && step != 0 => {
                return Err(format!("{member} is to restore step {step}; stored are {:?}", self.stored));
            }
            StateSource::Keep | StateSource::Receive | StateSource::Restore => {}
        }
        if source != StateSource::Keep {
            (state.applied, state.arriving) = (None, Some(step));
        }
        state.computing = Some((number, step));
        self.compute(member, number, step);
        Ok(())
    }

    /// A worker whose session was closed connects again, and says what it holds.
    fn come_back(&mut self, worker: WorkerId) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        (state.computing, state.arriving) = (None, None);
        let applied = state.applied;
        let asleep = state.frozen_until.saturating_sub(self.now);
        let info = WorkerInfo { name: "back".into(), address: String::new(), platform: "p".into() };
        self.plan(asleep + 50, Planned::Event(Event::Hello { worker, info }));
        self.plan(asleep + 60, Planned::Event(Event::Prepared { worker, applied }));
    }

    fn compute(&mut self, member: WorkerId, generation: u64, step: u64) {
        let delay = 50 + self.random.below(400);
        self.plan(delay, Planned::Finishes(member, generation, step));
    }

    fn store_parts(&mut self, step: u64, members: &[WorkerId]) -> Result<(), String> {
        for (index, &worker) in (0..).zip(members) {
            let Some(state) = self.workers.get(&worker) else { continue };
            if state.applied != Some(step) {
                return Err(format!("{worker} is to store step {step}, but holds {:?}", state.applied));
            }
            let event = if self.chance(10) {
                Event::PartFailed { worker, step, reason: "disk full".into() }
            } else {
                let name = format!("part-{index}");
                let part = PartReport {
                    name,
                    size: 1,
                    checksum: "c".into(),
                    tensors: Vec::new(),
                    state_digest: format!("state {step}"),
                };
                Event::PartStored { worker, step, of: members.len() as u32, index, part }
            };
            let delay = 20 + self.random.below(1_000);
            self.plan(delay, Planned::Event(event));
        }
        Ok(())
    }
}

fn report(step: u64) -> StepReport {
    StepReport {
        loss: 1.0,
        targets: 1,
        tokens: 10,
        grad_norm: 1.0,
        digest: format!("gradient {step}"),
        overflowed: false,
        measures: Vec::new(),
    }
}
