//! `cargo xtask chaos`: a real training run whose processes are killed, stopped and replaced at random, and which must end
//! with the weights of an undisturbed one, bit for bit. Knows the command lines of `cloze`, and nothing of what is behind
//! them.

mod proxy;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::prng::Prng;
use crate::shell::{Failure, Outcome, failed, foreign, output, run as run_command};
use crate::{demo_corpus, setup, shell};
use proxy::Proxy;

/// Arguments of `cargo xtask chaos`.
#[derive(Debug, clap::Args)]
pub struct ChaosArgs {
    /// What goes wrong, and when
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// About how long the run would take undisturbed
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Workers that are kept alive
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..))]
    workers: u32,
    /// Do only this to the run; with only coordinators killed, it has the same processes of workers from beginning to end
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_enum)]
    only: Vec<Disturbance>,
    /// Run the programs of the dev profile, which are quicker to build
    #[arg(long)]
    dev: bool,
    /// Also write what was measured as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Everything that is written is below this folder.
const FOLDER: &str = "target/chaos";
const CONFIG: &str = "configs/roberta/demo.toml";
/// Steps of a short run that shows how fast this machine is.
const CALIBRATION: u64 = 300;
/// Between two disturbances, in milliseconds.
const PAUSE: (usize, usize) = (200, 1_000);
/// How long a process stands still, in milliseconds; what is longer than the measured limit counts as death.
const STILL: (usize, usize) = (50, 3_000);
/// Without a step for so long, the run is taken to hang.
const HANGS: Duration = Duration::from_secs(60);
const SETTINGS: [&str; 4] = [
    "cluster.heartbeat_ms=100",
    "checkpoint.every=200",
    "guards.compare_every=50",
    "guards.recompute_every=10",
];

/// What is done to the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
enum Disturbance {
    /// SIGKILL to a worker that computes
    KillWorker,
    /// SIGKILL to the coordinator, and another one in its place
    KillCoordinator,
    /// An open connection between a worker and the coordinator breaks
    CutConnection,
    /// SIGSTOP to a worker that computes, and SIGCONT up to three seconds later
    StandStill,
    /// SIGTERM to a worker that computes
    Leave,
    /// One worker more
    Join,
}

/// As often as they stand here.
const DISTURBANCES: [Disturbance; 12] = [
    Disturbance::KillWorker,
    Disturbance::KillWorker,
    Disturbance::KillWorker,
    Disturbance::KillWorker,
    Disturbance::KillWorker,
    Disturbance::KillCoordinator,
    Disturbance::KillCoordinator,
    Disturbance::CutConnection,
    Disturbance::CutConnection,
    Disturbance::StandStill,
    Disturbance::Leave,
    Disturbance::Join,
];

/// After these, the time to the next commit is taken.
const MEASURED: [Disturbance; 3] =
    [Disturbance::KillWorker, Disturbance::KillCoordinator, Disturbance::CutConnection];

/// Trains undisturbed, then disturbed, and compares.
pub fn run(root: &Path, arguments: &ChaosArgs) -> Outcome<()> {
    setup::run(root, false)?;
    let (profile, folder) = if arguments.dev { ("dev", "debug") } else { ("release", "release") };
    for program in [["--bin", "cloze"], ["--package", "engine"]] {
        run_command(shell::cargo(root).args(["build", "--locked", "--profile", profile]).args(program))?;
    }
    let place = Place { root: root.to_path_buf(), cloze: root.join("target").join(folder).join("cloze") };
    place.prepare()?;
    let begun = Instant::now();
    place.train("calibration", CALIBRATION)?;
    let rate = CALIBRATION as f64 / begun.elapsed().as_secs_f64();
    let steps = (rate * 60.0 * arguments.minutes as f64) as u64;
    println!("{rate:.0} steps/s; {steps} steps, undisturbed");
    place.train("undisturbed", steps)?;
    println!("{steps} steps, seed {}, disturbed", arguments.seed);
    let mut chaos = Chaos::start(&place, arguments, steps)?;
    let ended = chaos.disturb_until_the_end();
    chaos.clear();
    ended?;
    let equal = place.weights("undisturbed")? == place.weights("disturbed")?;
    let verified = place.verified("disturbed")?;
    let report = chaos.report(arguments, steps, equal, &verified);
    println!("{}", report::show(&report));
    if let Some(path) = &arguments.out {
        crate::bench::write(path, &report)?;
    }
    match equal && verified["findings"].as_array().is_some_and(Vec::is_empty) {
        true => Ok(()),
        false => {
            failed(format!("the weights or the record are not those of an undisturbed run; see {FOLDER}"))
        }
    }
}

