//! A coordinator under the load of a large cluster: `load serve` is a real one, `load drive` are its workers, each with a
//! connection of its own, that do nothing but say what workers say. `cargo xtask bench coordinator` runs both.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coordinator::Job;
use plan::RunPlan;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use wire::v1;
use wire::v1::coordinator_client::CoordinatorClient;
use wire::v1::coordinator_message::Kind;
use wire::v1::worker_message;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A run's plan, of which the coordinator needs the steps, the batch and the lanes.
fn plan(config: &str, workers: u32, heartbeat_ms: u64) -> Outcome<RunPlan> {
    let lanes = workers.next_power_of_two();
    let settings = [
        format!("data.lanes={lanes}"),
        format!("train.batch={lanes}"),
        "train.micro_batch=1".to_owned(),
        "train.steps=100000000".to_owned(),
        "checkpoint.every=100000000".to_owned(),
        format!("cluster.min_workers={workers}"),
        format!("cluster.heartbeat_ms={heartbeat_ms}"),
        "cluster.dead_after_ms=60000".to_owned(),
    ];
    Ok(RunPlan::parse(config, &std::fs::read_to_string(config)?, &settings)?)
}

async fn serve(config: &str, workers: u32, heartbeat_ms: u64, folder: &str) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let job = Job {
        plan: plan(config, workers, heartbeat_ms)?,
        run: store::RunStore::open(folder)?,
        run_place: folder.to_owned(),
        dataset_hash: "none".into(),
        tokenizer_hash: "none".into(),
        packings: vec!["none".into()],
    };
    let _ending = coordinator::serve(job, listener, |_| {}, |_| {}).await?;
    Ok(())
}

/// What all workers together saw.
#[derive(Default)]
struct Seen {
    sent: AtomicU64,
    received: AtomicU64,
    voted: AtomicU64,
    /// When the last vote on the present step was sent, in nanoseconds since the beginning.
    last_vote: AtomicU64,
    measuring: std::sync::atomic::AtomicBool,
}

struct Load {
    begun: Instant,
    workers: u64,
    /// Between the commit of a step and a worker's vote on the next.
    pace: Duration,
    heartbeat: Duration,
    seen: Seen,
    /// Microseconds from the last vote on a step to its commit, as each worker saw it.
    latencies: mpsc::UnboundedSender<u32>,
}

fn message(kind: worker_message::Kind) -> v1::WorkerMessage {
    v1::WorkerMessage { kind: Some(kind) }
}

fn vote(generation: u64, step: u64) -> worker_message::Kind {
    let report =
        v1::StepReport { loss: 2.0, targets: 1, tokens: 1, digest: "d".repeat(32), ..Default::default() };
    let share = v1::Share { micro_batches: 1, compute_ms: 100.0, reduce_ms: 10.0, ..Default::default() };
    worker_message::Kind::Ready(v1::Ready { generation, step, report: Some(report), share: Some(share) })
}

