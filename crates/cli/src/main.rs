//! `cloze`: arguments, progress and wiring. It links no libtorch; what computes is `cloze-engine`, which it starts and
//! supervises.

mod bars;
mod card;
mod commands;
mod engine;
mod failure;
mod init;
mod job;
mod logs;
mod seen;
mod show;
mod signals;
mod supervision;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// Distributed pretraining of BERT-family encoders that loses nothing.
#[derive(Debug, Parser)]
#[command(name = "cloze", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Turn raw text into a dataset of token ids.
    Prepare(commands::prepare::Arguments),
    /// Say what a dataset holds; show documents and samples of it.
    Inspect(commands::inspect::Arguments),
    /// Train, import and try tokenizers.
    Tokenizer(commands::tokenizer::Arguments),
    /// Train on this machine: a coordinator and workers, with a progress bar.
    Train(commands::train::Arguments),
    /// Serve a run to workers on other machines.
    Coordinator(commands::coordinator::Arguments),
    /// Take part in a run.
    Worker(commands::worker::Arguments),
    /// Say what a run is doing.
    Status(commands::status::Arguments),
    /// Stop a run after the current step, with a checkpoint.
    Stop(commands::control::Arguments),
    /// Let a run stand still after the current step, with a checkpoint; workers keep the weights.
    Pause(commands::control::Arguments),
    /// Let a run that stands still go on.
    Unpause(commands::control::Arguments),
    /// Let a worker go after the current step.
    Drain(commands::control::Drain),
    /// The checkpoints of a run.
    Checkpoints(commands::checkpoints::Arguments),
    /// Check that a run's record is unbroken and tells of every step once.
    Verify(commands::verify::Arguments),
    /// Try a run on simulated workers that fail: what is lost, and how long it takes.
    Simulate(commands::simulate::Arguments),
    /// Write a checkpoint as a Hugging Face directory.
    Export(commands::export::Arguments),
    /// Measure a run or an exported model on held-out samples.
    Evaluate(commands::evaluate::Arguments),
    /// Predict masked words with an exported model.
    FillMask(commands::fill_mask::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::failed(format!("cannot start: {error}")).report(),
    };
    let done = runtime.block_on(async {
        match arguments.command {
            Command::Prepare(arguments) => commands::prepare::run(arguments).await,
            Command::Inspect(arguments) => commands::inspect::run(arguments).await,
            Command::Tokenizer(arguments) => commands::tokenizer::run(arguments).await,
            Command::Train(arguments) => commands::train::run(arguments).await,
            Command::Coordinator(arguments) => commands::coordinator::run(arguments).await,
            Command::Worker(arguments) => commands::worker::run(arguments).await,
            Command::Status(arguments) => commands::status::run(arguments).await,
            Command::Stop(arguments) => commands::control::stop(arguments).await,
            Command::Pause(arguments) => commands::control::pause(arguments).await,
            Command::Unpause(arguments) => commands::control::unpause(arguments).await,
            Command::Drain(arguments) => commands::control::drain(arguments).await,
            Command::Checkpoints(arguments) => commands::checkpoints::run(arguments).await,
            Command::Verify(arguments) => commands::verify::run(arguments).await,
            Command::Simulate(arguments) => commands::simulate::run(arguments),
            Command::Export(arguments) => commands::export::run(arguments).await,
            Command::Evaluate(arguments) => commands::evaluate::run(arguments).await,
            Command::FillMask(arguments) => commands::fill_mask::run(arguments).await,
        }
    });
    // Tasks that wait for connections of dead peers must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
