//! `cloze prepare`: raw text to a dataset, with a bar per stage.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use prepare::{Config, Options, PrepareError, Progress, Report};

use crate::failure::Failure;
use crate::show::thousands;

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze prepare configs/corpus/books.toml --input ~/books --out data/books")]
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
    #[arg(long)]
    jobs: Option<usize>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
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
    let place = arguments.config.display().to_string();
    let text = std::fs::read_to_string(&arguments.config)
        .map_err(|error| Failure::bad_input(format!("cannot read the configuration {place}: {error}")))?;
    let mut config = Config::parse(&place, &text)?;
    if !arguments.input.is_empty() {
        match config.sources.as_mut_slice() {
            [source] => source.paths = arguments.input.clone(),
            sources => {
                let count = sources.len();
                let reason =
                    format!("--input needs a configuration with one [[source]], {place} has {count}");
                return Err(Failure::bad_input(reason));
            }
        }
    }
    let options = Options { out: arguments.out, jobs: arguments.jobs };
    let done = tokio::task::spawn_blocking(move || {
        let bars = Bars::new();
        let report = prepare::run(&config, &options, &bars);
        bars.finish();
        report
    });
    let report = done.await.map_err(|error| Failure::failed(error.to_string()))??;
    match arguments.json {
        true => println!("{}", serde_json::json!(report)),
        false => print(&report),
    }
    Ok(())
}

fn print(report: &Report) {
    let count = |number: u64| thousands(number as f64);
    println!(
        "{} documents, {} bytes of text, {} tokens in {} blocks, vocabulary {}",
        count(report.documents),
        count(report.bytes),
        count(report.tokens),
        count(report.blocks),
        count(u64::from(report.vocab_size))
    );
    for (reason, number) in &report.dropped {
        println!("left out: {} documents, {reason}", count(*number));
    }
    println!("dataset {} at {}, {:.1} s", report.dataset, report.out, report.seconds);
}

/// A bar per stage on a terminal, a line per stage elsewhere.
struct Bars {
    terminal: bool,
    stage: Mutex<Option<(ProgressBar, String, Instant)>>,
}

impl Bars {
    fn new() -> Self {
        use std::io::IsTerminal;
        Bars { terminal: std::io::stderr().is_terminal(), stage: Mutex::new(None) }
    }

    fn finish(&self) {
        let Ok(mut stage) = self.stage.lock() else { return };
        if let Some((bar, name, since)) = stage.take() {
            bar.finish_and_clear();
            eprintln!("{name}: {:.1} s", since.elapsed().as_secs_f64());
        }
    }
}

impl Progress for Bars {
    fn stage(&self, name: &str, total_bytes: u64) {
        self.finish();
        let target = match self.terminal {
            true => ProgressDrawTarget::stderr_with_hz(5),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target((total_bytes > 0).then_some(total_bytes), target);
        let template = "{msg:24} {bar:30.cyan/blue} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(500));
        if let Ok(mut stage) = self.stage.lock() {
            *stage = Some((bar, name.to_owned(), Instant::now()));
        }
    }

    fn advance(&self, bytes: u64) {
        if let Ok(stage) = self.stage.lock()
            && let Some((bar, ..)) = stage.as_ref()
        {
            bar.inc(bytes);
        }
    }

    fn message(&self, text: &str) {
        match self.stage.lock().ok().as_deref() {
            Some(Some((bar, ..))) if self.terminal => bar.println(text),
            _ => eprintln!("{text}"),
        }
    }
}
