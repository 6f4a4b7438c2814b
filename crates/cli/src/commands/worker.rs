//! `cloze worker`: one worker process, supervised: an engine that dies is replaced.

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::engine;
use crate::failure::Failure;
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

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| Failure::failed(format!("no signals: {error}")))?;
    let (mut row, mut leaving) = (Row::begin(), false);
    loop {
        let mut command = engine::command()?;
        command.args(["worker", "--coordinator", &arguments.coordinator, "--device", &arguments.device]);
        command.args(["--patience-s", &arguments.patience_s.to_string()]);
        if let Some(address) = &arguments.address {
            command.args(["--address", address]);
        }
        let mut child = command
            .spawn()
            .map_err(|error| Failure::failed(format!("cannot start cloze-engine: {error}")))?;
        let status = tokio::select! {
            status = child.wait() => status,
            _ = terminate.recv() => {
                // A clean leave: the engine finishes the step and says goodbye.
                leaving = true;
                if let Some(id) = child.id() {
                    let id = id.to_string();
                    let _ = tokio::process::Command::new("kill").args(["-TERM", &id]).status().await;
                }
                child.wait().await
            }
        };
        let status =
            status.map_err(|error| Failure::failed(format!("cannot watch cloze-engine: {error}")))?;
        match status.code() {
            Some(0) => return Ok(()),
            // It has said itself what is wrong; trying again would not help.
            Some(code) => return Err(Failure::of_process(code)),
            None if leaving => {
                return Err(Failure::failed(format!("the engine died while it was leaving: {status}")));
            }
            // It was killed: a new one takes its place, and gets the weights from the others.
            None => tracing::warn!(%status, "the engine died; a new one starts"),
        }
        let Some(pause) = row.died() else { break };
        tokio::time::sleep(pause).await;
    }
    Err(Failure::failed(format!(
        "the engine died {REPLACEMENTS} times in a row, each time within {} s of its start",
        LIVED.as_secs()
    )))
}
