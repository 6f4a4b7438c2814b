//! `cloze evaluate`: starts an engine that measures a model on held-out samples.

use clap::Args;

use crate::engine;
use crate::failure::Failure;

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze evaluate runs/first --data data/held-out")]
pub struct Arguments {
    /// A run (its newest checkpoint is taken), or a Hugging Face directory of a known family.
    place: String,
    /// The prepared dataset of held-out documents: a path or URL.
    #[arg(long)]
    data: String,
    /// How many sequences to look at.
    #[arg(long, default_value_t = 1_024)]
    sequences: u64,
    /// Sequences at a time.
    #[arg(long, default_value_t = 16)]
    micro_batch: u32,
    /// Decides which sequences, and their masks: numbers of one seed compare.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut command = engine::command()?;
    command.arg("evaluate").arg(&arguments.place).args(["--data", &arguments.data]);
    command.args(["--sequences", &arguments.sequences.to_string()]);
    command.args(["--micro-batch", &arguments.micro_batch.to_string()]);
    command.args(["--seed", &arguments.seed.to_string()]);
    if arguments.json {
        command.arg("--json");
    }
    engine::run(command).await
}
