//! `cloze worker`: one worker process, supervised: an engine that dies is replaced.

use std::os::unix::process::ExitStatusExt;

use clap::Args;
use tokio::process::Child;

use crate::engine;
use crate::failure::Failure;
use crate::signals::EndSignals;
use crate::supervision::{LIVED, REPLACEMENTS, Row};

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze worker --coordinator http://node0:7700")]
pub struct Arguments {
    /// The coordinator's URL.
    #[arg(long)]
    coordinator: String,
    /// Where to compute.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// The address under which other workers reach this machine; default: that of the interface towards the
    /// coordinator.
    #[arg(long)]
    address: Option<String>,
    /// Seconds to wait for a coordinator that does not answer.
    #[arg(long, default_value_t = 600)]
    patience_s: u64,
}

/// The engine's exit codes that say that another engine would not do better.
const WRONG_INPUT: i32 = 2;
const NOT_WANTED: i32 = 3;
const SIGTERM: i32 = 15;

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut signals = EndSignals::take();
    let (mut row, mut leaving) = (Row::begin(), false);
    loop {
        let mut command = engine::command()?;
        command.args(["worker", "--coordinator", &arguments.coordinator, "--device", &arguments.device]);
        command.args(["--patience-s", &arguments.patience_s.to_string()]);
        if let Some(address) = &arguments.address {
            command.args(["--address", address]);
        }
        // Ctrl-C is for this program, which asks the engine to go.
        let mut child = command
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::failed(format!("cannot start cloze-engine: {error}")))?;
        let status = tokio::select! {
            status = child.wait() => status,
            () = signals.next() => {
                leaving = true;
                leave(&mut child, &mut signals).await
            }
        };
        let status =
            status.map_err(|error| Failure::failed(format!("cannot watch cloze-engine: {error}")))?;
        match status.code() {
            Some(0) => return Ok(()),
            // It has said itself what is wrong; trying again would not help.
            Some(code @ WRONG_INPUT) => return Err(Failure::of_process(code)),
            Some(NOT_WANTED) => return Err(Failure::of_process(1)),
            // It was not ready for being asked.
            None if leaving && status.signal() == Some(SIGTERM) => return Ok(()),
            _ if leaving => {
                return Err(Failure::failed(format!("the engine died while it was leaving: {status}")));
            }
            // It was killed or failed: a new one takes its place, and gets the weights from the others.
            _ => tracing::warn!(%status, "the engine died; a new one starts"),
        }
        let Some(pause) = row.died() else { break };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = signals.next() => return Ok(()),
        }
    }
    Err(Failure::failed(format!(
        "the engine died {REPLACEMENTS} times in a row, each time within {} s of its start",
        LIVED.as_secs()
    )))
}

/// A clean leave: the engine finishes the step and says goodbye. Whoever asks twice does not want to wait for that.
async fn leave(child: &mut Child, signals: &mut EndSignals) -> std::io::Result<std::process::ExitStatus> {
    if let Some(id) = child.id() {
        let _ = tokio::process::Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
    }
    tracing::info!("leaving after this step; once more ends it at once");
    tokio::select! {
        status = child.wait() => status,
        () = signals.next() => {
            child.kill().await?;
            child.wait().await
        }
    }
}
