//! `cloze train`: a coordinator in this process, workers beside it, a bar in front.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use coordinator::{Ending, Handle, Update};
use plan::{Evaluation, RunPlan};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use crate::failure::Failure;
use crate::show::Show;
use crate::signals::EndSignals;
use crate::supervision::{REPLACEMENTS, Row};
use crate::{engine, job, logs};

/// After the run's end, workers have this long to go by themselves.
const FAREWELL: Duration = Duration::from_secs(5);
/// Workers of a run on one machine share its coordinator's fate soon.
const PATIENCE_S: u64 = 10;

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze train run.toml --workers 2 --set train.steps=500")]
pub struct Arguments {
    /// The run's configuration (TOML).
    config: PathBuf,
    /// Worker processes on this machine.
    #[arg(long, default_value_t = 1)]
    workers: u32,
    /// Continue the run from its newest checkpoint.
    #[arg(long)]
    resume: bool,
    /// Override a value: section.key=value. May be given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print the resolved plan and what it amounts to, and exit.
    #[arg(long)]
    dry_run: bool,
    /// Where the coordinator listens; other machines may join with `cloze worker`.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// The address under which workers on other machines reach the workers of this one; default: that of `--listen`.
    #[arg(long)]
    address: Option<String>,
    /// Print updates as JSON lines.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut set = arguments.set.clone();
    set.push(format!("cluster.min_workers={}", arguments.workers.max(1)));
    let checked = job::check(job::read_plan(&arguments.config, &set)?).await?;
    if arguments.dry_run {
        return super::coordinator::dry_run(&checked, arguments.json);
    }
    // Nothing is written before it is known that there is an engine to start.
    engine::command()?;
    let job = job::job(&checked, arguments.resume).await?;
    let log_folder = log_folder(&job.run_place, &checked.plan.run.name);
    logs::to_file(&log_folder.join("coordinator.log"))?;
    let listener = TcpListener::bind(&arguments.listen)
        .await
        .map_err(|error| Failure::bad_input(format!("cannot listen on {}: {error}", arguments.listen)))?;
    let address = listener.local_addr().map_err(|error| Failure::failed(error.to_string()))?;
    let host = if address.ip().is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { address.ip() };
    let url = format!("http://{}", SocketAddr::new(host, address.port()));
    let show = std::sync::Arc::new(Show::new(checked.plan.train.steps, arguments.json));
    show.line(&format!(
        "run {} at {}; logs in {}",
        checked.plan.run.name,
        job.run_place,
        log_folder.display()
    ));
    show.line(&format!("coordinator at {url}"));

    let (has_started, started) = oneshot::channel::<Handle>();
    let (over, run_is_over) = watch::channel(false);
    let on_update = {
        let show = show.clone();
        move |update: Update| show.update(&update)
    };
    let serving = tokio::spawn(async move {
        coordinator::serve(job, listener, |handle| drop(has_started.send(handle)), on_update).await
    });
    let Ok(handle) = started.await else {
        return Err(serving.await.map_or_else(
            |error| Failure::failed(error.to_string()),
            |served| match served {
                Err(error) => error.into(),
                Ok(_) => Failure::failed("the run ended before it began"),
            },
        ));
    };
    let interrupts = tokio::spawn(stop_on_signal(handle.clone(), show.clone()));
    let workers = start_workers(&arguments, &url, &log_folder, handle, show.clone(), run_is_over);
    let ending = serving.await.map_err(|error| Failure::failed(error.to_string()))??;
    let _ = over.send(true);
    workers.wait().await;
    interrupts.abort();
    show.finish();
    let completed = matches!(ending, Ending::Completed);
    report(ending, &checked.plan, &log_folder)?;
    match &checked.plan.evaluation {
        Some(evaluation) if completed => measure_last(&checked.plan, evaluation, &show).await,
        _ => Ok(()),
    }
}

/// What held-out samples say of the last weights; steps report those of the weights before them.
async fn measure_last(plan: &RunPlan, evaluation: &Evaluation, show: &Show) -> Result<(), Failure> {
    let micro_batch = plan.phases().last().map_or(1, |phase| phase.plan.train.micro_batch);
    let Evaluation { dataset, sequences, seed, .. } = evaluation;
    let mut command = engine::command()?;
    command.args(["evaluate", &plan.store(), "--json", "--data", dataset]);
    command.args(["--sequences", &sequences.to_string(), "--micro-batch", &micro_batch.to_string()]);
    let said = command.args(["--seed", &seed.to_string()]).stderr(Stdio::inherit()).output().await;
    let said = said.map_err(|error| Failure::failed(format!("cannot start cloze-engine: {error}")))?;
    match serde_json::from_slice::<Value>(&said.stdout) {
        Ok(found) if said.status.success() => show.evaluation(&found),
        // The run itself is complete.
        _ => show.line("the last weights could not be measured; `cloze evaluate` does it again"),
    }
    Ok(())
}

