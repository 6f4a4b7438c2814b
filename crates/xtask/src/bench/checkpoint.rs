//! `cargo xtask bench checkpoint`: what a checkpoint keeps a worker from computing, how fast it reaches storage, and what
//! memory it takes, beside PyTorch's ways of saving the same tensors. Knows the command lines of `cloze`, and nothing of
//! what is behind them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::shell::{Failure, Outcome, cargo, failed, foreign, run as run_command};
use crate::tidy::workspace::Workspace;
use crate::{demo_corpus, setup};

/// Arguments of `cargo xtask bench checkpoint`.
#[derive(Debug, clap::Args)]
pub struct CheckpointArgs {
    /// Only the smaller model
    #[arg(long)]
    quick: bool,
    /// Also write what was measured as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The date in the results; today if it is not given
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
}

const CONFIG: &str = "configs/roberta/demo.toml";
/// About the sizes of BERT-base and BERT-large: more layers make up for the small vocabulary.
const MODELS: [(&str, [&str; 4]); 2] = [
    ("110M", ["model.layers=15", "model.hidden=768", "model.heads=12", "model.feed_forward=3072"]),
    ("340M", ["model.layers=27", "model.hidden=1024", "model.heads=16", "model.feed_forward=4096"]),
];
const STEPS: u64 = 10;
const EVERY: u64 = 3;
/// Sequences of a step: one micro-batch, so that the run is short.
const BATCH: u64 = 8;
/// Sequences of a step that shows how fast large steps are: an update takes little of it.
const LARGE: u64 = 64;
/// The step that a checkpoint is set against: 256 sequences of 512 tokens.
const STEP_TOKENS: f64 = 256.0 * 512.0;
/// The share of a step that it may take, and the copies of the state that it may hold.
const TARGETS: [(&str, f64); 2] = [("share of a step", 0.01), ("copies", 1.0)];

/// Measures, and shows what came out.
pub fn run(root: &Path, arguments: &CheckpointArgs) -> Outcome<()> {
    setup::run(root, false)?;
    let target = Workspace::load(root)?.target;
    run_command(cargo(root).args([
        "build",
        "--release",
        "--locked",
        "--bin",
        "cloze",
        "--bin",
        "faulty-s3",
    ]))?;
    run_command(cargo(root).args(["build", "--release", "--locked", "--package", "engine"]))?;
    let place = Place {
        root: root.to_path_buf(),
        release: target.join("release"),
        folder: target.join("bench/checkpoint"),
    };
    place.prepare()?;
    let mut measured = Vec::new();
    for (model, settings) in &MODELS[..if arguments.quick { 1 } else { MODELS.len() }] {
        let without = place.without_checkpoints(model, settings)?;
        for storage in ["local", "s3"] {
            let run = Run { steps: STEPS, every: EVERY, batch: BATCH, storage };
            let (watched, bytes) = place.watched(model, settings, &run)?;
            let found = watched.report(model, storage, bytes, &without);
            println!("{}", line(&found));
            measured.push(found);
        }
        let bytes = measured.last().and_then(|found| found["bytes"].as_u64()).unwrap_or(0);
        let peer = place.peer(model, bytes);
        println!("{peer}");
        measured.push(peer);
    }
    let results = json!({
        "benchmark": "checkpoint", "date": super::date(arguments.date.as_deref()), "machine": super::facts::machine(),
        "project": super::facts::project(root), "targets": TARGETS, "step_tokens": STEP_TOKENS, "measured": measured,
    });
    match &arguments.out {
        Some(path) => super::write(path, &results),
        None => Ok(()),
    }
}

/// Where everything lies.
struct Place {
    root: PathBuf,
    release: PathBuf,
    folder: PathBuf,
}

impl Place {
    fn cloze(&self, arguments: &[&str]) -> Command {
        let mut command = foreign(self.release.join("cloze"));
        // Logs of runs that are kept elsewhere go where the program is started.
        command.current_dir(&self.folder).args(arguments);
        command
    }

    fn prepare(&self) -> Outcome<()> {
        let _ = std::fs::remove_dir_all(&self.folder);
        let corpus = self.folder.join("corpus");
        demo_corpus::write(&corpus, 2_000_000, 1)?;
        let mut command = self.cloze(&["prepare"]);
        command.arg(self.root.join("configs/corpus/books.toml")).arg("--input");
        run_command(command.arg(corpus).arg("--out").arg(self.folder.join("dataset")))
    }

