//! The state machine: `handle(now, event) -> commands`. Every event first changes what is known, then [`settle`]
//! decides whatever can be decided now; so the order in which facts arrive does not matter for what follows.
//!
//! [`settle`]: Ledger::settle

mod checkpoints;
mod generations;
mod guards;
mod members;
mod pace;
mod status;
mod stored;
#[cfg(test)]
mod testing;
mod trial;

use std::collections::{BTreeMap, BTreeSet};

use plan::Guards;

use crate::{
    Command, Ending, Event, Generation, Opening, PartReport, Progress, Record, Share, StepReport, Tail,
    WorkerId, WorkerInfo,
};
use pace::{Pace, Timing};
pub use status::{Phase, Status, WorkerStatus};
pub use stored::Stored;

/// Generations in a row that may fail without the loss of a member, and without anything that could be done about it, before
/// the run is given up.
const FAILURES_BEFORE_GIVING_UP: u32 = 10;
/// How often storage may refuse the last checkpoint before the run is given up. Each refusal comes after the store's
/// own retries.
const FINAL_CHECKPOINT_ATTEMPTS: u32 = 20;
/// Before a checkpoint that storage refused is tried again while nobody computes, in milliseconds.
const NEXT_ATTEMPT_MS: u64 = 2_000;
/// The clock ticks at least so often while the coordinator is awake, in milliseconds.
const TICKS: u64 = 1_000;
/// How long those who hold the weights are waited for before steps are computed again: whoever was cut off may be about
/// to connect again.
const REGATHER_MS: u64 = 2_500;
/// How long a coordinator that comes back waits for the members of the last generation, if others hold the weights already.
/// Longer than workers wait between two attempts.
const SURVIVORS_MS: u64 = 1_000;
/// How long the ledger waits for a lost connection to explain a member's failure, in milliseconds.
const FAILURE_GRACE_MS: u64 = 1_000;

/// What the ledger needs to know of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Steps in the run.
    pub steps: u64,
    /// The micro-batches of each step.
    pub batches: plan::Batches,
    /// Workers that must be there before the first generation opens.
    pub min_workers: usize,
    /// Workers that can take part at most: the number of lanes.
    pub max_workers: usize,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Between two heartbeats of a worker, in milliseconds.
    pub heartbeat_ms: u64,
    /// Silence after which a worker is taken for dead, in milliseconds; without it, the limit is measured.
    pub dead_after_ms: Option<u64>,
    /// How long anything may take of which nothing was measured yet, in milliseconds: the first step compiles, loads and
    /// connects.
    pub unmeasured_ms: u64,
    /// What is watched.
    pub guards: Guards,
    /// How many members keep the records that are not durable yet. Their loss together with the coordinator's is needed
    /// to lose one.
    pub keepers: usize,
    /// So many records may wait to be durable; then nothing is committed until storage has taken some.
    pub unstored: usize,
}

/// Where a coordinator's term begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The term.
    pub term: u64,
    /// The run's record, as far as it is stored.
    pub stored: Stored,
}

#[derive(Clone, Debug)]
struct Worker {
    info: WorkerInfo,
    last_heard: u64,
    prepared: bool,
    /// Updates applied to the weights it holds.
    applied: Option<u64>,
    /// The generation that these are from.
    since: Opening,
    leaving: bool,
    pace: Pace,
    progress: Progress,
    /// When it last got on.
    progressed: u64,
    /// The number of the last generation that it was a member of.
    generation: u64,
    /// The last one of which it has said what weights it left it with, or that it has them.
    entered: u64,
    /// It could not restore a checkpoint; others may.
    could_not_restore: bool,
    /// How often it was left out since it last took part in a step, and until when it is.
    trials: u32,
    not_before: u64,
}

/// A member's vote on a step.
#[derive(Clone, Debug)]
struct Vote {
    report: StepReport,
    share: Share,
}

/// Why a member could not go on.
#[derive(Clone, Debug)]
struct Failure {
    reason: String,
    /// It was its own fault, as far as it knows, and not that of a connection.
    own: bool,
}

