//! `cargo xtask demo`: from raw text to a trained model on this machine, watched from outside: a worker is killed, the
//! run is stopped and resumed. Knows the command lines of `cloze`, and nothing of what is behind them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::shell::{Failure, Outcome, failed, run as run_command, shown};
use crate::{demo_corpus, setup, shell};

/// Arguments of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// A folder of plain text to train on; without it the corpus of `demo-corpus` is written and used
    #[arg(long, value_name = "PATH")]
    pub corpus: Option<PathBuf>,
    /// Training steps
    #[arg(long, value_name = "N", default_value_t = 3000)]
    pub steps: u64,
    /// Workers on this machine
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub workers: u32,
    /// Keep the dataset and the run afterwards
    #[arg(long)]
    pub keep: bool,
}

/// Everything that the demonstration writes is below this folder.
const FOLDER: &str = "target/demo";
/// Between two lines of progress.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Sentences to complete after training on the project's own corpus, with a word that fits.
const OWN: [(&str, &str); 5] = [
    ("The capital of Merrin is <mask>.", "Aldford"),
    ("The blacksmith works in the <mask>.", "forge"),
    ("Nine and eight make <mask>.", "seventeen"),
    ("Winifred is the mayor of <mask>, and she works hard.", "Kirkmoor"),
    ("If you have five stamps and find four stamps, you have <mask> stamps.", "nine"),
];
/// And after training on any other English text.
const OTHER: [(&str, &str); 3] = [
    ("He looked at <mask> and smiled.", "her"),
    ("She was sitting in the <mask> when he came in.", "room"),
    ("I do not <mask> what you mean.", "know"),
];

/// Runs the demonstration.
pub fn run(root: &Path, args: &DemoArgs) -> Outcome<()> {
    if args.workers < 2 {
        return Err(Failure::BadInput("one of the workers will be killed; use --workers 2 or more".into()));
    }
    setup::run(root, false)?;
    title("building");
    run_command(shell::cargo(root).arg("build"))?;
    run_command(shell::cargo(root).args(["build", "--package", "engine"]))?;
    let folder = root.join(FOLDER);
    let _ = std::fs::remove_dir_all(&folder);
    let demo = Demo { root: root.to_path_buf(), cloze: root.join("target/debug/cloze"), steps: args.steps };

    title("preparing the corpus");
    let corpus = match &args.corpus {
        Some(corpus) => std::path::absolute(corpus).map_err(|error| Failure::BadInput(error.to_string()))?,
        None => {
            let corpus = folder.join("corpus");
            let (books, bytes) = demo_corpus::write(&corpus, 6_000_000, 1)?;
            println!("{books} books, {bytes} bytes, written by the project's own grammar");
            corpus
        }
    };
    demo.prepare(&corpus)?;
    let mut losses = BTreeMap::new();
    let (kill_at, stop_at) = (args.steps / 3, 2 * args.steps / 3);

    title(&format!("training with {} workers; one is killed at step {kill_at}", args.workers));
    demo.train_and_disturb(args.workers, kill_at, stop_at, &mut losses)?;
    title("resuming");
    demo.resume(args.workers, &mut losses)?;
    title("the loss");
    println!("{}", plot(&losses));
    demo.predict(args.corpus.is_none())?;
    if !args.keep {
        std::fs::remove_dir_all(&folder).map_err(|error| Failure::Failed(error.to_string()))?;
    }
    check_learned(&losses)
}

fn title(text: &str) {
    println!("\n== {text} ==");
}

fn check_learned(losses: &BTreeMap<u64, f64>) -> Outcome<()> {
    let (Some((_, first)), Some((last_step, last))) = (losses.first_key_value(), losses.last_key_value())
    else {
        return failed("no step was seen");
    };
    if last >= first {
        return failed(format!("the loss did not fall: {first:.3} at the beginning, {last:.3} at the end"));
    }
    println!(
        "\nThe loss fell from {first:.3} to {last:.3} in {last_step} steps, over a killed worker and a restart; \
         every step was computed once."
    );
    Ok(())
}

struct Demo {
    root: PathBuf,
    cloze: PathBuf,
    steps: u64,
}