    /// What a model takes by itself: memory of a run as long as the others, and the speed of large steps. Each ends with
    /// a checkpoint, which is not looked at.
    fn without_checkpoints(&self, model: &str, settings: &[&str; 4]) -> Outcome<Without> {
        let alone = |steps, batch| Run { steps: steps + 1, every: steps + 1, batch, storage: "local" };
        let memory = self.watched(model, settings, &alone(STEPS, BATCH))?.0.memory_at(STEPS);
        let tokens_per_second = self.watched(model, settings, &alone(2, LARGE))?.0.tokens_per_second;
        Ok(Without { memory, tokens_per_second })
    }

    /// A short run, watched from outside; and the size of a checkpoint.
    fn watched(&self, model: &str, settings: &[&str; 4], run: &Run) -> Outcome<(Watched, u64)> {
        let Run { steps, every, batch, storage } = *run;
        let server = if storage == "s3" { Some(self.server()?) } else { None };
        let run = match &server {
            Some(_) => format!("s3://runs/{model}"),
            None => self.folder.join(format!("run-{model}-{every}-{batch}")).display().to_string(),
        };
        let mut command = self.cloze(&["train"]);
        command.arg(self.root.join(CONFIG)).args(["--json", "--workers", "1"]);
        if let Some((_, url)) = &server {
            speaks_s3(&mut command, url);
        }
        let dataset = self.folder.join("dataset").display().to_string();
        let places =
            [format!("data.dataset={dataset}"), format!("run.store={run}"), format!("train.steps={steps}")];
        let others = [
            format!("checkpoint.every={every}"),
            "schedule.warmup_steps=1".to_owned(),
            "train.threads=2".to_owned(),
            format!("train.batch={batch}"),
        ];
        for setting in settings.iter().map(|&setting| setting.to_owned()).chain(places).chain(others) {
            command.args(["--set", &setting]);
        }
        let watched = watch(command.stdout(Stdio::piped()))?;
        let mut listing = self.cloze(&["checkpoints", "ls", &run, "--json"]);
        if let Some((_, url)) = &server {
            speaks_s3(&mut listing, url);
        }
        let text = crate::shell::output(&mut listing).unwrap_or_default();
        let bytes =
            text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["bytes"].as_u64()).max();
        if let Some((mut child, _)) = server {
            let _ = (child.kill(), child.wait());
        }
        Ok((watched, bytes.unwrap_or(0)))
    }

    /// An S3 server without faults.
    fn server(&self) -> Outcome<(Child, String)> {
        let mut command = foreign(self.release.join("faulty-s3"));
        command.arg("--folder").arg(self.folder.join("s3")).args(["--bucket", "runs"]);
        let failed = |what: String| Failure::Failed(format!("the S3 server: {what}"));
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| failed(error.to_string()))?;
        let mut url = String::new();
        let output = child.stdout.take().ok_or_else(|| failed("no output".into()))?;
        BufReader::new(output).read_line(&mut url).map_err(|error| failed(error.to_string()))?;
        Ok((child, url.trim().to_owned()))
    }

    /// PyTorch, on as many bytes.
    fn peer(&self, model: &str, bytes: u64) -> Value {
        let mut python = foreign(self.root.join(".venv/bin/python3"));
        python.arg(self.root.join("tests/benchmarks/checkpoint.py")).arg(bytes.to_string());
        let found = super::parsed(python.arg(self.folder.join("torch")));
        match found {
            Ok(found) => json!({ "model": model, "peer": found }),
            Err(error) => json!({ "model": model, "peer": null, "reason": error.to_string() }),
        }
    }
}

/// The server's own keys.
fn speaks_s3(command: &mut Command, url: &str) {
    command.env("AWS_ACCESS_KEY_ID", "cloze").env("AWS_SECRET_ACCESS_KEY", "masked-language-model");
    command.env("AWS_REGION", "us-east-1").env("AWS_ENDPOINT_URL", url);
}

/// A run that is measured.
struct Run {
    steps: u64,
    /// Steps between checkpoints.
    every: u64,
    /// Sequences of a step.
    batch: u64,
    storage: &'static str,
}

