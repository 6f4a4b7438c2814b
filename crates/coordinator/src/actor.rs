//! The loop around the ledger: an event comes in, its commands are carried out in order, the next one. All sessions,
//! the clock and the storage task talk to it through one inbox.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use ledger::{Command, Ending, Event, Generation, Ledger, Record, Settings, Start, Status, Tail, WorkerId};
use plan::RunPlan;
use store::{Claim, RunStore, Term};
use tokio::sync::{mpsc, oneshot};
use wire::v1;

use crate::rendezvous::Rendezvous;
use crate::scribe::{Finished, Scribe, Writing};
use crate::{CoordinatorError, Update, takeover};

/// Messages that wait for one worker. A worker that lets so many pile up does not read: it is lost.
const OUTBOX: usize = 64;
/// Events that wait for the loop; senders wait when it is full.
const INBOX: usize = 4_096;
/// Members that keep the records which are not durable yet. Records of 10,000 members need not be told to all of them.
pub const KEEPERS: usize = 16;
/// Records that may wait for storage: some minutes of the fastest runs, and a few megabytes in every keeper.
pub const UNSTORED: usize = 10_000;
/// What has not been measured yet may take this long.
pub const UNMEASURED_MS: u64 = 600_000;
/// Begins the names of measures of held-out samples.
const HELD_OUT: &str = "evaluation/";
/// How often the ledger hears that time has passed.
const TICK: Duration = Duration::from_millis(100);

/// What a coordinator is to coordinate. The caller has checked that the parts fit each other.
#[derive(Clone, Debug)]
pub struct Job {
    /// The plan.
    pub plan: RunPlan,
    /// Where the run's state is kept.
    pub run: RunStore,
    /// The run store's path or URL, as workers can open it.
    pub run_place: String,
    /// The dataset's hash.
    pub dataset_hash: String,
    /// The tokenizer's hash.
    pub tokenizer_hash: String,
    /// The names of the phases' packings in the run store.
    pub packings: Vec<String>,
}

/// Members are told the same: a message is made once.
pub(crate) type Outbox = mpsc::Sender<Arc<v1::CoordinatorMessage>>;

pub(crate) enum Input {
    Event(Event),
    /// A session has begun; its messages go to the outbox.
    Session {
        worker: WorkerId,
        session: u64,
        hello: Event,
        outbox: Outbox,
    },
    /// A session has ended.
    SessionEnded {
        worker: WorkerId,
        session: u64,
        reason: String,
    },
    /// A sentence for people.
    Notice(String),
    Status(oneshot::Sender<v1::GetStatusResponse>),
    /// Lets the worker of that name go; says whether there is one.
    Drain(String, oneshot::Sender<bool>),
}

/// A way to talk to a running coordinator from the same process.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) inbox: mpsc::Sender<Input>,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Input")
    }
}

impl Handle {
    /// Ends the run at once, as failed.
    pub async fn give_up(&self, reason: &str) {
        let _ = self.inbox.send(Input::Event(Event::GiveUp { reason: reason.to_owned() })).await;
    }

    /// Ends the run after the current step, with a checkpoint.
    pub async fn stop(&self, reason: &str) {
        let _ = self.inbox.send(Input::Event(Event::Stop { reason: reason.to_owned() })).await;
    }
}

pub(crate) struct Actor {
    ledger: Ledger,
    /// Its own, which closes when nobody else can send any more.
    inbox: mpsc::WeakSender<Input>,
    job: Job,
    term: Term,
    sessions: BTreeMap<WorkerId, (u64, Outbox)>,
    /// Workers to whom a message could not be sent; the ledger is about to hear of it.
    unreachable: Vec<WorkerId>,
    rendezvous: Arc<Rendezvous>,
    writing: mpsc::UnboundedSender<Writing>,
    on_update: Box<dyn Fn(Update) + Send>,
    members: usize,
    speed: Speed,
    started: Instant,
    ending: Option<Ending>,
    /// Told to those who come too late.
    taken_over: Arc<AtomicBool>,
}

