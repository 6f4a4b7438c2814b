//! `cloze checkpoints`: what is stored of a run, and whether it is whole.

use clap::{Args, Subcommand};
use serde_json::json;
use store::{CheckpointEntry, CheckpointState, RunStore};

use crate::failure::Failure;
use crate::show::thousands;

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze checkpoints ls runs/tiny")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the checkpoints of a run.
    Ls {
        /// The run's place: a path or URL.
        run: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Read every byte of the checkpoints and compare checksums.
    Verify {
        /// The run's place: a path or URL.
        run: String,
    },
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.action {
        Action::Ls { run, json } => {
            for entry in open(&run).await?.checkpoints().list().await? {
                println!("{}", if json { as_json(&entry).to_string() } else { line(&entry) });
            }
            Ok(())
        }
        Action::Verify { run } => verify(&run).await,
    }
}

/// Opens a run that must exist.
///
/// # Errors
/// If there is none.
pub async fn open(place: &str) -> Result<RunStore, Failure> {
    let missing = || {
        Failure::bad_input(format!(
            "there is no run at {place}; runs are kept at run.store, or runs/<run.name>"
        ))
    };
    if !store::Location::may_exist(place) {
        return Err(missing());
    }
    let run = RunStore::open(place)?;
    match run.identity().await {
        Ok(_) => Ok(run),
        Err(store::StoreError::NotFound { .. }) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

async fn verify(place: &str) -> Result<(), Failure> {
    let checkpoints = open(place).await?.checkpoints();
    let mut damaged = 0;
    for entry in checkpoints.list().await? {
        let verdict = match &entry.state {
            CheckpointState::Whole(manifest) => match checkpoints.verify(manifest).await {
                Ok(()) => "every byte as written".to_owned(),
                Err(error) => {
                    damaged += 1;
                    error.to_string()
                }
            },
            CheckpointState::Unfinished => "unfinished".to_owned(),
            CheckpointState::Damaged(reason) => {
                damaged += 1;
                reason.clone()
            }
        };
        println!("step {:>8}  {verdict}", entry.step);
    }
    match damaged {
        0 => Ok(()),
        _ => Err(Failure::failed(format!("{damaged} damaged checkpoints; a resumed run passes over them"))),
    }
}

fn line(entry: &CheckpointEntry) -> String {
    let state = match &entry.state {
        CheckpointState::Whole(manifest) => {
            format!("whole, {} parts{}", manifest.parts.len(), loss(manifest.loss))
        }
        CheckpointState::Unfinished => "unfinished".to_owned(),
        CheckpointState::Damaged(reason) => format!("damaged: {reason}"),
    };
    format!("step {:>8}  {:>15} bytes  {state}", entry.step, thousands(entry.size as f64))
}

fn loss(loss: Option<f64>) -> String {
    loss.map_or_else(String::new, |loss| format!(", loss {loss:.4}"))
}

fn as_json(entry: &CheckpointEntry) -> serde_json::Value {
    let (state, detail) = match &entry.state {
        CheckpointState::Whole(manifest) => ("whole", json!(manifest.state_digest)),
        CheckpointState::Unfinished => ("unfinished", json!(null)),
        CheckpointState::Damaged(reason) => ("damaged", json!(reason)),
    };
    json!({"step": entry.step, "bytes": entry.size, "state": state, "detail": detail})
}
