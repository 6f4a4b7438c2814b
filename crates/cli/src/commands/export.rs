//! `cloze export`: a checkpoint as a directory that Hugging Face Transformers opens.

use std::collections::BTreeMap;

use clap::Args;
use families::{ExportFile, ExportTensor};
use plan::RunPlan;
use store::{Dataset, Location, Tensor};

use crate::card;
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
    let last = plan.phases().pop().map_or_else(|| plan.clone(), |phase| phase.plan);
    let recipe = (family.parse)(&last, "the run's plan", &dataset.vocabulary())?;
    let mut weights = BTreeMap::new();
    let keep = |tensor: Tensor| -> Result<(), Failure> {
        if let Some(name) = tensor.name.strip_prefix(WEIGHTS) {
            weights.insert(name.to_owned(), tensor);
        }
        Ok(())
    };
    checkpoints.load_into(&manifest, keep).await?;
    let to = Location::open(&arguments.to)?;
    let card = card::card(&plan, recipe.as_ref(), &dataset, &manifest);
    to.put("README.md", card).await?;
    let tokenizer = dataset.tokenizer_json().await?;
    let mut count = 0;
    // The directory itself comes last.
    for export in recipe.exports().iter().rev() {
        let to = if export.folder.is_empty() { to.clone() } else { to.child(export.folder) };
        for file in &export.files {
            let tensors = named(file, &weights)?;
            count += tensors.len();
            store::put_safetensors(&to, file.name, tensors).await?;
        }
        to.put("tokenizer.json", tokenizer.clone()).await?;
        to.put("tokenizer_config.json", pretty(&recipe.hf_tokenizer_config())).await?;
        // Last, because Transformers looks for it first: without it the directory is not taken for a model.
        to.put("config.json", pretty(&export.config)).await?;
    }
    println!("{count} tensors of step {} written to {}", manifest.step, arguments.to);
    Ok(())
}

/// The tensors of a file, under its names.
fn named(file: &ExportFile, weights: &BTreeMap<String, Tensor>) -> Result<Vec<Tensor>, Failure> {
    let tensor = |wanted: &ExportTensor| {
        let found = weights.get(&wanted.parameter).ok_or_else(|| {
            Failure::failed(format!(
                "the checkpoint has no tensor {}; it is another model's",
                wanted.parameter
            ))
        })?;
        Ok(Tensor { name: wanted.name.clone(), shape: found.shape.clone(), bytes: found.bytes.clone() })
    };
    file.tensors.iter().map(tensor).collect()
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
