//! `cloze prepare`: raw corpora to a dataset, with a bar per stage.

use std::path::{Path, PathBuf};

use clap::Args;
use prepare::{Config, Options, Outcome, PrepareError, Report, Share, Summary, Survey, Waiting};

use crate::bars::{Bars, parse_bytes};
use crate::failure::Failure;
use crate::show::thousands;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cloze prepare configs/corpus/books.toml --input ~/books --out data/books
  cloze prepare corpus.toml --dry-run
A Slurm array of 8 jobs, and a last one that depends on it:
  cloze prepare corpus.toml --task-of $SLURM_ARRAY_TASK_ID/8
  cloze prepare corpus.toml --finish
What was interrupted goes on where it was; the result is the same, byte for byte.")]
pub struct Arguments {
    /// The corpus's configuration (TOML).
    config: PathBuf,
    /// Where the dataset goes, instead of dataset.out.
    #[arg(long)]
    out: Option<String>,
    /// Files, folders or patterns to read, instead of the paths of the configuration's only source.
    #[arg(long)]
    input: Vec<String>,
    /// Threads; default: all cores. The result does not depend on it.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// About how much memory may be used.
    #[arg(long, value_parser = parse_bytes, default_value = "8G")]
    memory: u64,
    /// Do one of several shares, 2/8 for the second of eight, on as many machines as there are. Each call does what can
    /// be done by then.
    #[arg(long, value_name = "I/N", conflicts_with = "finish")]
    task_of: Option<Share>,
    /// Do all that is left after the shares, and complete the dataset.
    #[arg(long)]
    finish: bool,
    /// Say what there is to do, and roughly how long it will take.
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// About how much of the input a task reads.
    #[arg(long, value_parser = parse_bytes, hide = true)]
    task_bytes: Option<u64>,
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error.is_bad_input() {
            true => Failure::bad_input(error.to_string()),
            false => Failure::failed(error.to_string()),
        }
    }
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = config(&arguments.config, &arguments.input)?;
    let options = Options {
        out: arguments.out,
        jobs: arguments.jobs.map(usize::from),
        memory: Some(arguments.memory),
        share: arguments.task_of,
        task_bytes: arguments.task_bytes,
    };
    let json = arguments.json;
    if arguments.dry_run {
        let survey = blocking(move || prepare::survey(&config, &options)).await?;
        match json {
            true => println!("{}", serde_json::json!(survey)),
            false => print_survey(&survey),
        }
        return Ok(());
    }
    let outcome = blocking(move || {
        let bars = Bars::new();
        let outcome = prepare::run(&config, &options, &bars);
        bars.finish();
        outcome
    });
    let outcome = outcome.await?;
    match (&outcome, json) {
        (_, true) => println!("{}", serde_json::json!(outcome)),
        (Outcome::Done(summary), false) => print(summary),
        (Outcome::Waiting(waiting), false) => print_waiting(waiting),
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PrepareError> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| Failure::failed(error.to_string()))??)
}

/// The configuration, with other inputs if some are named.
fn config(path: &Path, input: &[String]) -> Result<Config, Failure> {
    let place = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::bad_input(format!("cannot read the configuration {place}: {error}")))?;
    let mut config = Config::parse(&place, &text)?;
    if !input.is_empty() {
        match config.sources.as_mut_slice() {
            [source] => source.paths = input.to_vec(),
            sources => {
                let count = sources.len();
                let reason =
                    format!("--input needs a configuration with one [[source]], {place} has {count}");
                return Err(Failure::bad_input(reason));
            }
        }
    }
    Ok(config)
}

fn count(number: u64) -> String {
    thousands(number as f64)
}

fn print(summary: &Summary) {
    let Report { totals, vocab_size, .. } = &summary.report;
    for source in &summary.report.sources {
        println!(
            "{}: {} documents found, {} after the rules, {} after duplicates, {} bytes of text",
            source.name,
            count(source.tally.found),
            count(source.tally.kept),
            count(source.documents),
            count(source.bytes)
        );
    }
    println!(
        "{} documents, {} bytes of text, {} tokens in {} blocks, vocabulary {}",
        count(totals.documents),
        count(totals.bytes),
        count(totals.tokens),
        count(totals.blocks),
        count(u64::from(*vocab_size))
    );
    for (reason, number) in summary.report.dropped() {
        println!("left out: {} documents, {reason}", count(number));
    }
    let damaged = summary.report.damaged();
    if damaged > 0 {
        println!("damaged: {} places, named in the report; the rest was prepared", count(damaged));
        let first = summary.report.sources.iter().flat_map(|source| &source.tally.damage);
        for damage in first.take(5) {
            println!("  {}: {}", damage.place, damage.reason);
        }
    }
    let (out, report) = (summary.out.trim_end_matches('/'), &summary.report);
    let there = if summary.already_there { ", which was there already" } else { "" };
    println!("report {out}/{}", report.manifest.replacen("manifest", "report", 1).replace(".json", ".html"));
    println!("dataset {} at {out}{there}, {:.1} s", report.dataset, summary.seconds);
    if report.manifest != "manifest.json" {
        println!("its manifest is {out}/{}; name that as the dataset of a run", report.manifest);
    }
}

fn print_waiting(waiting: &Waiting) {
    match waiting.stage.as_str() {
        "finish" => println!("every share is done; complete the dataset with --finish"),
        stage => println!(
            "this share of `{stage}` is done: {} of {} tasks are; run the shares again when all are, or --finish",
            waiting.done, waiting.tasks
        ),
    }
}

fn print_survey(survey: &Survey) {
    for source in &survey.sources {
        let unreadable = match source.unreadable {
            0 => String::new(),
            number => format!(", {number} cannot be read"),
        };
        println!(
            "{}: {} files, {} bytes{unreadable}; about {} bytes of text",
            source.name,
            count(source.files),
            count(source.bytes),
            count(source.text_bytes)
        );
    }
    println!(
        "{} tasks to read; about {} bytes of text, up to {} bytes of storage, {:.0} s with {} threads and {} MiB",
        survey.tasks,
        count(survey.text_bytes),
        count(survey.storage_bytes),
        survey.seconds.ceil(),
        survey.jobs,
        survey.memory >> 20
    );
}