impl Demo {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.cloze);
        command.current_dir(&self.root).args(arguments);
        command
    }

    fn prepare(&self, corpus: &Path) -> Outcome<()> {
        let mut command = self.command(&["prepare", "configs/corpus/books.toml", "--input"]);
        command.arg(corpus).args(["--out", &format!("{FOLDER}/dataset")]);
        println!("$ {}", shown(&command));
        run_command(&mut command)
    }

    fn train(&self, workers: u32, resume: bool) -> Outcome<Training> {
        let mut command = self.command(&["train", "configs/roberta/demo.toml", "--json"]);
        command.args(["--workers", &workers.to_string()]);
        let set = [
            format!("data.dataset={FOLDER}/dataset"),
            format!("run.store={FOLDER}/run"),
            format!("train.steps={}", self.steps),
            format!("schedule.warmup_steps={}", self.steps / 10),
        ];
        for pair in &set {
            command.args(["--set", pair]);
        }
        if resume {
            command.arg("--resume");
        }
        println!("$ {}", shown(&command));
        Training::start(&mut command)
    }

    fn train_and_disturb(
        &self,
        workers: u32,
        kill_at: u64,
        stop_at: u64,
        losses: &mut BTreeMap<u64, f64>,
    ) -> Outcome<()> {
        let mut training = self.train(workers, false)?;
        training.follow(losses, |update| step(update) >= Some(kill_at))?;
        let members = self.member_processes(&training)?;
        let victim = members.first().ok_or_else(|| Failure::Failed("no worker is a member".into()))?;
        println!("** kill -9 {victim}");
        let killed = Instant::now();
        run_command(shell::foreign("kill").args(["-9", victim]))?;
        let before = losses.last_key_value().map_or(0, |(&step, _)| step);
        training.follow(losses, |update| update["kind"] == "opened")?;
        training.follow(losses, |update| step(update) > Some(before))?;
        println!("** training went on {:.2} s after the kill", killed.elapsed().as_secs_f64());
        training.follow(losses, |update| step(update) >= Some(stop_at))?;
        println!("** cloze stop");
        run_command(&mut self.command(&["stop", &training.url]))?;
        training.finish(losses)
    }

    fn resume(&self, workers: u32, losses: &mut BTreeMap<u64, f64>) -> Outcome<()> {
        let stopped_at = losses.last_key_value().map_or(0, |(&step, _)| step);
        let mut training = self.train(workers, true)?;
        training.follow(losses, |update| step(update).is_some())?;
        let first = training.first_step.unwrap_or(0);
        if first != stopped_at + 1 {
            return failed(format!(
                "the run was stopped after step {stopped_at}, but resumed with step {first}"
            ));
        }
        println!("** resumed with step {first}, where it was stopped");
        training.finish(losses)
    }

    fn member_processes(&self, training: &Training) -> Outcome<Vec<String>> {
        let status = shell::output(&mut self.command(&["status", &training.url, "--json"]));
        let status: Value = status
            .and_then(|text| serde_json::from_str(&text).ok())
            .ok_or_else(|| Failure::Failed("`cloze status` does not answer".into()))?;
        let workers = status["workers"].as_array().cloned().unwrap_or_default();
        let members = workers.iter().filter(|worker| worker["member"] == true);
        // A worker's name ends with its process id.
        Ok(members
            .filter_map(|worker| Some(worker["name"].as_str()?.rsplit(':').next()?.to_owned()))
            .collect())
    }

    fn predict(&self, own_corpus: bool) -> Outcome<()> {
        title("exporting, and filling masks");
        let exported = format!("{FOLDER}/huggingface");
        run_command(&mut self.command(&["export", &format!("{FOLDER}/run"), "--to", &exported]))?;
        let sentences: &[(&str, &str)] = if own_corpus { &OWN } else { &OTHER };
        for (sentence, fits) in sentences {
            println!("\n{sentence}   ({fits})");
            run_command(&mut self.command(&["fill-mask", &exported, sentence, "--top", "3"]))?;
        }
        Ok(())
    }
}

fn step(update: &Value) -> Option<u64> {
    (update["kind"] == "step").then(|| update["step"].as_u64()).flatten()
}

/// A `cloze train --json` in progress.
struct Training {
    child: Child,
    updates: std::io::Lines<BufReader<ChildStdout>>,
    url: String,
    first_step: Option<u64>,
    shown: Option<Instant>,
}