/// Claims the run, and starts the storage task and the loop. The loop ends with the run.
///
/// # Errors
/// If the run belongs to another recipe, or its store fails.
pub(crate) async fn start(
    job: Job,
    (rendezvous, taken_over): (Arc<Rendezvous>, Arc<AtomicBool>),
    on_update: Box<dyn Fn(Update) + Send>,
) -> Result<(Handle, tokio::task::JoinHandle<Ending>), CoordinatorError> {
    let plan = &job.plan;
    let claim = Claim {
        name: plan.run.name.clone(),
        recipe_hash: plan.recipe_hash(),
        dataset_hash: job.dataset_hash.clone(),
        tokenizer_hash: job.tokenizer_hash.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    if !plan.run.unfenced {
        job.run.location().probe_conditions().await?;
    }
    let term = job.run.claim(&claim).await?;
    job.run.put_plan(&plan.to_toml()).await?;
    // Whether it is whole, nobody need know who is not to restore it.
    let newest = job.run.checkpoints().newest().await?.manifest;
    let (inbox, queue) = mpsc::channel(INBOX);
    let (events, mut written_events) = mpsc::channel(16);
    let (writing, to_write) = mpsc::unbounded_channel();
    let hashes = (job.dataset_hash.clone(), job.tokenizer_hash.clone());
    let taken = takeover::take_over(&job.run, term, newest.map_or(0, |newest| newest.segments)).await?;
    let (stored, written) = (taken.stored.clone(), (taken.segments, taken.stored.clone()));
    tokio::spawn(Scribe::new(job.run.clone(), term, plan.clone(), hashes, written, events).run(to_write));
    let handle = Handle { inbox };
    tokio::spawn(takeover::read_all(job.run.clone(), term, taken, handle.inbox.clone()));
    let forward = handle.inbox.clone();
    tokio::spawn(async move {
        while let Some(event) = written_events.recv().await {
            if forward.send(Input::Event(event)).await.is_err() {
                return;
            }
        }
    });
    let ledger = Ledger::new(settings(plan), Start { term: term.0, stored });
    let actor = Actor {
        ledger,
        inbox: handle.inbox.downgrade(),
        job,
        term,
        sessions: BTreeMap::new(),
        unreachable: Vec::new(),
        rendezvous,
        writing,
        on_update,
        members: 0,
        speed: Speed::default(),
        started: Instant::now(),
        ending: None,
        taken_over,
    };
    Ok((handle, tokio::spawn(actor.run(queue))))
}

/// What the ledger has to know of the plan.
fn settings(plan: &RunPlan) -> Settings {
    Settings {
        steps: plan.train.steps,
        batches: plan::Batches::new(plan),
        min_workers: plan.cluster.min_workers as usize,
        max_workers: plan.data.lanes as usize,
        checkpoint_every: plan.checkpoint.every,
        heartbeat_ms: plan.cluster.heartbeat_ms,
        dead_after_ms: plan.cluster.dead_after_ms,
        unmeasured_ms: UNMEASURED_MS,
        guards: plan.guards.clone(),
        keepers: KEEPERS,
        unstored: UNSTORED,
    }
}

impl Actor {
    async fn run(mut self, mut queue: mpsc::Receiver<Input>) -> Ending {
        let mut clock = tokio::time::interval(TICK);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                input = queue.recv() => match input {
                    Some(input) => self.take(input),
                    None => return Ending::Failed("the coordinator's inbox is closed".into()),
                },
                _ = clock.tick() => self.handle(Event::Tick),
            }
            if let Some(ending) = self.ending.take() {
                let (done, mut written) = oneshot::channel();
                if self.writing.send(Writing::Finish(done)).is_ok() {
                    // The scribe has something to say, too, and must not wait for room behind what nobody takes.
                    while let Some(input) = tokio::select! {
                        _ = &mut written => None,
                        input = queue.recv() => input,
                    } {
                        self.take(input);
                    }
                }
                return ending;
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Event(event) => self.handle(event),
            Input::Session { worker, session, hello, outbox } => {
                let welcome = v1::Welcome {
                    plan: self.job.plan.to_toml(),
                    run_store: self.job.run_place.clone(),
                    packings: self.job.packings.clone(),
                    heartbeat_ms: self.job.plan.cluster.heartbeat_ms,
                };
                self.sessions.insert(worker, (session, outbox));
                self.send(worker, v1::coordinator_message::Kind::Welcome(welcome));
                self.handle(hello);
            }
            // The end of an old session of a worker that has come back is no news.
            Input::SessionEnded { worker, session, reason } => {
                if self.sessions.get(&worker).is_some_and(|(current, _)| *current == session) {
                    self.sessions.remove(&worker);
                    self.handle(Event::Lost { worker, reason });
                }
            }
            Input::Drain(name, answer) => {
                let workers = self.ledger.status().workers;
                let found = workers.iter().find(|of| of.info.name == name).map(|of| of.worker);
                let _ = answer.send(found.is_some());
                if let Some(worker) = found {
                    self.notice(format!("{name} is asked to leave"));
                    self.handle(Event::Leave { worker });
                }
            }
            Input::Notice(text) => self.notice(text),
            Input::Status(answer) => {
                let _ = answer.send(self.status());
            }
        }
    }

    fn status(&self) -> v1::GetStatusResponse {
        let status: Status = self.ledger.status();
        v1::GetStatusResponse {
            run: self.job.plan.run.name.clone(),
            term: self.term.0,
            learning_rate: self.job.plan.learning_rate(status.step.saturating_sub(1)),
            tokens_per_second: self.speed.tokens_per_second(),
            ..wire::status_of(&status)
        }
    }

    fn handle(&mut self, event: Event) {
        if let Event::Hello { worker, info } = &event {
            tracing::info!(%worker, name = info.name, address = info.address, "a worker has come");
        }
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = self.started.elapsed().as_millis() as u64;
            for command in self.ledger.handle(now, event) {
                self.carry_out(command);
            }
            // Only now, when all commands of one decision are carried out, may the next one be made.
            let reason = "it does not read its messages";
            let lost = self.unreachable.drain(..);
            events.extend(lost.map(|worker| Event::Lost { worker, reason: reason.to_owned() }));
        }
    }

    fn carry_out(&mut self, command: Command) {
        use v1::coordinator_message::Kind;
        match command {
            Command::Refuse { worker, reason } => {
                self.notice(format!("worker {worker} is turned away: {reason}"));
                self.send(worker, Kind::Refuse(v1::Refuse { reason }));
                self.sessions.remove(&worker);
            }
            Command::Disconnect { worker } => {
                self.sessions.remove(&worker);
            }
            Command::Open { generation, reason, tail, keepers } => {
                self.open(&generation, reason, &tail, keepers);
            }
            Command::Abort { generation, members, reason } => {
                self.notice(format!("generation {generation} ends: {reason}"));
                let abort = self.message(Kind::Abort(v1::Abort { generation, reason }));
                members.into_iter().for_each(|member| self.post(member, abort.clone()));
            }
            Command::Commit { generation, step, members, next, deal, tail, keepers, recorded } => {
                let wait = next == ledger::Next::Wait;
                let weights = deal.map_or_else(Vec::new, |deal| deal.weights().to_vec());
                let commit = v1::Commit { generation, step, wait, tail: None, recorded, weights };
                let with_tail = v1::Commit { tail: Some(wire::tail_of(&tail)), ..commit.clone() };
                let told = [self.message(Kind::Commit(with_tail)), self.message(Kind::Commit(commit))];
                for (rank, member) in members.into_iter().enumerate() {
                    self.post(member, told[usize::from(rank >= keepers)].clone());
                }
                self.show_step(step);
            }
            Command::Record(record) => self.record(record),
            Command::Checkpoint { step, members } => {
                let of = members.len() as u32;
                for (index, &member) in (0..).zip(&members) {
                    self.send(member, Kind::Checkpoint(v1::Checkpoint { step, index, of }));
                }
            }
            Command::CommitCheckpoint { step, parts, ledger_head, loss } => {
                let _ = self.writing.send(Writing::Checkpoint(Finished { step, parts, ledger_head, loss }));
            }
            Command::LookBack => {
                if let Some(inbox) = self.inbox.upgrade() {
                    tokio::spawn(takeover::look_back(self.job.run.clone(), self.term, inbox));
                }
            }
            Command::Dismiss { worker, reason } => {
                self.send(worker, Kind::Dismiss(v1::Dismiss { reason }));
                self.sessions.remove(&worker);
            }
            Command::Notice(text) => self.notice(text),
            Command::Done(ending) => {
                self.taken_over.store(matches!(ending, Ending::TakenOver(_)), Ordering::Relaxed);
                self.ending = Some(ending);
            }
        }
    }

    fn open(&mut self, generation: &Generation, reason: String, tail: &Tail, keepers: usize) {
        self.rendezvous.forget_before(generation.number);
        self.members = generation.members.len();
        let tail = wire::tail_of(tail);
        for (rank, &member) in generation.members.iter().enumerate() {
            let tail = (rank < keepers).then(|| tail.clone());
            let open = wire::open_for(generation, rank, &reason, tail);
            self.send(member, v1::coordinator_message::Kind::Open(open));
        }
        let (number, step, members) = (generation.number, generation.step, self.members);
        tracing::info!(generation = number, step, members, reason, "a generation is open");
        self.tell(Update::Opened { generation: number, members, step, reason });
    }

    fn record(&mut self, record: Record) {
        if let Record::Checkpointed { step } = &record {
            tracing::info!(step, "a checkpoint is stored");
            self.tell(Update::Checkpointed { step: *step });
        }
        let _ = self.writing.send(Writing::Record(record));
    }

    fn show_step(&mut self, step: u64) {
        let Some(report) = self.ledger.last().cloned() else { return };
        let held_out =
            |(name, value): &(String, f64)| Some((name.strip_prefix(HELD_OUT)?.to_owned(), *value));
        let measures: BTreeMap<String, f64> = report.measures.iter().filter_map(held_out).collect();
        if !measures.is_empty() {
            let _ = self.writing.send(Writing::Evaluation { step, measures });
        }
        self.speed.add(self.started.elapsed(), report.tokens);
        let learning_rate = self.job.plan.learning_rate(step);
        if report.overflowed {
            self.notice(format!("step {step} is skipped: its gradient is not finite or out of range"));
        }
        tracing::info!(
            step = step + 1,
            loss = report.loss,
            learning_rate,
            grad_norm = report.grad_norm,
            "committed"
        );
        self.tell(Update::Step {
            step: step + 1,
            report,
            learning_rate,
            tokens_per_second: self.speed.tokens_per_second(),
            members: self.members,
        });
    }

    /// Shows it to whoever looks on, and keeps it for those who look later.
    fn tell(&self, update: Update) {
        let _ = self.writing.send(Writing::Metrics(update.line(SystemTime::now())));
        (self.on_update)(update);
    }

    fn notice(&self, text: String) {
        tracing::warn!("{text}");
        self.tell(Update::Notice(text));
    }

    fn message(&self, kind: v1::coordinator_message::Kind) -> Arc<v1::CoordinatorMessage> {
        Arc::new(v1::CoordinatorMessage { term: self.term.0, kind: Some(kind) })
    }

    fn send(&mut self, worker: WorkerId, kind: v1::coordinator_message::Kind) {
        let message = self.message(kind);
        self.post(worker, message);
    }

    /// Sends without waiting. A worker that does not read is lost: its stream ends, and with it its session.
    fn post(&mut self, worker: WorkerId, message: Arc<v1::CoordinatorMessage>) {
        if let Some((_, outbox)) = self.sessions.get(&worker)
            && outbox.try_send(message).is_err()
        {
            tracing::warn!(%worker, "a worker does not read its messages");
            self.sessions.remove(&worker);
            self.unreachable.push(worker);
        }
    }

    pub(crate) fn outbox() -> (Outbox, mpsc::Receiver<Arc<v1::CoordinatorMessage>>) {
        mpsc::channel(OUTBOX)
    }
}

/// Tokens per second over the last steps.
#[derive(Debug, Default)]
struct Speed {
    steps: std::collections::VecDeque<(Duration, u64)>,
}

impl Speed {
    const STEPS: usize = 20;

    fn add(&mut self, at: Duration, tokens: u64) {
        self.steps.push_back((at, tokens));
        if self.steps.len() > Self::STEPS {
            self.steps.pop_front();
        }
    }

    fn tokens_per_second(&self) -> f64 {
        let (Some((first, _)), Some((last, _))) = (self.steps.front(), self.steps.back()) else { return 0.0 };
        let seconds = (*last - *first).as_secs_f64();
        let tokens: u64 = self.steps.iter().skip(1).map(|(_, tokens)| tokens).sum();
        if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 }
    }
}
