//! `cargo xtask bench checkpoint`: what a checkpoint keeps a worker from computing, how fast it reaches storage, and what
//! memory it takes, beside PyTorch's ways of saving the same tensors. Knows the command lines of `cloze`, and nothing of
//! what is behind them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::shell::{Failure, Outcome, cargo, children, failed, foreign, run as run_command};
use crate::tidy::workspace::Workspace;
use crate::{demo_corpus, setup};

/// Arguments of `cargo xtask bench checkpoint`.
#[derive(Debug, clap::Args)]
pub struct CheckpointArgs {
    /// Only the smaller model
    #[arg(long)]
    quick: bool,
    /// Only steps of this kind
    #[arg(long, value_name = "KIND", value_parser = STEPS.map(|steps| steps.kind))]
    only: Option<String>,
    /// Also write what was measured as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The date in the results; today if it is not given
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
}

const CONFIG: &str = "configs/roberta/demo.toml";
/// About the sizes of BERT-base and BERT-large: more layers make up for the small vocabulary.
const MODELS: [Model; 2] = [
    Model {
        name: "110M",
        settings: ["model.layers=15", "model.hidden=768", "model.heads=12", "model.feed_forward=3072"],
        repeats: [2, 2],
    },
    Model {
        name: "340M",
        settings: ["model.layers=27", "model.hidden=1024", "model.heads=16", "model.feed_forward=4096"],
        repeats: [1, 2],
    },
];
/// The kinds of runs.
const STEPS: [Steps; 2] = [
    // What large batches are about: a step takes longer than a checkpoint takes to S3, so that everything is stored before
    // the weights change. First, since a step's share is measured by the speed of the first kind.
    Steps { kind: "long", count: 3, every: 2, batch: 256 },
    // One micro-batch: the weights change long before anything is stored, and the state has to be copied. The first steps
    // are over when the first checkpoint begins: until then, what training itself takes still grows.
    Steps { kind: "short", count: 11, every: 5, batch: 8 },
];
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
    let mut results = json!({
        "benchmark": "checkpoint", "date": super::date(arguments.date.as_deref()), "machine": super::facts::machine(),
        "project": super::facts::project(root), "targets": TARGETS, "step_tokens": STEP_TOKENS, "measured": [],
    });
    // An hour's results are not lost with the last of them.
    let mut keep = |found: Value, text: String| {
        println!("{text}");
        results["measured"].as_array_mut().into_iter().for_each(|measured| measured.push(found.clone()));
        arguments.out.as_deref().map_or(Ok(()), |path| super::write(path, &results))
    };
    for model in &MODELS[..if arguments.quick { 1 } else { MODELS.len() }] {
        let (mut step, mut bytes) = (f64::NAN, 0);
        let wanted = |steps: &Steps| arguments.only.as_ref().is_none_or(|only| only == steps.kind);
        for (steps, repeats) in STEPS.iter().zip(model.repeats).filter(|(steps, _)| wanted(steps)) {
            let repeat = |run| (0..repeats).map(|_| place.watched(model, &run)).collect::<Outcome<_>>();
            let without: Vec<Watched> = repeat(Run { every: steps.count + 1, ..steps.to("local") })?;
            if step.is_nan() {
                step = STEP_TOKENS / without.iter().map(|run| run.tokens_per_second).fold(0.0, f64::max);
            }
            for storage in ["local", "s3"] {
                let runs: Vec<Watched> = repeat(steps.to(storage))?;
                let mut found = report(&runs, &without, steps, step);
                found["model"] = model.name.into();
                found["storage"] = storage.into();
                bytes = found["bytes"].as_u64().unwrap_or(0);
                let text = line(&found);
                keep(found, text)?;
            }
        }
        let peer = place.peer(model.name, bytes);
        keep(peer.clone(), peer.to_string())?;
    }
    // Gigabytes that nobody looks at any more.
    let _ = std::fs::remove_dir_all(&place.folder);
    Ok(())
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

    /// A short run, watched from outside. What the one before left is removed.
    fn watched(&self, model: &Model, run: &Run) -> Outcome<Watched> {
        let Run { steps, every, batch, storage } = *run;
        for folder in ["run", "s3"] {
            let _ = std::fs::remove_dir_all(self.folder.join(folder));
        }
        let server = if storage == "s3" { Some(self.server()?) } else { None };
        let run = match &server {
            Some(_) => format!("s3://runs/{}", model.name),
            None => self.folder.join("run").display().to_string(),
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
        for setting in model.settings.map(str::to_owned).into_iter().chain(places).chain(others) {
            command.args(["--set", &setting]);
        }
        let mut watched = watch(command.stdout(Stdio::piped()), every)?;
        let mut listing = self.cloze(&["checkpoints", "ls", &run, "--json"]);
        if let Some((_, url)) = &server {
            speaks_s3(&mut listing, url);
        }
        let text = crate::shell::output(&mut listing).unwrap_or_default();
        let bytes =
            text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["bytes"].as_u64());
        watched.bytes = bytes.max().unwrap_or(0);
        if let Some((mut child, _)) = server {
            let _ = (child.kill(), child.wait());
        }
        Ok(watched)
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

/// A model to train.
struct Model {
    name: &'static str,
    settings: [&'static str; 4],
    /// Runs of each kind of [`STEPS`]. They differ in memory by some percent of the smaller state, and by less of the larger
    /// one, whose long steps take most of the time.
    repeats: [usize; STEPS.len()],
}

/// A kind of runs.
struct Steps {
    kind: &'static str,
    count: u64,
    /// Steps between checkpoints.
    every: u64,
    /// Sequences of a step.
    batch: u64,
}

impl Steps {
    fn to(&self, storage: &'static str) -> Run {
        Run { steps: self.count, every: self.every, batch: self.batch, storage }
    }
}

/// A run that is measured.
struct Run {
    steps: u64,
    /// Steps between checkpoints. If it is more than there are steps, only the last one is followed by one.
    every: u64,
    /// Sequences of a step.
    batch: u64,
    storage: &'static str,
}

/// What a run showed.
#[derive(Default)]
struct Watched {
    /// Seconds that the checkpoint of each step kept the worker from computing: when it began, and when the weights were
    /// to change.
    stalls: std::collections::BTreeMap<u64, f64>,
    /// Seconds from the step to the checkpoint that is there.
    stored: Vec<f64>,
    /// Checkpoints that were not there yet when the next step was done: the state was most likely copied.
    overtaken: usize,
    tokens_per_second: f64,
    /// The most memory so far, in bytes, as of each step: before a checkpoint of it begins.
    memory: std::collections::BTreeMap<u64, f64>,
    /// The most memory of all.
    peak: f64,
    /// The size of a checkpoint.
    bytes: u64,
}

fn watch(command: &mut Command, every: u64) -> Outcome<Watched> {
    let mut child =
        command.spawn().map_err(|error| Failure::Failed(format!("cloze cannot be started: {error}")))?;
    let Some(output) = child.stdout.take() else { return failed("cloze has no output") };
    let (mut watched, mut begun) = (Watched::default(), std::collections::BTreeMap::new());
    let mut checkpoints = std::collections::BTreeSet::new();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let Ok(update) = serde_json::from_str::<Value>(&line) else { continue };
        let step = update["step"].as_u64().unwrap_or(0);
        let memory = children(child.id()).into_iter().filter_map(peak).fold(0.0, f64::max);
        watched.peak = watched.peak.max(memory);
        match update["kind"].as_str() {
            Some("step") => {
                begun.insert(step, Instant::now());
                watched.memory.insert(step, memory);
                let stall = update["waits"]["checkpoint_ms"].as_f64().unwrap_or(0.0);
                *watched.stalls.entry(step.saturating_sub(1) / every * every).or_default() += stall / 1e3;
                watched.tokens_per_second = update["tokens_per_second"].as_f64().unwrap_or(0.0);
            }
            Some("checkpointed") => {
                watched.stored.extend(begun.get(&step).map(|at: &Instant| at.elapsed().as_secs_f64()));
                watched.overtaken += usize::from(begun.contains_key(&(step + 1)));
                checkpoints.insert(step);
            }
            _ => {}
        }
    }
    let status = child.wait().map_err(|error| Failure::Failed(error.to_string()))?;
    if !status.success() {
        return failed("the measured run failed; see above");
    }
    // If storage is slower than the interval, some are left out.
    watched.stalls.retain(|step, _| checkpoints.contains(step));
    Ok(watched)
}

fn report(runs: &[Watched], without: &[Watched], steps: &Steps, step: f64) -> Value {
    let bytes = runs.iter().map(|run| run.bytes).max().unwrap_or(0);
    // What a run takes before differs more between two runs than what comes on top.
    let before = |run: &Watched| run.memory.get(&(steps.every - 1)).copied().unwrap_or(f64::NAN);
    let alone = |run: &Watched| run.memory.get(&steps.count).copied().unwrap_or(f64::NAN);
    let rises: Vec<f64> = runs.iter().map(|run| run.peak - before(run)).collect();
    let others: Vec<f64> = without.iter().map(|run| alone(run) - before(run)).collect();
    let each = |of: fn(&Watched) -> Vec<f64>| runs.iter().map(of).collect::<Vec<_>>();
    let (stalls, stored) =
        (each(|run| run.stalls.values().copied().collect()), each(|run| run.stored.clone()));
    let stall = stalls.iter().flatten().copied().fold(0.0, f64::max);
    let fastest = stored.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    json!({
        "steps": steps.kind, "overtaken": runs.iter().map(|run| run.overtaken).sum::<usize>(), "bytes": bytes, "parameters": bytes / 12,
        "stall_seconds": stalls, "stored_seconds": stored, "step_seconds": step,
        "share_of_a_step": stall / step, "megabytes_per_second": bytes as f64 / 1e6 / fastest,
        "copies": (mean(&rises) - mean(&others)) / bytes as f64,
        "copies_by_which_runs_differ": spread(&rises).max(spread(&others)) / bytes as f64,
        "peak_bytes": {
            "without_checkpoints": {
                "before": without.iter().map(before).collect::<Vec<_>>(),
                "most": without.iter().map(alone).collect::<Vec<_>>(),
            },
            "in_all": {
                "before": runs.iter().map(before).collect::<Vec<_>>(),
                "most": runs.iter().map(|run| run.peak).collect::<Vec<_>>(),
            },
        },
    })
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// From the least to the most.
fn spread(numbers: &[f64]) -> f64 {
    let most = |sign: f64| numbers.iter().map(|number| sign * number).fold(f64::NEG_INFINITY, f64::max);
    most(1.0) + most(-1.0)
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
        let runs = found[key].as_array().into_iter().flatten();
        runs.filter_map(Value::as_array).flatten().filter_map(Value::as_f64).fold(0.0, f64::max)
    };
    format!(
        "{} ({:.0} M parameters, {:.2} GB) to {}, {} steps: held up {:.3} s at most, {:.3} % of a step of 256 x 512 tokens ({:.0} s); \
         stored within {:.2} s, {} times too late for the next step, {:.0} MB/s at best; {:.3} copies of the state in memory, \
         where runs of one kind differ by {:.3}",
        found["model"].as_str().unwrap_or_default(),
        number("parameters") / 1e6,
        number("bytes") / 1e9,
        found["storage"].as_str().unwrap_or_default(),
        found["steps"].as_str().unwrap_or_default(),
        longest("stall_seconds"),
        100.0 * number("share_of_a_step"),
        number("step_seconds"),
        longest("stored_seconds"),
        number("overtaken"),
        number("megabytes_per_second"),
        number("copies"),
        number("copies_by_which_runs_differ"),
    )
}