/// A checkpoint on its way: who stores which part, and what is stored already.
#[derive(Clone, Debug)]
struct Attempt {
    members: Vec<WorkerId>,
    parts: BTreeMap<u32, PartReport>,
    head: String,
    loss: Option<f64>,
}

impl Attempt {
    /// Whether the checkpoint cannot be finished without this worker.
    fn waits_for(&self, worker: WorkerId) -> bool {
        let index = self.members.iter().position(|&member| member == worker);
        index.is_some_and(|index| !self.parts.contains_key(&(index as u32)))
    }
}

/// Storage refused a checkpoint that everybody waits for.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    step: u64,
    times: u32,
    last: u64,
}

/// The coordinator's state. See the crate's head.
#[derive(Clone, Debug)]
pub struct Ledger {
    settings: Settings,
    term: u64,
    phase: Phase,
    workers: BTreeMap<WorkerId, Worker>,
    generation: Option<Generation>,
    /// Generations that were opened in this term.
    opened: u64,
    /// Why the next generation will be opened.
    reason: String,
    /// Committed steps.
    step: u64,
    durable: u64,
    /// Whether the checkpoints of the terms before have been looked at: nobody goes back to what may be damaged, or
    /// further back than need be.
    looked: bool,
    /// And have to be looked at once more.
    look_again: bool,
    /// The head of the ledger that the newest checkpoint names.
    durable_head: String,
    ready: BTreeMap<WorkerId, Vote>,
    /// Members that could not go on, and since when the first of them.
    failed: BTreeMap<WorkerId, Failure>,
    failed_since: Option<u64>,
    failures_in_a_row: u32,
    /// When a generation was last opened, or a step committed.
    got_on_at: u64,
    attempts: BTreeMap<u64, Attempt>,
    /// Members of attempts that were given up who are still at it, each maybe with a copy of its part.
    lingering: BTreeSet<WorkerId>,
    /// A checkpoint was given up with a member that was lost: the next step makes up for it.
    owed: bool,
    refusal: Option<Refusal>,
    stopping: bool,
    /// Why it stops, if nobody wanted it to.
    gave_up: Option<String>,
    /// Why it is to stand still, if it is; and whether somebody said so in this term.
    paused: Option<String>,
    asked: bool,
    /// Workers that asked to go.
    leaving: BTreeSet<WorkerId>,
    timing: Timing,
    /// The step from which on micro-batches are dealt as they are.
    dealt_at: u64,
    /// Who computed other results than whom.
    contradicted: BTreeMap<WorkerId, Vec<WorkerId>>,
    skipped_in_a_row: u64,
    /// How often members held different weights since a checkpoint was last stored.
    doubts_since_checkpoint: u32,
    last_tick: u64,
    /// The run goes on with another coordinator.
    taken_over: bool,
    /// Nothing is committed, because storage takes no records.
    waits_for_storage: bool,
    /// All records, those included that are not durable yet.
    record: Stored,
    /// The records that are not known to be durable.
    tail: Tail,
    /// The place of the term's first record.
    begun: u64,
    /// Up to this step there may be checkpoints of the terms before.
    may_be_stored: u64,
    /// The place of the first record that the members of the open generation were not told of.
    told: u64,
    /// Before the first generation of the term: what a worker brings of the term before.
    brought: Option<Tail>,
    /// When the first worker of the term was prepared.
    gathering_since: Option<u64>,
    /// Since when nobody is there who holds the weights of the last committed step.
    missing_since: Option<u64>,
    last: Option<StepReport>,
}

