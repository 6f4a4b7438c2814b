//! The session with the coordinator: connects, says hello, passes messages both ways, sends heartbeats. When the
//! coordinator is gone it waits and tries again, while the member's thread keeps the weights.

use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};
use wire::v1::coordinator_client::CoordinatorClient;
use wire::v1::coordinator_message::Kind;
use wire::v1::worker_message;
use wire::{Told, v1};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::interrupt::Interrupt;
use crate::member::{Member, Order};
use crate::progress::Progress;
use crate::start::{self, Started};
use crate::{EngineError, EngineSetup, StepEngine, WorkerError};

/// Waits between attempts to connect grow from the one up to the other. A coordinator that comes back waits longer.
const FIRST_BACK_OFF_MS: u64 = 50;
const LONGEST_BACK_OFF_MS: u64 = 800;

/// So long whoever wants to go waits for a coordinator that is gone: it may be the last to hold the weights, and can have
/// them stored.
const GOODBYE: Duration = Duration::from_secs(10);

/// What a worker is told when it is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The coordinator's URL.
    pub coordinator: String,
    /// Random; names this process.
    pub id: u64,
    /// Host and process, for people.
    pub name: String,
    /// The address under which other workers reach this one.
    pub address: String,
    /// Processor features and library versions.
    pub platform: String,
    /// How long to try to reach the coordinator before giving up.
    pub patience: Duration,
}

/// How a session ended.
enum Ended {
    /// The run, or this worker's part in it, is over.
    Over,
    /// The connection is gone.
    Lost(String),
}

/// Serves one run: until the coordinator dismisses the worker, or it cannot go on. `leave` turning true means a clean
/// leave after the current step. `build` makes the engine, on the thread that will drive it.
///
/// # Errors
/// See [`WorkerError`].
pub async fn run<B>(options: Options, leave: watch::Receiver<bool>, build: B) -> Result<(), WorkerError>
where
    B: FnOnce(EngineSetup) -> Result<Box<dyn StepEngine>, EngineError> + Send + 'static,
{
    let session = Session {
        options,
        leave,
        interrupt: Arc::new(Interrupt::default()),
        progress: Arc::new(Progress::default()),
        term: 0,
        member: None,
        build: Some(Box::new(build)),
    };
    let progress = session.progress.clone();
    tokio::select! {
        served = session.serve() => served,
        (waited, doing) = watch_over(&progress) => Err(WorkerError::Stuck { waited, doing }),
    }
}

/// Ends when the member's thread does not answer.
async fn watch_over(progress: &Progress) -> (Duration, v1::Doing) {
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    loop {
        clock.tick().await;
        if let Some(stuck) = progress.stuck() {
            return stuck;
        }
    }
}

impl Session {
    /// One connection after the other.
    async fn serve(mut self) -> Result<(), WorkerError> {
        let (mut since, mut attempts, mut leaving_since) = (Instant::now(), 0, None);
        loop {
            let reason = match self.once().await {
                Ok(Ended::Over) => return self.join().await,
                Ok(Ended::Lost(reason)) => {
                    (since, attempts) = (Instant::now(), 0);
                    tracing::warn!(reason, "the coordinator is gone; waiting for it to come back");
                    reason
                }
                Err(WorkerError::NoCoordinator { reason, .. }) => reason,
                Err(error) => return Err(error),
            };
            let back_off = back_off(self.options.id, attempts);
            if since.elapsed() + back_off > self.options.patience {
                return Err(WorkerError::NoCoordinator { url: self.options.coordinator.clone(), reason });
            }
            let mut leave = self.leave.clone();
            let leaves = *leave.borrow();
            if leaves {
                let since = *leaving_since.get_or_insert_with(Instant::now);
                if self.member.is_none() || since.elapsed() > GOODBYE {
                    return Ok(());
                }
            }
            tokio::select! {
                () = tokio::time::sleep(back_off) => {}
                Ok(_) = leave.wait_for(|&leave| leave), if !leaves => continue,
            }
            attempts += 1;
        }
    }
}

/// Doubles with every attempt, and lies between half of that and all of it: workers that were cut off together must not
/// come back together.
fn back_off(worker: u64, attempts: u32) -> Duration {
    let longest = (FIRST_BACK_OFF_MS << attempts.min(10)).min(LONGEST_BACK_OFF_MS);
    let draw = xxh3_64_with_seed(&worker.to_le_bytes(), u64::from(attempts));
    Duration::from_millis(longest / 2 + draw % (longest / 2 + 1))
}

type Build = Box<dyn FnOnce(EngineSetup) -> Result<Box<dyn StepEngine>, EngineError> + Send>;

