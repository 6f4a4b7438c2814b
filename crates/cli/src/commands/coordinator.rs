//! `cloze coordinator`: the service alone, for workers on other machines.

use std::path::PathBuf;

use clap::Args;
use coordinator::Ending;
use serde_json::json;
use tokio::net::TcpListener;

use crate::failure::Failure;
use crate::job::{self, Checked};
use crate::logs;
use crate::show::{Show, thousands};
use crate::signals::EndSignals;

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze coordinator run.toml --listen 0.0.0.0:7700")]
pub struct Arguments {
    /// The run's configuration (TOML).
    config: PathBuf,
    /// The address to serve on.
    #[arg(long, default_value = "127.0.0.1:7700")]
    listen: String,
    /// Continue the run from its newest checkpoint.
    #[arg(long)]
    resume: bool,
    /// Override a value: section.key=value. May be given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print updates as JSON lines.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    logs::to_stderr();
    make_room_for_sessions();
    let checked = job::check(job::read_plan(&arguments.config, &arguments.set)?).await?;
    let job = job::job(&checked, arguments.resume).await?;
    let listener = TcpListener::bind(&arguments.listen)
        .await
        .map_err(|error| Failure::bad_input(format!("cannot listen on {}: {error}", arguments.listen)))?;
    tracing::info!(run = checked.plan.run.name, store = job.run_place, listen = arguments.listen, "serving");
    // The log tells a person everything already; a bar between its lines would only be torn.
    let show = arguments.json.then(|| Show::new(checked.plan.train.steps, true));
    let on_update = move |update: coordinator::Update| {
        if let Some(show) = &show {
            show.update(&update);
        }
    };
    let started = |handle: coordinator::Handle| {
        tokio::spawn(async move {
            let mut signals = EndSignals::take();
            signals.next().await;
            tracing::info!("stopping after this step, with a checkpoint; once more ends it at once");
            handle.stop("interrupted").await;
            // Storage may be away for long; whoever resumes loses nothing that was stored.
            signals.next().await;
            std::process::exit(130);
        });
    };
    match coordinator::serve(job, listener, started, on_update).await? {
        Ending::Completed | Ending::Stopped => Ok(()),
        Ending::Failed(reason) | Ending::TakenOver(reason) => Err(Failure::failed(reason)),
    }
}

/// Every worker's session is an open file, and many systems let a process have 1,024 of them unless it asks for more.
fn make_room_for_sessions() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => tracing::debug!(files, "so many files may be open, a session for each"),
        Err(error) => tracing::warn!(%error, "no more files may be open than before, a session for each"),
    }
}

/// Prints what a plan amounts to.
pub fn dry_run(checked: &Checked, as_json: bool) -> Result<(), Failure> {
    let Checked { plan, recipes, dataset } = checked;
    let (phases, specs) = (plan.phases(), recipes[0].parameters());
    let parameters: usize = specs.iter().filter(|spec| spec.trained).map(|spec| spec.len()).sum();
    let exports: Vec<(String, usize)> = recipes[0]
        .exports()
        .iter()
        .map(|export| {
            let held = |spec: &&families::ParameterSpec| {
                export.files[0].tensors.iter().any(|tensor| tensor.parameter == spec.name)
            };
            let class = export.config["architectures"][0].as_str().unwrap_or_default().to_owned();
            (class, specs.iter().filter(held).map(|spec| spec.len()).sum())
        })
        .collect();
    let tokens: f64 = phases
        .iter()
        .zip(recipes)
        .map(|(phase, recipe)| {
            let train = &phase.plan.train;
            let sequences = train.micro_batches_before(phase.steps) * u64::from(train.micro_batch);
            sequences as f64 * f64::from(recipe.pack_spec().max_len())
        })
        .sum();
    let by_source = dataset.epoch_tokens();
    let epoch: f64 = by_source.iter().map(|(_, tokens)| tokens).sum();
    let epochs = tokens / epoch.max(1.0);
    let mixture: Vec<(&str, f64)> =
        by_source.iter().map(|(source, tokens)| (source.name.as_str(), tokens / epoch.max(1.0))).collect();
    // Weights, two moments and the fixed-point accumulator; a gradient of the micro-batch at hand.
    let state_bytes = parameters as f64 * (4.0 * 3.0 + 8.0 + 4.0);
    if as_json {
        let facts = json!({
            "plan": plan, "recipe_hash": plan.recipe_hash(), "parameters": parameters, "tokens": tokens,
            "epochs": epochs, "state_bytes": state_bytes, "dataset_tokens": dataset.tokens(),
            "exports": exports, "mixture": mixture,
        });
        println!("{facts}");
        return Ok(());
    }
    println!("{}", plan.to_toml());
    println!("parameters     {}", thousands(parameters as f64));
    println!(
        "tokens         {} in {} steps ({epochs:.2} epochs)",
        thousands(tokens),
        thousands(plan.train.steps as f64)
    );
    if mixture.len() > 1 {
        let share = |(name, share): &(&str, f64)| format!("{:.1} % {name}", share * 100.0);
        println!("{:14} {}", "", mixture.iter().map(share).collect::<Vec<_>>().join(", "));
    }
    for (class, size) in &exports {
        println!("{:14} {} as {class}", "", thousands(*size as f64));
    }
    for (phase, recipe) in phases.iter().zip(recipes) {
        println!(
            "phase {}        {} steps of {} micro-batches, samples of {} tokens",
            phase.index,
            thousands(phase.steps as f64),
            phase.plan.micro_batches(),
            recipe.pack_spec().max_len()
        );
    }
    println!(
        "memory         {} MB of weights, moments and gradients per worker",
        thousands(state_bytes / 1e6)
    );
    println!("recipe         {}", plan.recipe_hash());
    Ok(())
}