/// Where everything lies.
struct Place {
    root: PathBuf,
    cloze: PathBuf,
}

impl Place {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = foreign(&self.cloze);
        command.current_dir(&self.root).args(arguments);
        command
    }

    /// A dataset of the project's own text, and no runs.
    fn prepare(&self) -> Outcome<()> {
        let folder = self.root.join(FOLDER);
        let _ = fs::remove_dir_all(&folder);
        let corpus = folder.join("corpus");
        demo_corpus::write(&corpus, 2_000_000, 1)?;
        let mut command = self.command(&["prepare", "configs/corpus/books.toml", "--input"]);
        run_command(command.arg(corpus).args(["--out", &format!("{FOLDER}/dataset")]))
    }

    fn settings(&self, name: &str, steps: u64) -> Vec<String> {
        let mut settings = vec![
            format!("data.dataset={FOLDER}/dataset"),
            format!("run.store={FOLDER}/{name}"),
            format!("train.steps={steps}"),
            format!("schedule.warmup_steps={}", steps / 10),
        ];
        settings.extend(SETTINGS.map(str::to_owned));
        settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect()
    }

    fn train(&self, name: &str, steps: u64) -> Outcome<()> {
        let mut command = self.command(&["train", CONFIG, "--json", "--workers", "1"]);
        run_command(command.args(self.settings(name, steps)).stdout(Stdio::null()))
    }

    /// The bytes of a run's exported weights.
    fn weights(&self, name: &str) -> Outcome<Vec<u8>> {
        let to = format!("{FOLDER}/hf-{name}");
        run_command(&mut self.command(&["export", &format!("{FOLDER}/{name}"), "--to", &to]))?;
        let path = self.root.join(to).join("model.safetensors");
        fs::read(&path).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
    }

    fn verified(&self, name: &str) -> Outcome<Value> {
        let mut command = self.command(&["verify", &format!("{FOLDER}/{name}"), "--json"]);
        let done = command.output().map_err(|error| Failure::Failed(error.to_string()))?;
        serde_json::from_slice(&done.stdout)
            .map_err(|_| Failure::Failed(String::from_utf8_lossy(&done.stderr).into_owned()))
    }
}

/// A disturbed run in progress.
struct Chaos<'a> {
    place: &'a Place,
    random: Prng,
    steps: u64,
    workers: u32,
    port: u16,
    /// Between the workers and the coordinator.
    wire: Proxy,
    coordinator: Child,
    updates: Receiver<(Instant, Value)>,
    supervisors: Vec<Child>,
    /// What is done; those that are there more often are done more often.
    kinds: Vec<Disturbance>,
    /// The processes that supervisors were seen to have started, where the system tells.
    processes: BTreeSet<u32>,
    /// Processes that stand still, and until when.
    still: Vec<(String, Instant)>,
    /// What was done and not yet made up for.
    open: Vec<Open>,
    recoveries: BTreeMap<Disturbance, Vec<Recovery>>,
    counts: BTreeMap<Disturbance, u64>,
    step: u64,
    /// Steps that were computed again, each time that any were.
    redone: Vec<u64>,
    /// Kills that were left undone, because they would have taken the only weights.
    spared: u64,
}

/// What was done and not yet made up for.
struct Open {
    what: Disturbance,
    since: Instant,
    /// Whether a generation without the victim is open.
    opened: bool,
    /// Whether nothing else is made up for at the same time.
    alone: bool,
}

/// What was made up for.
#[derive(Clone, Copy)]
struct Recovery {
    /// From what was done to the next commit.
    seconds: f64,
    /// Whether nothing else was made up for at the same time.
    alone: bool,
}

/// A member, as `cloze status` shows it.
struct Member {
    process: String,
    /// Whether it is known to hold the weights.
    holds: bool,
}