struct Session {
    options: Options,
    leave: watch::Receiver<bool>,
    interrupt: Arc<Interrupt>,
    progress: Arc<Progress>,
    /// The highest term of any coordinator so far: an older one is not obeyed.
    term: u64,
    member: Option<Running>,
    build: Option<Build>,
}

/// The member's thread, as the session sees it.
struct Running {
    /// What tells one run from another.
    run: (String, String),
    orders: blocking::Sender<Order>,
    outbox: mpsc::UnboundedReceiver<worker_message::Kind>,
    ended: oneshot::Receiver<Result<(), WorkerError>>,
}

impl Session {
    /// Waits for the member's thread to end, and passes on how.
    async fn join(mut self) -> Result<(), WorkerError> {
        match self.member.take() {
            Some(running) => {
                let Running { orders, ended, .. } = running;
                drop(orders);
                ended.await.unwrap_or_else(|_| Err(broken_thread()))
            }
            None => Ok(()),
        }
    }

    /// One connection, from hello to its end.
    async fn once(&mut self) -> Result<Ended, WorkerError> {
        let (client, to_coordinator, mut messages) = self.connect().await?;
        let (term, first) = self.first_message(&mut messages).await?;
        let welcome = match first {
            Kind::Welcome(welcome) => welcome,
            Kind::Dismiss(_) => return Ok(Ended::Over),
            Kind::Refuse(refuse) => return Err(WorkerError::Refused(refuse.reason)),
            _ => return Err(self.protocol("a first message that is no welcome")),
        };
        if term < self.term {
            let reason = format!("it is of term {term}, and term {} has begun", self.term);
            return Err(WorkerError::NoCoordinator { url: self.options.coordinator.clone(), reason });
        }
        self.term = term;
        match &self.member {
            None => self.member = Some(self.start_member(&welcome).await?),
            Some(running) if running.run != run_of(&welcome) => {
                let reason =
                    "another run is served here now; this worker holds the weights of the one before";
                return Err(WorkerError::Refused(reason.into()));
            }
            Some(_) => {}
        }
        self.order(Order::Welcome(client, self.interrupt.session(), term));
        let ended = self.pump(&welcome, to_coordinator, messages).await;
        if let Ok(Ended::Lost(_)) = &ended {
            self.progress.call();
            self.interrupt.cut_off();
            self.order(Order::Disconnected);
        }
        ended
    }

    fn order(&self, order: Order) {
        if let Some(running) = &self.member {
            let _ = running.orders.send(order);
        }
    }

    fn protocol(&self, reason: &str) -> WorkerError {
        WorkerError::Protocol { url: self.options.coordinator.clone(), reason: reason.to_owned() }
    }