impl Load {
    /// One worker: a session of its own, until the coordinator is gone.
    async fn work(self: Arc<Self>, url: String, id: u64) -> Outcome<()> {
        let endpoint = tonic::transport::Endpoint::from_shared(url)?.tcp_nodelay(true);
        let mut client = CoordinatorClient::new(endpoint.connect().await?);
        let (outbox, outgoing) = mpsc::channel(16);
        let hello = v1::Hello {
            worker: id << 32,
            protocol: wire::PROTOCOL,
            name: format!("worker-{id}:1"),
            address: "127.0.0.1".into(),
            platform: "load".into(),
        };
        outbox.send(message(worker_message::Kind::Hello(hello))).await?;
        let mut messages = client.session(ReceiverStream::new(outgoing)).await?.into_inner();
        let prepared = v1::Prepared::default();
        outbox.send(message(worker_message::Kind::Prepared(prepared))).await?;
        let mut clock = tokio::time::interval_at(
            tokio::time::Instant::now() + self.heartbeat.mul_f64((id % 1000) as f64 / 1000.0),
            self.heartbeat,
        );
        // A worker computes for about as long as the others, not exactly.
        let pace = self.pace.mul_f64(0.5 + (id % 1000) as f64 / 1000.0);
        let mut done = 0;
        loop {
            tokio::select! {
                incoming = messages.message() => {
                    let Some(incoming) = incoming?.and_then(|message| message.kind) else { return Ok(()) };
                    self.seen.received.fetch_add(1, Ordering::Relaxed);
                    let next = match incoming {
                        Kind::Open(open) => Some((open.generation, open.step)),
                        Kind::Commit(commit) => {
                            self.committed();
                            (!commit.wait).then_some((commit.generation, commit.step + 1))
                        }
                        _ => None,
                    };
                    if let Some((generation, step)) = next {
                        tokio::time::sleep(pace).await;
                        self.about_to_vote();
                        outbox.send(message(vote(generation, step))).await?;
                        self.seen.sent.fetch_add(1, Ordering::Relaxed);
                    }
                }
                _ = clock.tick() => {
                    done += 1;
                    let heartbeat = v1::Heartbeat { done, doing: v1::Doing::Computing.into() };
                    outbox.send(message(worker_message::Kind::Heartbeat(heartbeat))).await?;
                    self.seen.sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn about_to_vote(&self) {
        let votes = self.seen.voted.fetch_add(1, Ordering::SeqCst) + 1;
        if votes.is_multiple_of(self.workers) {
            self.seen.last_vote.store(self.begun.elapsed().as_nanos() as u64, Ordering::SeqCst);
        }
    }

    fn committed(&self) {
        if self.seen.measuring.load(Ordering::Relaxed) {
            let since = self.seen.last_vote.load(Ordering::SeqCst);
            let took = (self.begun.elapsed().as_nanos() as u64).saturating_sub(since);
            let _ = self.latencies.send((took / 1_000) as u32);
        }
    }
}

async fn drive(url: &str, workers: u64, pace_ms: u64, heartbeat_ms: u64, seconds: u64) -> Outcome<()> {
    let (latencies, mut seen_latencies) = mpsc::unbounded_channel();
    let load = Arc::new(Load {
        begun: Instant::now(),
        workers,
        pace: Duration::from_millis(pace_ms),
        heartbeat: Duration::from_millis(heartbeat_ms),
        seen: Seen::default(),
        latencies,
    });
    for id in 0..workers {
        let (load, url) = (load.clone(), url.to_owned());
        tokio::spawn(async move {
            if let Err(error) = load.work(url, id + 1).await {
                eprintln!("worker {id}: {error}");
                std::process::exit(1);
            }
        });
        if id % 100 == 99 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let seen = &load.seen;
    while seen.voted.load(Ordering::Relaxed) < 3 * workers {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if load.begun.elapsed() > Duration::from_secs(120) {
            return Err("the generation does not open".into());
        }
    }
    let connected = load.begun.elapsed().as_secs_f64();
    seen.measuring.store(true, Ordering::Relaxed);
    let counts = || [&seen.sent, &seen.received, &seen.voted].map(|count| count.load(Ordering::Relaxed));
    let (before, begun) = (counts(), Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (after, took) = (counts(), begun.elapsed().as_secs_f64());
    seen.measuring.store(false, Ordering::Relaxed);
    let mut latencies = Vec::new();
    while let Ok(latency) = seen_latencies.try_recv() {
        latencies.push(latency);
    }
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len().saturating_sub(1)) as f64 * share;
        latencies.get(index as usize).map_or(0.0, |&microseconds| f64::from(microseconds) / 1e3)
    };
    let per_second = |index: usize| (after[index] - before[index]) as f64 / took;
    println!(
        "{{\"workers\":{workers},\"pace_ms\":{pace_ms},\"heartbeat_ms\":{heartbeat_ms},\"seconds\":{took:.1},\
         \"seconds_to_open\":{connected:.2},\"messages_per_second\":{:.0},\"steps_per_second\":{:.2},\
         \"commit_ms\":{{\"count\":{},\"p50\":{:.2},\"p99\":{:.2},\"longest\":{:.2}}}}}",
        per_second(0) + per_second(1),
        per_second(2) / workers as f64,
        latencies.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    std::process::exit(0);
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |index: usize| -> Outcome<u64> { Ok(arguments.get(index).ok_or("a number is missing")?.parse()?) };
    let text = |index: usize| arguments.get(index).map(String::as_str).ok_or("an argument is missing");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match text(0)? {
        "serve" => runtime.block_on(serve(text(1)?, number(2)? as u32, number(3)?, text(4)?)),
        "drive" => runtime.block_on(drive(text(1)?, number(2)?, number(3)?, number(4)?, number(5)?)),
        other => Err(format!(
            "{other}: serve CONFIG WORKERS HEARTBEAT_MS FOLDER, or drive URL WORKERS PACE_MS HEARTBEAT_MS SECONDS"
        )
        .into()),
    }
}