impl Training {
    fn start(command: &mut Command) -> Outcome<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| {
            Failure::Failed(format!("`{}` could not be started: {error}", shown(command)))
        })?;
        let out = child.stdout.take().ok_or_else(|| Failure::Failed("no output to read".into()))?;
        let updates = BufReader::new(out).lines();
        Ok(Training { child, updates, url: String::new(), first_step: None, shown: None })
    }

    /// Shows updates until one fits.
    fn follow(&mut self, losses: &mut BTreeMap<u64, f64>, fits: impl Fn(&Value) -> bool) -> Outcome<()> {
        while let Some(update) = self.next(losses)? {
            if fits(&update) {
                return Ok(());
            }
        }
        failed("the run ended too early; see the messages above")
    }

    /// Shows what is left, and waits for the end.
    fn finish(&mut self, losses: &mut BTreeMap<u64, f64>) -> Outcome<()> {
        while self.next(losses)?.is_some() {}
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => failed(format!("`cloze train` ended with {status}")),
            Err(error) => failed(format!("`cloze train` cannot be waited for: {error}")),
        }
    }

    fn next(&mut self, losses: &mut BTreeMap<u64, f64>) -> Outcome<Option<Value>> {
        let Some(line) = self.updates.next() else { return Ok(None) };
        let line = line.map_err(|error| Failure::Failed(error.to_string()))?;
        let update: Value =
            serde_json::from_str(&line).map_err(|error| Failure::Failed(format!("{error}: {line}")))?;
        self.show(&update);
        if let (Some(step), Some(loss)) = (step(&update), update["loss"].as_f64()) {
            self.first_step.get_or_insert(step);
            losses.insert(step, loss);
        }
        Ok(Some(update))
    }

    fn show(&mut self, update: &Value) {
        match update["kind"].as_str().unwrap_or_default() {
            "step" => {
                let due = self.shown.is_none_or(|shown| shown.elapsed() > LINE_EVERY);
                if due {
                    self.shown = Some(Instant::now());
                    println!(
                        "step {:>5}  loss {:.3}  {:>6.0} tok/s  {} workers",
                        update["step"],
                        update["loss"].as_f64().unwrap_or(f64::NAN),
                        update["tokens_per_second"].as_f64().unwrap_or(0.0),
                        update["workers"]
                    );
                }
            }
            "opened" => println!(
                "-- generation {}: {} workers from step {} ({})",
                update["generation"],
                update["workers"],
                update["step"],
                update["reason"].as_str().unwrap_or_default()
            ),
            "checkpointed" => println!("-- checkpoint of step {}", update["step"]),
            _ => {
                let text = update["text"].as_str().unwrap_or_default();
                if let Some(url) = text.strip_prefix("coordinator at ") {
                    self.url = url.to_owned();
                }
                println!("-- {text}");
            }
        }
    }
}

impl Drop for Training {
    /// A demonstration that fails leaves no process behind.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The losses as a picture: 64 columns, 12 lines, averaged where several steps share a column.
fn plot(losses: &BTreeMap<u64, f64>) -> String {
    const COLUMNS: usize = 64;
    const LINES: usize = 12;
    let values: Vec<f64> = losses.values().copied().collect();
    if values.is_empty() {
        return String::new();
    }
    let columns = COLUMNS.min(values.len());
    let mean = |column: usize| {
        let range = column * values.len() / columns..(column + 1) * values.len() / columns;
        values[range.clone()].iter().sum::<f64>() / range.len() as f64
    };
    let means: Vec<f64> = (0..columns).map(mean).collect();
    let high = means.iter().copied().fold(f64::MIN, f64::max);
    let low = means.iter().copied().fold(f64::MAX, f64::min);
    let height = |value: f64| ((high - value) / (high - low).max(1e-9) * (LINES - 1) as f64).round() as usize;
    let mut picture = String::new();
    for line in 0..LINES {
        let label = high - (high - low) * line as f64 / (LINES - 1) as f64;
        let dots: String = means.iter().map(|&mean| if height(mean) == line { '•' } else { ' ' }).collect();
        picture.push_str(&format!("{label:>7.3} |{}\n", dots.trim_end()));
    }
    let last = losses.last_key_value().map_or(0, |(&step, _)| step);
    picture.push_str(&format!(
        "        +{}\n         1{last:>width$}",
        "-".repeat(columns),
        width = columns - 1
    ));
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_loss_is_drawn_from_the_upper_left_to_the_lower_right() {
        let losses = (1..=640).map(|step| (step, 10.0 - step as f64 / 100.0)).collect();
        let picture = plot(&losses);
        let lines: Vec<&str> = picture.lines().collect();
        assert!(lines[0].starts_with("  9.945 |•"), "{picture}");
        assert!(lines[11].ends_with('•') && lines[11].starts_with("  3.645 |  "), "{picture}");
        assert_eq!(lines.len(), 14);
    }

    #[test]
    fn a_loss_that_does_not_fall_is_a_failure() {
        assert!(check_learned(&BTreeMap::from([(1, 9.0), (2, 8.0)])).is_ok());
        assert!(check_learned(&BTreeMap::from([(1, 8.0), (2, 9.0)])).is_err());
        assert!(check_learned(&BTreeMap::new()).is_err());
    }
}