impl Ledger {
    /// The state at the beginning of a term.
    pub fn new(settings: Settings, start: Start) -> Self {
        Ledger {
            settings,
            term: start.term,
            phase: Phase::Gathering,
            workers: BTreeMap::new(),
            generation: None,
            opened: 0,
            reason: "the run starts".to_owned(),
            step: 0,
            durable: 0,
            looked: false,
            look_again: false,
            durable_head: String::new(),
            ready: BTreeMap::new(),
            failed: BTreeMap::new(),
            failed_since: None,
            failures_in_a_row: 0,
            got_on_at: 0,
            attempts: BTreeMap::new(),
            lingering: BTreeSet::new(),
            owed: false,
            refusal: None,
            stopping: false,
            gave_up: None,
            paused: start.stored.paused.clone(),
            asked: false,
            leaving: BTreeSet::new(),
            timing: Timing::default(),
            dealt_at: 0,
            contradicted: BTreeMap::new(),
            skipped_in_a_row: 0,
            doubts_since_checkpoint: 0,
            waits_for_storage: false,
            last_tick: 0,
            taken_over: false,
            tail: Tail { term: start.term, first: start.stored.records, records: Vec::new() },
            begun: start.stored.records,
            may_be_stored: start.stored.furthest,
            told: start.stored.records,
            record: start.stored,
            brought: None,
            gathering_since: None,
            missing_since: None,
            last: None,
        }
    }

    /// Takes an event at time `now` (milliseconds on any clock that does not go back) and says what must be done,
    /// in order.
    pub fn handle(&mut self, now: u64, event: Event) -> Vec<Command> {
        let mut out = Vec::new();
        if self.phase == Phase::Done {
            if let Event::Hello { worker, .. } = event {
                out.push(self.farewell(worker));
            }
            return out;
        }
        if let Some(worker) = event.worker().and_then(|id| self.workers.get_mut(&id)) {
            let before = std::mem::replace(&mut worker.last_heard, now);
            // If the clock stood still, it was us who slept.
            if worker.prepared && now.saturating_sub(self.last_tick) < TICKS {
                self.timing.heard_after(now.saturating_sub(before));
            }
        }
        self.learn(now, event, &mut out);
        self.settle(now, &mut out);
        out
    }

    /// What the last committed step found.
    pub fn last(&self) -> Option<&StepReport> {
        self.last.as_ref()
    }

    /// Changes what is known, and carries on what that ends: a lost member's generation, a finished checkpoint.
    fn learn(&mut self, now: u64, event: Event, out: &mut Vec<Command>) {
        match event {
            Event::Hello { worker, info } => self.hello(now, worker, info, out),
            Event::Prepared { worker, applied, since, entered, tail } => {
                self.prepared(now, worker, (applied, since), entered, tail)
            }
            Event::Heartbeat { worker, progress } => self.got_on(now, worker, progress),
            Event::Lost { worker, reason } => self.lose(worker, &reason, out),
            Event::Leave { worker } => {
                if let Some(known) = self.workers.get_mut(&worker) {
                    known.leaving = true;
                    self.leaving.insert(worker);
                }
            }
            Event::Ready { worker, generation, step, report, share } => {
                if self.is_current(worker, generation) && step == self.step {
                    self.ready.insert(worker, Vote { report, share });
                    if let Some(known) = self.workers.get_mut(&worker) {
                        known.since = Opening { term: self.term, generation };
                        (known.applied, known.entered) = (Some(step), generation);
                    }
                }
            }
            Event::Failed { worker, generation, reason, own } => {
                if self.is_current(worker, generation) {
                    self.failed_since.get_or_insert(now);
                    self.failed.insert(worker, Failure { reason, own });
                }
            }
            Event::RestoreFailed { worker, generation, reason } => {
                if self.is_current(worker, generation) {
                    self.restore_failed(worker, &reason, out);
                }
            }
            Event::PartStored { worker, step, of, index, part } => {
                self.part_stored(worker, step, of, index, part, out);
            }
            Event::PartFailed { worker, .. } if self.lingering.remove(&worker) => {}
            Event::PartFailed { worker, step, reason } => {
                self.refuse_attempt(now, step, &format!("{worker} could not store its part: {reason}"), out);
                self.lingering.remove(&worker);
            }
            Event::Recorded { records } => self.tail.forget_before(records),
            Event::CheckpointFound { step, head, skipped } => {
                self.checkpoint_found(step, head, skipped, out);
            }
            Event::CheckpointStored { step } => self.checkpoint_stored(step, out),
            Event::CheckpointFailed { step, reason } => self.refuse_attempt(now, step, &reason, out),
            Event::GiveUp { reason } => self.end(Ending::Failed(reason), out),
            Event::TakenOver { reason } => self.end(Ending::TakenOver(reason), out),
            Event::Stop { .. } | Event::Pause { .. } | Event::Unpause => self.asked_for(event, out),
            Event::Tick => {
                self.bury_the_silent(now, out);
                self.end_what_hangs(now, out);
            }
        }
    }

