//! `cargo xtask bench coordinator`: one coordinator, and the sessions of a large cluster on the same machine. Knows the
//! example that is both.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::shell::{Failure, Outcome, cargo, foreign, run as run_command};
use crate::tidy::workspace::Workspace;

/// Arguments of `cargo xtask bench coordinator`.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {
    /// Sessions
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    workers: u64,
    /// How long each load is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    seconds: u64,
    /// Also write what was measured as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The date in the results; today if it is not given
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
}

/// What is to be reached with all sessions: messages per second, mebibytes of memory, milliseconds.
const TARGETS: [(&str, f64); 3] = [("messages/s", 50_000.0), ("MiB", 1_024.0), ("p99 ms", 50.0)];
/// Workers in the small load, for comparison.
const FEW: u64 = 1_000;
/// Between a commit and a worker's vote on the next step: none, as fast as it goes; or about so many milliseconds.
const PACES: [u64; 2] = [0, 1_000];
const HEARTBEAT_MS: u64 = 5_000;
/// Any run: its steps, batch and lanes are replaced.
pub const CONFIG: &str = "configs/roberta/demo.toml";

/// Measures, and shows what came out.
pub fn run(root: &Path, arguments: &LoadArgs) -> Outcome<()> {
    let target = Workspace::load(root)?.target;
    run_command(cargo(root).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "coordinator",
        "--example",
        "load",
    ]))?;
    let program = target.join("release/examples/load");
    let folder = target.join("bench/coordinator");
    let mut loads = Vec::new();
    for (workers, pace) in [(FEW, PACES[0]), (arguments.workers, PACES[0]), (arguments.workers, PACES[1])] {
        let _ = std::fs::remove_dir_all(&folder);
        let (mut server, url) = serve(root, &program, workers, &folder)?;
        let numbers = [workers, pace, HEARTBEAT_MS, arguments.seconds].map(|number| number.to_string());
        let measured = super::parsed(foreign(&program).args(["drive", &url]).args(numbers));
        let (memory, processor) = used(server.id());
        let _ = (server.kill(), server.wait());
        let mut measured = measured?;
        measured["server_mib"] = json!(memory);
        measured["server_processor_seconds"] = json!(processor);
        println!("{}", line(&measured));
        loads.push(measured);
    }
    let results = json!({
        "benchmark": "coordinator", "date": super::date(arguments.date.as_deref()), "machine": super::facts::machine(),
        "project": super::facts::project(root), "targets": TARGETS, "loads": loads,
    });
    match &arguments.out {
        Some(path) => super::write(path, &results),
        None => Ok(()),
    }
}

fn serve(root: &Path, program: &Path, workers: u64, folder: &Path) -> Outcome<(Child, String)> {
    let mut command = foreign(program);
    command
        .args(["serve", CONFIG, &workers.to_string(), &HEARTBEAT_MS.to_string()])
        .arg(folder)
        .current_dir(root);
    started(command)
}

/// Starts a coordinator that says its address.
pub fn started(mut command: std::process::Command) -> Outcome<(Child, String)> {
    let failed = |what: &str| Failure::Failed(format!("the coordinator under load: {what}"));
    let mut server = command.stdout(Stdio::piped()).spawn().map_err(|error| failed(&error.to_string()))?;
    let mut address = String::new();
    let out = server.stdout.take().ok_or_else(|| failed("no output"))?;
    BufReader::new(out).read_line(&mut address).map_err(|error| failed(&error.to_string()))?;
    Ok((server, format!("http://{}", address.trim())))
}

/// The most memory that a process had, in mebibytes, and the processor time that it took, in seconds.
fn used(process: u32) -> (Option<f64>, Option<f64>) {
    let text = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}")).unwrap_or_default();
    let (status, stat) = (text("status"), text("stat"));
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    // Behind the name in parentheses: user and system time are the 12th and 13th, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    let processor = ticks(11).zip(ticks(12)).map(|(user, system)| (user + system) / 100.0);
    (peak.map(|kib: f64| kib / 1024.0), processor)
}

fn line(load: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    format!(
        "{:>6} sessions, a vote {:>4} ms after a commit: {:>7.0} messages/s, {:>5.2} steps/s; last vote to commit: p50 \
         {:>6.1} ms, p99 {:>6.1} ms; {:>4.0} MiB",
        load["workers"],
        load["pace_ms"],
        number(&load["messages_per_second"]),
        number(&load["steps_per_second"]),
        number(&load["commit_ms"]["p50"]),
        number(&load["commit_ms"]["p99"]),
        number(&load["server_mib"])
    )
}
