//! `cargo xtask demo`: from raw text to a trained model on this machine, watched from outside.
//! Knows the command lines of `cloze`, and nothing of what is behind them.

use crate::shell::{Outcome, failed};
use std::path::{Path, PathBuf};

/// Arguments of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// A folder of plain text to train on; without it the corpus of `demo-corpus` is written and used
    #[arg(long, value_name = "PATH")]
    pub corpus: Option<PathBuf>,
    /// Training steps; without it the number that the demonstration's recipe names
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Workers on this machine
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub workers: u32,
    /// Keep the dataset and the run afterwards
    #[arg(long)]
    pub keep: bool,
}

/// Runs the demonstration.
pub fn run(_root: &Path, args: &DemoArgs) -> Outcome<()> {
    failed(format!("the demonstration is to be written; it was asked for with {args:?}"))
}