impl<'a> Chaos<'a> {
    fn start(place: &'a Place, arguments: &ChaosArgs, steps: u64) -> Outcome<Self> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.map_err(|error| Failure::Failed(format!("no port is free: {error}")))?.port();
        let wire = Proxy::start(port).map_err(|error| Failure::Failed(format!("no proxy: {error}")))?;
        let (coordinator, updates) = coordinator(place, port, steps, false)?;
        let only = &arguments.only;
        let asked = |what: &Disturbance| only.is_empty() || only.contains(what);
        let mut chaos = Chaos {
            place,
            random: Prng::new(arguments.seed, 0),
            steps,
            workers: arguments.workers,
            port,
            wire,
            coordinator,
            updates,
            supervisors: Vec::new(),
            kinds: DISTURBANCES.into_iter().filter(asked).collect(),
            processes: BTreeSet::new(),
            still: Vec::new(),
            open: Vec::new(),
            recoveries: BTreeMap::new(),
            counts: BTreeMap::new(),
            step: 0,
            redone: Vec::new(),
            spared: 0,
        };
        for _ in 0..arguments.workers {
            chaos.join()?;
        }
        Ok(chaos)
    }

    fn join(&mut self) -> Outcome<()> {
        let url = format!("http://127.0.0.1:{}", self.wire.port);
        let mut command = self.place.command(&["worker", "--coordinator", &url, "--address", "127.0.0.1"]);
        let log = self.place.root.join(FOLDER).join("workers.log");
        let log = fs::File::options().create(true).append(true).open(&log);
        let log = log.map_err(|error| Failure::Failed(format!("workers.log: {error}")))?;
        let child = command.stdout(Stdio::null()).stderr(log).spawn();
        self.supervisors.push(child.map_err(|error| Failure::Failed(format!("no worker starts: {error}")))?);
        Ok(())
    }

