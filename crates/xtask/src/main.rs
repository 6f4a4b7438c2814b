//! `cargo xtask`: what a developer of this repository runs besides `cargo` itself.
//! It builds without libtorch, and quickly, because it is what fetches libtorch.

mod bench;
mod chaos;
mod ci;
mod demo;
mod demo_corpus;
mod grammar;
mod libtest;
mod prng;
mod setup;
mod shell;
mod sim;
mod stages;
mod testing;
mod tidy;
mod venv;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Developer tasks of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch libtorch into `.venv`; quick when it is there already
    #[command(after_help = "Example: cargo xtask setup --reference")]
    Setup {
        /// Also install the Python packages that tests compare against
        #[arg(long)]
        reference: bool,
    },
    /// Every test: those that need only Rust, then those on libtorch, then end to end
    #[command(after_help = "Example: cargo xtask test -- name_of_a_test")]
    Test {
        /// Arguments for the test binaries, such as a part of a test's name
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Every check: format, lints, rules of the tree, tests
    #[command(after_help = "Example: cargo xtask ci")]
    Ci,
    /// The rules of the tree: who may use whom, purity, sizes, heads
    #[command(after_help = "Example: cargo xtask tidy")]
    Tidy,
    /// Seeded histories of a simulated cluster around the coordinator's ledger
    #[command(after_help = "Example: cargo xtask sim --seeds 100000")]
    Sim(sim::SimArgs),
    /// A real run whose processes are killed and stopped at random, compared with an undisturbed one
    #[command(after_help = "Example: cargo xtask chaos --seed 1 --minutes 2")]
    Chaos(chaos::ChaosArgs),
    /// Write the project's own corpus, the same bytes each time
    #[command(after_help = "Example: cargo xtask demo-corpus --out data/demo --megabytes 6")]
    DemoCorpus(demo_corpus::DemoCorpusArgs),
    /// From raw text to a trained model on this machine
    #[command(after_help = "Example: cargo xtask demo --workers 2")]
    Demo(demo::DemoArgs),
    /// How fast the project is and how well models learn, beside other tools in the same run
    #[command(after_help = "Example: cargo xtask bench prepare --quick")]
    Bench {
        #[command(subcommand)]
        what: bench::Bench,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = shell::root().and_then(|root| match &arguments.task {
        Task::Setup { reference } => setup::run(&root, *reference),
        Task::Test { arguments } => testing::run(&root, arguments),
        Task::Ci => ci::run(&root),
        Task::Tidy => tidy::run(&root),
        Task::Chaos(arguments) => chaos::run(&root, arguments),
        Task::Sim(arguments) => sim::run(&root, arguments),
        Task::DemoCorpus(arguments) => demo_corpus::run(arguments),
        Task::Demo(arguments) => demo::run(&root, arguments),
        Task::Bench { what } => bench::run(&root, what),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_task_shows_an_example() {
        for task in Arguments::command().get_subcommands() {
            assert!(task.get_after_help().is_some(), "{} has no example", task.get_name());
        }
    }
}