    async fn connect(
        &self,
    ) -> Result<
        (CoordinatorClient<Channel>, mpsc::Sender<v1::WorkerMessage>, Streaming<v1::CoordinatorMessage>),
        WorkerError,
    > {
        let url = &self.options.coordinator;
        let nobody = |reason: String| WorkerError::NoCoordinator { url: url.clone(), reason };
        let endpoint =
            Endpoint::from_shared(url.clone()).map_err(|error| self.protocol(&error.to_string()))?;
        let channel = endpoint
            .connect_timeout(Duration::from_secs(5))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true)
            .connect()
            .await
            .map_err(|error| nobody(root_cause(&error)))?;
        let mut client = CoordinatorClient::new(channel).max_decoding_message_size(wire::LARGEST_MESSAGE);
        let (to_coordinator, outgoing) = mpsc::channel(64);
        let hello = v1::Hello {
            worker: self.options.id,
            protocol: wire::PROTOCOL,
            name: self.options.name.clone(),
            address: self.options.address.clone(),
            platform: self.options.platform.clone(),
        };
        let _ = to_coordinator.send(message(worker_message::Kind::Hello(hello))).await;
        let messages =
            client.session(ReceiverStream::new(outgoing)).await.map_err(|status| match status.code() {
                tonic::Code::FailedPrecondition => WorkerError::Refused(status.message().to_owned()),
                _ => nobody(status.message().to_owned()),
            })?;
        Ok((client, to_coordinator, messages.into_inner()))
    }

    async fn first_message(
        &self,
        messages: &mut Streaming<v1::CoordinatorMessage>,
    ) -> Result<(u64, Kind), WorkerError> {
        let lost = |reason: &str| WorkerError::NoCoordinator {
            url: self.options.coordinator.clone(),
            reason: reason.to_owned(),
        };
        let first = messages.message().await.map_err(|status| lost(status.message()))?;
        let first = first.and_then(|message| Some((message.term, message.kind?)));
        first.ok_or_else(|| lost("it closed the session at once"))
    }

    /// Reads everything that the plan names, and starts the thread that will hold the weights.
    async fn start_member(&mut self, welcome: &v1::Welcome) -> Result<Running, WorkerError> {
        let runtime = tokio::runtime::Handle::current();
        let Started { setup, materials, run, init_from } =
            start::read(welcome, &self.options.coordinator, runtime.clone(), &self.leave).await?;
        let materials = Arc::new(materials);
        let build = self.build.take().ok_or_else(broken_thread)?;
        let (orders, inbox) = blocking::channel();
        let (to_outbox, outbox) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel();
        let (interrupt, address) = (self.interrupt.clone(), self.options.address.clone());
        let progress = self.progress.clone();
        let serve = move || -> Result<(), WorkerError> {
            let engine = build(setup)?;
            Member {
                engine,
                materials,
                run,
                init_from,
                runtime,
                interrupt,
                orders: inbox,
                outbox: to_outbox,
                address,
                client: None,
                session: 0,
                term: 0,
                since: v1::Opening::default(),
                entered: 0,
                progress,
                held_up: Duration::ZERO,
                storing: None,
                told: Told::default(),
            }
            .serve()
        };
        std::thread::Builder::new()
            .name("member".into())
            .spawn(move || drop(end.send(serve())))
            .map_err(|error| EngineError::Fatal(format!("no thread for the engine: {error}")))?;
        Ok(Running { run: run_of(welcome), orders, outbox, ended })
    }

    /// Passes messages both ways until one side ends.
    async fn pump(
        &mut self,
        welcome: &v1::Welcome,
        to_coordinator: mpsc::Sender<v1::WorkerMessage>,
        mut messages: Streaming<v1::CoordinatorMessage>,
    ) -> Result<Ended, WorkerError> {
        let mut heartbeat = tokio::time::interval(Duration::from_millis(welcome.heartbeat_ms.max(10)));
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Nobody lets go who may hold what others need: first it says what it holds.
        let (mut leave, mut prepared, mut leaving) = (self.leave.clone(), false, false);
        let (interrupt, progress) = (self.interrupt.clone(), self.progress.clone());
        let running = self.member.as_mut().ok_or_else(broken_thread)?;
        loop {
            let outgoing = tokio::select! {
                incoming = messages.message() => match incoming {
                    Ok(Some(v1::CoordinatorMessage { kind: Some(kind), .. })) => {
                        if let Kind::Abort(abort) = &kind {
                            progress.call();
                            interrupt.end(abort.generation);
                        }
                        let over = matches!(kind, Kind::Dismiss(_) | Kind::Refuse(_));
                        if over {
                            progress.call();
                            interrupt.cut_off();
                        }
                        let _ = running.orders.send(Order::Message(kind));
                        if over {
                            return Ok(Ended::Over);
                        }
                        continue;
                    }
                    Ok(Some(_)) => continue,
                    Ok(None) => return Ok(Ended::Lost("it closed the session".into())),
                    Err(status) => return Ok(Ended::Lost(status.message().to_owned())),
                },
                ended = &mut running.ended => {
                    let ended = ended.unwrap_or_else(|_| Err(broken_thread()));
                    self.member = None;
                    return ended.map(|()| Ended::Over);
                }
                Some(outgoing) = running.outbox.recv() => outgoing,
                _ = heartbeat.tick() => worker_message::Kind::Heartbeat(progress.heartbeat()),
                Ok(_) = leave.wait_for(|&leave| leave), if prepared && !leaving => {
                    leaving = true;
                    worker_message::Kind::Leave(v1::Leave {})
                }
            };
            prepared |= matches!(outgoing, worker_message::Kind::Prepared(_));
            if to_coordinator.send(message(outgoing)).await.is_err() {
                return Ok(Ended::Lost("it closed the session".into()));
            }
        }
    }
}

/// Store and packing of a run: they stay the same when its coordinator comes back, and no other run has both.
fn run_of(welcome: &v1::Welcome) -> (String, String) {
    (welcome.run_store.clone(), welcome.packings.join(" "))
}

fn message(kind: worker_message::Kind) -> v1::WorkerMessage {
    v1::WorkerMessage { kind: Some(kind) }
}

fn broken_thread() -> WorkerError {
    EngineError::Fatal("the engine's thread broke; see the log".into()).into()
}

/// tonic says only "transport error"; what happened stands behind it.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_less_than_a_coordinator_waits_and_differ_between_workers() {
        for worker in 0..100 {
            for attempts in [0, 1, 4, 60, u32::MAX] {
                let longest = (FIRST_BACK_OFF_MS << attempts.min(4)).min(LONGEST_BACK_OFF_MS);
                let waits = back_off(worker, attempts).as_millis() as u64;
                assert!((longest / 2..=longest).contains(&waits), "{worker} {attempts}: {waits}");
            }
        }
        let last: std::collections::BTreeSet<Duration> = (0..100).map(|worker| back_off(worker, 9)).collect();
        assert!(last.len() > 50, "{last:?}");
    }
}