/// What a model takes without checkpoints.
struct Without {
    /// The most memory, in bytes.
    memory: f64,
    tokens_per_second: f64,
}

/// What a run showed.
#[derive(Default)]
struct Watched {
    /// Seconds that checkpoints kept the worker from computing.
    stalls: Vec<f64>,
    /// Seconds from the step to the checkpoint that is there.
    stored: Vec<f64>,
    tokens_per_second: f64,
    /// The most memory so far, in bytes, as of each step.
    memory: std::collections::BTreeMap<u64, f64>,
}

fn watch(command: &mut Command) -> Outcome<Watched> {
    let mut child =
        command.spawn().map_err(|error| Failure::Failed(format!("cloze cannot be started: {error}")))?;
    let Some(output) = child.stdout.take() else { return failed("cloze has no output") };
    let (mut watched, mut begun) = (Watched::default(), std::collections::BTreeMap::new());
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let Ok(update) = serde_json::from_str::<Value>(&line) else { continue };
        let step = update["step"].as_u64().unwrap_or(0);
        match update["kind"].as_str() {
            Some("step") => {
                begun.insert(step, Instant::now());
                let stall = update["waits"]["checkpoint_ms"].as_f64().unwrap_or(0.0);
                if stall > 0.0 {
                    watched.stalls.push(stall / 1e3);
                }
                watched.tokens_per_second = update["tokens_per_second"].as_f64().unwrap_or(0.0);
            }
            Some("checkpointed") => {
                watched.stored.extend(begun.get(&step).map(|at: &Instant| at.elapsed().as_secs_f64()));
            }
            _ => continue,
        }
        let peak = engines(child.id()).into_iter().filter_map(peak).fold(0.0, f64::max);
        let most = watched.memory.entry(step).or_default();
        *most = most.max(peak);
    }
    let status = child.wait().map_err(|error| Failure::Failed(error.to_string()))?;
    if !status.success() {
        return failed("the measured run failed; see above");
    }
    Ok(watched)
}

impl Watched {
    /// The most memory until the update of this step was applied, in bytes.
    fn memory_at(&self, step: u64) -> f64 {
        self.memory.range(..=step).map(|(_, &most)| most).fold(0.0, f64::max)
    }

    fn report(&self, model: &str, storage: &str, bytes: u64, without: &Without) -> Value {
        let memory = self.memory_at(u64::MAX);
        let step = STEP_TOKENS / without.tokens_per_second;
        let stall = self.stalls.iter().copied().fold(0.0, f64::max);
        let fastest = self.stored.iter().copied().fold(f64::INFINITY, f64::min);
        json!({
            "model": model, "storage": storage, "bytes": bytes, "parameters": bytes / 12,
            "stall_seconds": self.stalls, "stored_seconds": self.stored, "step_seconds": step,
            "share_of_a_step": stall / step, "megabytes_per_second": bytes as f64 / 1e6 / fastest,
            "copies": (memory - without.memory) / bytes as f64,
            "peak_bytes": { "without_checkpoints": without.memory, "in_all": memory },
        })
    }
}

/// The processes that a process has started.
fn engines(process: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let numbers =
        |text: String| text.split_whitespace().filter_map(|child| child.parse().ok()).collect::<Vec<u32>>();
    children.flat_map(numbers).collect()
}

/// The most memory that a process had, in bytes.
fn peak(process: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib * 1024.0)
}

fn line(found: &Value) -> String {
    let number = |key: &str| found[key].as_f64().unwrap_or(f64::NAN);
    let longest = |key: &str| {
        let all = found[key].as_array().into_iter().flatten().filter_map(Value::as_f64);
        all.fold(0.0, f64::max)
    };
    format!(
        "{} ({:.0} M parameters, {:.2} GB) to {}: held up {:.3} s at most, {:.3} % of a step of 256 x 512 tokens ({:.0} s); \
         stored within {:.2} s, {:.0} MB/s at best; {:.2} copies of the state in memory",
        found["model"].as_str().unwrap_or_default(),
        number("parameters") / 1e6,
        number("bytes") / 1e9,
        found["storage"].as_str().unwrap_or_default(),
        longest("stall_seconds"),
        100.0 * number("share_of_a_step"),
        number("step_seconds"),
        longest("stored_seconds"),
        number("megabytes_per_second"),
        number("copies"),
    )
}
