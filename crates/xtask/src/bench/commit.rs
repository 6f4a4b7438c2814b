//! `cargo xtask bench commit`: what a step pays for its sums being exact, its gradient hashed and its commit voted on,
//! beside what any trainer does in their place. Knows the programs that are timed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::shell::{Failure, Outcome, cargo, foreign, run as run_command};
use crate::tidy::workspace::Workspace;

/// Arguments of `cargo xtask bench commit`.
#[derive(Debug, clap::Args)]
pub struct CommitArgs {
    /// Also write what was measured as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The date in the results; today if it is not given
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
}

const CONFIG: &str = "configs/roberta/base.toml";
/// A step of 256 sequences of 512 tokens, in micro-batches of so many.
const BATCH: f64 = 256.0;
const MICRO_BATCH: f64 = 16.0;
/// The share of a step that this may take.
const TARGET: f64 = 0.03;

/// Measures, and shows what came out.
pub fn run(root: &Path, arguments: &CommitArgs) -> Outcome<()> {
    let target = Workspace::load(root)?.target;
    let examples =
        |package, example| ["build", "--release", "--locked", "--package", package, "--example", example];
    run_command(cargo(root).args(examples("coordinator", "load")))?;
    run_command(cargo(root).args(examples("trainer", "speed")))?;
    let vote = vote_seconds(root, &target)?;
    let mut command = foreign(target.join("release/examples/speed"));
    command.current_dir(root).env("LD_LIBRARY_PATH", root.join(".venv/libtorch/lib"));
    command.args([CONFIG, "--vocab", "50265", "--steps", "1", "--costs", "--json"]);
    command.args([format!("train.batch={MICRO_BATCH}"), format!("train.micro_batch={MICRO_BATCH}")]);
    let speed = super::parsed(command.arg("train.threads=2"))?;
    let number = |key: &str| speed[key].as_f64().unwrap_or(f64::NAN);
    let micro_batches = BATCH / MICRO_BATCH;
    let one = speed["step_seconds"][0].as_f64().unwrap_or(f64::NAN);
    let update = speed["update_seconds"][0].as_f64().unwrap_or(f64::NAN);
    let step = micro_batches * (one - update) + update + vote;
    let cost = micro_batches * number("exact_seconds") + number("reduce_seconds") + vote;
    let elsewhere = micro_batches * number("plain_seconds") + number("norm_seconds");
    let results = json!({
        "benchmark": "commit", "date": super::date(arguments.date.as_deref()), "machine": super::facts::machine(),
        "project": super::facts::project(root), "target": TARGET, "speed": speed, "vote_seconds": vote,
        "step_seconds": step, "cost_seconds": cost, "elsewhere_seconds": elsewhere,
        "share": cost / step, "share_beyond_elsewhere": (cost - elsewhere) / step,
    });
    println!(
        "a step of RoBERTa-base with {BATCH} x 512 tokens takes {step:.1} s. Exact sums, hash and vote take {cost:.2} s of \
         it, {:.2} %; adding floats up and their norm would take {elsewhere:.2} s, so that the price is {:.2} % (vote {:.2} ms)",
        100.0 * cost / step,
        100.0 * (cost - elsewhere) / step,
        1e3 * vote
    );
    match &arguments.out {
        Some(path) => super::write(path, &results),
        None => Ok(()),
    }
}

/// From the last of two workers' votes to their commits, through a real coordinator.
fn vote_seconds(root: &Path, target: &Path) -> Outcome<f64> {
    let program = target.join("release/examples/load");
    let folder = target.join("bench/commit");
    let _ = std::fs::remove_dir_all(&folder);
    let mut command = foreign(&program);
    command
        .args(["serve", super::load::CONFIG, "2", "500"])
        .arg(&folder)
        .current_dir(root)
        .stdout(Stdio::piped());
    let (mut server, url) = super::load::started(command)?;
    let measured = super::parsed(foreign(&program).args(["drive", &url, "2", "0", "500", "5"]));
    let _ = (server.kill(), server.wait());
    let measured: Value = measured?;
    let median = measured["commit_ms"]["p50"].as_f64();
    median.map(|ms| ms / 1e3).ok_or_else(|| Failure::Failed("no commit was measured".into()))
}
