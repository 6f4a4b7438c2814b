//! `cloze fill-mask`: starts an engine that predicts.

use std::path::PathBuf;

use clap::Args;

use crate::engine;
use crate::failure::Failure;

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze fill-mask tiny-hf \"The baker sells fresh <mask>.\"")]
pub struct Arguments {
    /// A directory written by `cloze export`, any Hugging Face directory of a known family, or a run.
    directory: PathBuf,
    /// A text with <mask> or [MASK] in it.
    text: String,
    /// Predictions per mask.
    #[arg(long, default_value_t = 5)]
    top: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut command = engine::command()?;
    command.arg("fill-mask").arg(&arguments.directory).arg(&arguments.text);
    command.args(["--top", &arguments.top.to_string()]);
    if arguments.json {
        command.arg("--json");
    }
    engine::run(command).await
}