    /// A person wants it to end, to stand still, or to go on.
    fn asked_for(&mut self, event: Event, out: &mut Vec<Command>) {
        self.asked = true;
        let said = match event {
            Event::Stop { reason } => {
                self.stopping = true;
                // Whoever resumes it wants it to go on.
                self.paused = None;
                format!("stopping after the current step: {reason}")
            }
            Event::Pause { reason } => {
                let said = format!("pausing after the current step: {reason}");
                self.paused = Some(reason);
                said
            }
            _ if self.paused.take().is_some() => {
                self.reason = "the run goes on after a pause".to_owned();
                "the run goes on".to_owned()
            }
            _ => return,
        };
        // Nothing is recorded before it is known what the coordinator before has decided.
        if self.opened > 0 {
            self.record_whether_it_is_paused(out);
        }
        out.push(Command::Notice(said));
    }

    /// Decides whatever can be decided now.
    fn settle(&mut self, now: u64, out: &mut Vec<Command>) {
        self.give_up_failed_generation(now, out);
        self.commit_if_all_are_ready(now, out);
        if self.phase == Phase::Done {
            return;
        }
        if self.generation.is_none() {
            // A checkpoint that was on its way when all who held the weights were lost.
            self.step = self.step.max(self.durable);
            self.go_forth();
        }
        self.dismiss_the_leaving(now, out);
        if self.generation.is_none() {
            if self.step >= self.settings.steps || self.stopping {
                self.finish(now, out);
            } else if self.paused.is_some() {
                self.pause(now, out);
            } else {
                self.open_generation(now, out);
            }
        }
    }

    /// Another coordinator has to know it.
    fn record_whether_it_is_paused(&mut self, out: &mut Vec<Command>) {
        if self.paused == self.record.paused {
            return;
        }
        let record = self.paused.clone().map_or(Record::Unpaused {}, |reason| Record::Paused { reason });
        self.record(record, out);
    }

    fn record(&mut self, record: Record, out: &mut Vec<Command>) {
        self.record_of(self.term, record, out);
    }

    /// Records what the coordinator of `term` decided.
    fn record_of(&mut self, term: u64, record: Record, out: &mut Vec<Command>) {
        self.record.append(term, &record);
        self.tail.records.push(record.clone());
        out.push(Command::Record(record));
    }

    /// The records from place `from` on, for members that know those before or need not: they are durable. From now on
    /// they know these.
    fn tell(&mut self, from: u64) -> Tail {
        let from = from.max(self.tail.first);
        let records = self.tail.since(from).unwrap_or_default().to_vec();
        self.told = self.tail.end();
        Tail { term: self.term, first: from, records }
    }

    fn end(&mut self, ending: Ending, out: &mut Vec<Command>) {
        self.phase = Phase::Done;
        self.generation = None;
        self.taken_over = matches!(ending, Ending::TakenOver(_));
        for (worker, _) in std::mem::take(&mut self.workers) {
            out.push(self.farewell(worker));
        }
        out.push(Command::Done(ending));
    }

    /// A run that goes on elsewhere needs its workers, and what they hold.
    fn farewell(&self, worker: WorkerId) -> Command {
        match self.taken_over {
            true => Command::Disconnect { worker },
            false => Command::Dismiss { worker, reason: "the run is over".into() },
        }
    }
}
