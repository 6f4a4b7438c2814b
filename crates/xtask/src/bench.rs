//! `cargo xtask bench`: how fast the project is and how well its models learn, beside other tools in the same run.
//! Knows the order of the measurements and what is to be reached; how each is made is in the files below.

mod checkpoint;
mod commit;
mod curves;
pub mod facts;
mod inputs;
mod load;
mod peers;
mod table;
mod train;
mod whole;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::shell::{Failure, Outcome, cargo, failed, output, run as run_command};
use crate::tidy::workspace::Workspace;
use crate::venv::{Found, Venv};
use checkpoint::CheckpointArgs;
use commit::CommitArgs;
use curves::CurvesArgs;
use inputs::Inputs;
use load::LoadArgs;
use train::TrainArgs;

/// What can be measured.
#[derive(Debug, clap::Subcommand)]
pub enum Bench {
    /// From raw text to a dataset: whole, step by step, and beside `tokenizers` and `datatrove`
    #[command(after_help = "Example: cargo xtask bench prepare --out tests/benchmarks/results/prepare.json")]
    Prepare(PrepareArgs),
    /// Training steps on this machine's processor, beside Hugging Face Transformers
    #[command(
        after_help = "Example: cargo xtask bench train-cpu --out tests/benchmarks/results/train-cpu.json"
    )]
    TrainCpu(TrainArgs),
    /// Held-out losses of small models of every family, beside Transformers and PyTorch on the same samples
    #[command(after_help = "Example: cargo xtask bench curves --out tests/benchmarks/results")]
    Curves(CurvesArgs),
    /// One coordinator under the sessions of 10,000 workers, over gRPC on this machine
    #[command(
        after_help = "Example: cargo xtask bench coordinator --out tests/benchmarks/results/coordinator.json"
    )]
    Coordinator(LoadArgs),
    /// What votes, exact sums and hashes cost beside the rest of a RoBERTa-base step
    #[command(after_help = "Example: cargo xtask bench commit --out tests/benchmarks/results/commit.json")]
    Commit(CommitArgs),
    /// What checkpoints cost: stall, throughput, memory, to a folder and to an S3 server, beside PyTorch
    #[command(
        after_help = "Example: cargo xtask bench checkpoint --out tests/benchmarks/results/checkpoint.json"
    )]
    Checkpoint(CheckpointArgs),
}

/// Arguments of `cargo xtask bench prepare`.
#[derive(Debug, clap::Args)]
pub struct PrepareArgs {
    /// A folder of books; without it, what is in ../shared/data, or else the corpus of `demo-corpus`
    #[arg(long, value_name = "PATH")]
    corpus: Option<PathBuf>,
    /// Also write what was measured as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The date in the results; today if it is not given
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
    /// Measure everything once, without the smaller memory and the other tools
    #[arg(long)]
    quick: bool,
}

/// Everything that is written is below this folder of the build directory.
const FOLDER: &str = "bench";
/// Each measurement is made so often.
const REPEAT: usize = 3;
/// What `--memory` is set to.
const MEMORIES: [&str; 2] = ["8G", "2G"];
/// Megabytes of clean text per second of processor time that a preparation is to reach, by tokenizer.
const TARGETS: [(&str, f64); 3] = [("WordPiece", 10.0), ("byte-level BPE", 10.0), ("Unigram", 5.0)];

/// Runs a benchmark.
pub fn run(root: &Path, what: &Bench) -> Outcome<()> {
    match what {
        Bench::Prepare(arguments) => prepare(root, arguments),
        Bench::TrainCpu(arguments) => train::run(root, arguments),
        Bench::Curves(arguments) => curves::run(root, arguments),
        Bench::Coordinator(arguments) => load::run(root, arguments),
        Bench::Commit(arguments) => commit::run(root, arguments),
        Bench::Checkpoint(arguments) => checkpoint::run(root, arguments),
    }
}

fn prepare(root: &Path, arguments: &PrepareArgs) -> Outcome<()> {
    let target = Workspace::load(root)?.target;
    let folder = target.join(FOLDER);
    fs::create_dir_all(&folder).map_err(|error| cannot(&folder, &error))?;
    // As in a plain `cargo build --release`, so that what is measured is what users have.
    run_command(cargo(root).args(["build", "--release", "--bin", "cloze", "--example", "stages"]))?;
    let repeat = if arguments.quick { 1 } else { REPEAT };
    let memories = if arguments.quick { &MEMORIES[..1] } else { &MEMORIES[..] };
    let inputs = Inputs::find(root, &folder, arguments.corpus.as_deref())?;

    let mut whole = Vec::new();
    for job in whole::jobs(&inputs) {
        for memory in memories {
            whole.push(whole::measure(&target.join("release/cloze"), &folder, &job, memory, repeat)?);
        }
    }
    let task = folder.join("task.json");
    write(&task, &inputs.task(repeat, &folder))?;
    eprintln!("bench: step by step");
    let mut stages = crate::shell::foreign(target.join("release/examples/stages"));
    let steps = parsed(stages.current_dir(root).arg(&task))?;
    let peers = match arguments.quick {
        true => peers::skipped("--quick was given"),
        false => peers::measure(root, &folder, &task),
    };
    let results = json!({
        "benchmark": "prepare", "date": date(arguments.date.as_deref()), "machine": facts::machine(),
        "project": facts::project(root), "corpus": inputs.name, "targets": TARGETS, "whole": whole,
        "steps": steps, "peers": peers,
    });
    println!("{}", table::show(&results));
    match &arguments.out {
        Some(path) => write(path, &results),
        None => Ok(()),
    }
}

/// The interpreter of the environment that has Transformers.
fn with_transformers(root: &Path) -> Outcome<PathBuf> {
    let venv = Venv::new(root.join(".venv"));
    match venv.find("transformers", None) {
        Found::Whole => Ok(venv.python()),
        _ => failed("Transformers is not there to compare with; run `cargo xtask setup --reference`"),
    }
}

/// The date that was given, or today's.
fn date(given: Option<&str>) -> String {
    match given {
        Some(date) => date.to_owned(),
        None => output(crate::shell::foreign("date").arg("+%F")).unwrap_or_default().trim().to_owned(),
    }
}

/// What a program prints, which is JSON.
fn parsed(command: &mut std::process::Command) -> Outcome<Value> {
    command.stderr(std::process::Stdio::inherit());
    let shown = crate::shell::shown(command);
    let Some(text) = output(command) else {
        return failed(format!("`{shown}` failed; see the messages above"));
    };
    serde_json::from_str(&text)
        .map_err(|error| Failure::Failed(format!("`{shown}` printed no JSON: {error}")))
}

pub fn write(path: &Path, value: &Value) -> Outcome<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| cannot(path, &error))?;
    fs::write(path, text + "\n").map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Failed(format!("{} cannot be written: {error}", path.display()))
}