fn report(ending: Ending, plan: &RunPlan, logs: &Path) -> Result<(), Failure> {
    match ending {
        Ending::Completed => {
            eprintln!(
                "done: {} steps; export it with `cloze export {} --to DIR`",
                plan.train.steps,
                plan.store()
            );
            Ok(())
        }
        Ending::Stopped => {
            eprintln!(
                "stopped; what `cloze checkpoints ls {}` shows is kept, --resume goes on there",
                plan.store()
            );
            Ok(())
        }
        Ending::Failed(reason) | Ending::TakenOver(reason) => {
            Err(Failure::failed(format!("{reason} (logs in {})", logs.display())))
        }
    }
}

fn log_folder(run_place: &str, name: &str) -> PathBuf {
    match run_place.contains("://") {
        true => PathBuf::from("logs").join(name),
        false => Path::new(run_place).join("logs"),
    }
}

/// The first signal stops the run after the step, with a checkpoint; the second ends everything at once.
async fn stop_on_signal(handle: Handle, show: std::sync::Arc<Show>) {
    let mut signals = EndSignals::take();
    signals.next().await;
    show.line("stopping after this step, with a checkpoint; press Ctrl-C again to stop at once");
    handle.stop("interrupted").await;
    signals.next().await;
    show.finish();
    std::process::exit(130);
}

/// The supervisors of this machine's workers.
struct Workers {
    supervisors: Vec<tokio::task::JoinHandle<()>>,
}

impl Workers {
    async fn wait(self) {
        for supervisor in self.supervisors {
            let _ = supervisor.await;
        }
    }
}

fn start_workers(
    arguments: &Arguments,
    url: &str,
    logs: &Path,
    handle: Handle,
    show: std::sync::Arc<Show>,
    over: watch::Receiver<bool>,
) -> Workers {
    let (given_up, mut gone) = mpsc::channel::<String>(arguments.workers.max(1) as usize);
    let supervisors = (0..arguments.workers).map(|number| {
        let (url, log) = (url.to_owned(), logs.join(format!("worker-{number}.log")));
        let (show, over, given_up) = (show.clone(), over.clone(), given_up.clone());
        let address = arguments.address.clone();
        tokio::spawn(async move {
            if let Err(reason) = supervise(number, &url, address.as_deref(), &log, &show, over).await {
                let _ = given_up.send(reason).await;
            }
        })
    });
    let supervisors = supervisors.collect();
    drop(given_up);
    let expected = arguments.workers;
    tokio::spawn(async move {
        let mut last = "all have left".to_owned();
        // The channel closes when the last supervisor has ended.
        while let Some(reason) = gone.recv().await {
            show.line(&reason);
            last = reason;
        }
        if expected > 0 {
            handle.give_up(&format!("no worker is left on this machine: {last}")).await;
        }
    });
    Workers { supervisors }
}

/// Keeps one worker alive until the run is over.
async fn supervise(
    number: u32,
    url: &str,
    address: Option<&str>,
    log: &Path,
    show: &Show,
    mut over: watch::Receiver<bool>,
) -> Result<(), String> {
    let mut row = Row::begin();
    loop {
        let mut child = engine::start_worker(url, address, PATIENCE_S, log)
            .map_err(|_| format!("worker {number} cannot be started; see {}", log.display()))?;
        let status = tokio::select! {
            status = child.wait() => status,
            () = until(&mut over) => {
                if tokio::time::timeout(FAREWELL, child.wait()).await.is_err() {
                    show.line(&format!("worker {number} does not end; it is killed"));
                    let _ = child.kill().await;
                }
                return Ok(());
            }
        };
        let Ok(status) = status else { return Err(format!("worker {number} cannot be watched")) };
        if status.success() || *over.borrow() {
            return Ok(());
        }
        if status.code() == Some(2) {
            return Err(format!("worker {number} cannot use its input: {}", last_line(log)));
        }
        show.line(&format!("worker {number} ended ({status}); another one starts"));
        let Some(pause) = row.died() else { break };
        tokio::time::sleep(pause).await;
    }
    Err(format!("worker {number} died {REPLACEMENTS} times in a row, the last time with: {}", last_line(log)))
}

/// Waits for the flag; its guard must not be held while waiting for something else.
async fn until(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|&set| set).await;
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned()
}
