//! `cloze export`: a checkpoint as a directory that Hugging Face Transformers opens.

use clap::Args;
use plan::RunPlan;
use store::{Dataset, Location, Tensor};

use crate::failure::Failure;

/// What stands before the names of the weights in a checkpoint.
const WEIGHTS: &str = "model.";

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze export runs/tiny --to tiny-hf")]
pub struct Arguments {
    /// The run's place: a path or URL.
    run: String,
    /// Which checkpoint; default: the newest whole one.
    #[arg(long)]
    step: Option<u64>,
    /// The directory to write: a path or URL.
    #[arg(long)]
    to: String,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let run = super::checkpoints::open(&arguments.run).await?;
    let checkpoints = run.checkpoints();
    let manifest = match arguments.step {
        Some(step) => checkpoints.manifest(step).await?,
        None => {
            let newest = checkpoints.newest_verified().await?;
            newest.skipped.iter().for_each(|skipped| eprintln!("warning: {skipped}"));
            newest.manifest.ok_or_else(|| {
                Failure::bad_input(format!(
                    "{} has no checkpoint yet; train until the first one",
                    arguments.run
                ))
            })?
        }
    };
    let plan = RunPlan::parse("the run's plan", &run.plan().await?, &[])?;
    let dataset = Dataset::open(&plan.data.dataset).await?;
    let family = families::find(&plan.model.family)?;
    let recipe = (family.parse)(&plan, "the run's plan", &dataset.vocabulary())?;
    let mut weights = Vec::new();
    let keep = |tensor: Tensor| -> Result<(), Failure> {
        if let Some(name) = tensor.name.strip_prefix(WEIGHTS) {
            weights.push(Tensor { name: name.to_owned(), ..tensor });
        }
        Ok(())
    };
    checkpoints.load_into(&manifest, keep).await?;
    let count = weights.len();
    let to = Location::open(&arguments.to)?;
    store::put_safetensors(&to, "model.safetensors", weights).await?;
    to.put("tokenizer.json", dataset.tokenizer_json().await?).await?;
    to.put("tokenizer_config.json", pretty(&recipe.hf_tokenizer_config())).await?;
    // Last, because Transformers looks for it first: without it the directory is not taken for a model.
    to.put("config.json", pretty(&recipe.hf_config())).await?;
    println!("{count} tensors of step {} written to {}", manifest.step, arguments.to);
    Ok(())
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
