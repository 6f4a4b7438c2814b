//! `cloze-engine`: one process on libtorch. `cloze` starts it, and finds libtorch for it.

mod evaluate;
mod fill_mask;
mod step;
mod subject;
mod work;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The part of cloze that computes. Started by `cloze`; see `cloze --help`.
#[derive(Debug, Parser)]
#[command(name = "cloze-engine", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take part in a run.
    Worker(work::Arguments),
    /// Measure a model on held-out samples.
    Evaluate(evaluate::Arguments),
    /// Predict masked words.
    FillMask(fill_mask::Arguments),
}

fn main() -> ExitCode {
    trainer::keep_freed_memory();
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Worker(arguments) => work::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(arguments),
        Command::FillMask(arguments) => fill_mask::run(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            eprintln!("error: {message}");
            ExitCode::from(code)
        }
    }
}
