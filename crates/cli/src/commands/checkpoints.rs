//! `cloze checkpoints`: what is stored of a run, whether it is whole, and which of it stays.

mod copy;

use std::time::Duration;

use clap::{Args, Subcommand};
use plan::RunPlan;
use serde_json::{Value, json};
use store::{CheckpointEntry, CheckpointState, Retention, RunStore, StoreError};

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
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delete what the run's configuration does not keep, and what killed writers have left behind.
    Prune(PruneArguments),
    /// Make a run of its own of everything up to a checkpoint; nothing damaged is copied.
    Copy(copy::Arguments),
}

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze checkpoints prune runs/tiny --keep 1 --dry-run")]
struct PruneArguments {
    /// The run's place: a path or URL.
    run: String,
    /// How many of the newest stay; default: checkpoint.keep.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Those of every so many steps stay; default: checkpoint.keep_every.
    #[arg(long)]
    keep_every: Option<u64>,
    /// How many of the best stay; default: checkpoint.keep_best.
    #[arg(long)]
    keep_best: Option<u32>,
    /// Which measure of the evaluation tells the best; default: checkpoint.best_by.
    #[arg(long, value_name = "MEASURE")]
    best_by: Option<String>,
    /// Only say what would be deleted.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What lies about unfinished for so long belongs to nobody.
const ORPHAN: Duration = Duration::from_secs(3_600);
/// What became of a checkpoint that a coordinator passed over.
const SET_ASIDE: &str = "set aside: it was found damaged";

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.action {
        Action::Ls { run, json } => {
            for entry in open(&run).await?.checkpoints().list().await? {
                println!("{}", if json { as_json(&entry).to_string() } else { line(&entry) });
            }
            Ok(())
        }
        Action::Verify { run, json } => verify(&run, json).await,
        Action::Prune(arguments) => prune(arguments).await,
        Action::Copy(arguments) => copy::run(arguments).await,
    }
}

async fn prune(arguments: PruneArguments) -> Result<(), Failure> {
    let run = open(&arguments.run).await?;
    let plan = RunPlan::parse("plan.toml", &run.plan().await?, &[])?;
    let said = Retention::from(&plan.checkpoint);
    let retention = Retention {
        last: arguments.keep.unwrap_or(said.last),
        every: arguments.keep_every.unwrap_or(said.every),
        best: arguments.keep_best.unwrap_or(said.best),
        best_by: arguments.best_by.unwrap_or(said.best_by),
        keep: None,
    };
    let checkpoints = run.checkpoints();
    let steps = match arguments.dry_run {
        true => checkpoints.doomed(&retention).await?,
        false => {
            run.location().remove_unfinished(ORPHAN)?;
            checkpoints.prune(&retention).await?
        }
    };
    if arguments.json {
        println!("{}", json!({ "deleted": !arguments.dry_run, "steps": steps }));
        return Ok(());
    }
    let done = if arguments.dry_run { "would be deleted" } else { "deleted" };
    steps.iter().for_each(|step| println!("step {step:>8}  {done}"));
    if steps.is_empty() {
        println!("nothing to delete");
    }
    Ok(())
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

async fn verify(place: &str, as_json: bool) -> Result<(), Failure> {
    let checkpoints = open(place).await?.checkpoints();
    let mut damaged = 0;
    for entry in checkpoints.list().await? {
        let (state, verdict) = match &entry.state {
            CheckpointState::Whole(manifest) => match checkpoints.verify(manifest).await {
                Ok(()) => ("whole", "every byte as written".to_owned()),
                // A service that fails is no damage.
                Err(error @ StoreError::Io { .. }) => return Err(error.into()),
                Err(error) => ("damaged", error.to_string()),
            },
            CheckpointState::Unfinished => ("unfinished", "unfinished".to_owned()),
            CheckpointState::SetAside => ("set aside", SET_ASIDE.to_owned()),
            CheckpointState::Damaged(reason) => ("damaged", reason.clone()),
        };
        damaged += usize::from(state == "damaged");
        match as_json {
            true => println!("{}", json!({ "step": entry.step, "state": state, "detail": verdict })),
            false => println!("step {:>8}  {verdict}", entry.step),
        }
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
        CheckpointState::SetAside => SET_ASIDE.to_owned(),
        CheckpointState::Damaged(reason) => format!("damaged: {reason}"),
    };
    format!("step {:>8}  {:>15} bytes  {state}", entry.step, thousands(entry.size as f64))
}

fn loss(loss: Option<f64>) -> String {
    loss.map_or_else(String::new, |loss| format!(", loss {loss:.4}"))
}

fn as_json(entry: &CheckpointEntry) -> Value {
    let (state, detail) = match &entry.state {
        CheckpointState::Whole(manifest) => ("whole", json!(manifest.state_digest)),
        CheckpointState::Unfinished => ("unfinished", json!(null)),
        CheckpointState::SetAside => ("set aside", json!(null)),
        CheckpointState::Damaged(reason) => ("damaged", json!(reason)),
    };
    json!({"step": entry.step, "bytes": entry.size, "state": state, "detail": detail})
}