    fn disturb_until_the_end(&mut self) -> Outcome<()> {
        let (mut last, mut next) = (Instant::now(), Instant::now() + Duration::from_secs(5));
        loop {
            match self.updates.recv_timeout(Duration::from_millis(50)) {
                Ok((at, update)) => {
                    if update["kind"] == "opened" {
                        self.open
                            .iter_mut()
                            .filter(|open| open.since < at)
                            .for_each(|open| open.opened = true);
                    }
                    if let Some(step) = update["step"].as_u64().filter(|_| update["kind"] == "step") {
                        last = at;
                        self.committed(at, step);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.ended(),
            }
            if last.elapsed() > HANGS {
                return failed(format!("no step for {HANGS:?} after step {}", self.step));
            }
            self.look_after()?;
            // The end is left alone, so that every disturbance is followed by a step.
            if Instant::now() > next && self.step < self.steps * 19 / 20 {
                self.disturb()?;
                let pause = PAUSE.0 + self.random.below(PAUSE.1 - PAUSE.0);
                next = Instant::now() + Duration::from_millis(pause as u64);
            }
        }
    }

    fn committed(&mut self, at: Instant, step: u64) {
        self.redone.extend((self.step + 1).checked_sub(step).filter(|&steps| steps > 0));
        self.step = step;
        // A step before that was decided before, or with the victim's vote.
        for Open { what, since, alone, .. } in self.open.extract_if(.., |open| open.opened) {
            let seconds = (at - since).as_secs_f64();
            self.recoveries.entry(what).or_default().push(Recovery { seconds, alone });
        }
    }

    fn ended(&mut self) -> Outcome<()> {
        match self.coordinator.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => failed(format!("the coordinator ended with {status} after step {}", self.step)),
            Err(error) => failed(format!("the coordinator cannot be waited for: {error}")),
        }
    }

    /// Lets those go on that stood still long enough, and starts workers for those that are gone.
    fn look_after(&mut self) -> Outcome<()> {
        let now = Instant::now();
        for (process, _) in self.still.extract_if(.., |(_, until)| *until <= now) {
            signal(&process, "CONT");
        }
        self.supervisors.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        while self.supervisors.len() < self.workers as usize {
            self.join()?;
        }
        self.processes.extend(self.supervisors.iter().flat_map(|child| shell::children(child.id())));
        Ok(())
    }

    fn disturb(&mut self) -> Outcome<()> {
        let what = self.random.pick(&self.kinds);
        let members = self.members();
        let victim = (!members.is_empty()).then(|| self.random.below(members.len()));
        let others_hold = victim.is_some_and(|victim| self.others_hold(&members, victim));
        let victim = victim.map(|victim| members[victim].process.clone());
        match (what, victim) {
            // The only weights cannot be brought back by anybody, and nothing can be said of recovery.
            (Disturbance::KillWorker | Disturbance::StandStill, Some(_)) if !others_hold => {
                self.spared += 1;
                return Ok(());
            }
            (Disturbance::KillWorker, Some(process)) => signal(&process, "KILL"),
            (Disturbance::StandStill, Some(process)) => {
                let time = STILL.0 + self.random.below(STILL.1 - STILL.0);
                signal(&process, "STOP");
                self.still.push((process, Instant::now() + Duration::from_millis(time as u64)));
            }
            (Disturbance::Leave, Some(process)) => signal(&process, "TERM"),
            (Disturbance::CutConnection, _) => {
                if !self.wire.cut(|count| self.random.below(count)) {
                    return Ok(());
                }
            }
            (Disturbance::Join, _) if self.supervisors.len() < 2 * self.workers as usize => self.join()?,
            (Disturbance::KillCoordinator, _) => {
                let _ = self.coordinator.kill();
                let _ = self.coordinator.wait();
                (self.coordinator, self.updates) = coordinator(self.place, self.port, self.steps, true)?;
            }
            _ => return Ok(()),
        }
        *self.counts.entry(what).or_default() += 1;
        let alone = self.open.is_empty() && self.still.is_empty();
        self.open.iter_mut().for_each(|open| open.alone = false);
        if MEASURED.contains(&what) {
            self.open.push(Open { what, since: Instant::now(), opened: false, alone });
        }
        Ok(())
    }

    /// Whether somebody else is known to hold the weights and does not stand still.
    fn others_hold(&self, members: &[Member], victim: usize) -> bool {
        let still = |member: &Member| self.still.iter().any(|(process, _)| *process == member.process);
        members.iter().enumerate().any(|(index, of)| index != victim && of.holds && !still(of))
    }

    fn members(&self) -> Vec<Member> {
        let url = format!("http://127.0.0.1:{}", self.port);
        let status = output(&mut self.place.command(&["status", &url, "--json"]));
        let status: Value = status.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let workers = status["workers"].as_array().cloned().unwrap_or_default();
        // A worker's name ends with its process id.
        let member = |worker: &Value| {
            let process = worker["name"].as_str()?.rsplit(':').next()?.to_owned();
            Some(Member { process, holds: worker["applied"].is_u64() })
        };
        workers.iter().filter(|worker| worker["member"] == true).filter_map(member).collect()
    }

    /// Leaves no process behind.
    fn clear(&mut self) {
        for (process, _) in self.still.drain(..) {
            signal(&process, "CONT");
        }
        let _ = self.coordinator.kill();
        let _ = self.coordinator.wait();
        for supervisor in &mut self.supervisors {
            signal(&supervisor.id().to_string(), "TERM");
        }
        let begun = Instant::now();
        while self.supervisors.iter_mut().any(|child| matches!(child.try_wait(), Ok(None))) {
            if begun.elapsed() > HANGS {
                println!("a worker does not go; it is killed");
                self.supervisors.iter_mut().for_each(|child| drop(child.kill()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Starts a coordinator whose updates arrive with the times at which they were read.
fn coordinator(
    place: &Place,
    port: u16,
    steps: u64,
    resume: bool,
) -> Outcome<(Child, Receiver<(Instant, Value)>)> {
    let listen = format!("127.0.0.1:{port}");
    let mut command = place.command(&["coordinator", CONFIG, "--json", "--listen", &listen]);
    command.args(place.settings("disturbed", steps));
    if resume {
        command.arg("--resume");
    }
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = spawned.map_err(|error| Failure::Failed(format!("no coordinator starts: {error}")))?;
    let out = child.stdout.take().ok_or_else(|| Failure::Failed("no output to read".into()))?;
    let (updates, inbox) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let Ok(update) = serde_json::from_str(&line) else { continue };
            if updates.send((Instant::now(), update)).is_err() {
                return;
            }
        }
    });
    Ok((child, inbox))
}

fn signal(process: &str, name: &str) {
    // It may be gone already.
    let _ = foreign("kill").args([&format!("-{name}"), process]).stderr(Stdio::null()).status();
}
