//! The runs of both sides: datasets, `cloze train`, the micro-batches that they use, and the peer
//! that gets the same. Knows programs and their lines of JSON, and nothing of what is compared.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::super::cannot;
use crate::shell::{Failure, Outcome, failed, foreign, run as run_command, shown};

/// Workers of each of our runs.
const WORKERS: &str = "2";

/// What is run, and where.
pub struct Programs<'a> {
    pub root: &'a Path,
    /// Where the project's own programs are.
    pub release: PathBuf,
    /// For datasets, runs and micro-batches.
    pub folder: PathBuf,
    pub python: PathBuf,
}

/// A run: what there is to set, and its seed.
struct Run<'a> {
    family: &'a str,
    settings: Vec<String>,
    seed: u64,
}

impl Programs<'_> {
    fn dataset(&self, corpus: &str) -> PathBuf {
        self.folder.join(corpus)
    }

    fn held_out(&self, corpus: &str) -> PathBuf {
        self.folder.join(format!("{corpus}-held-out"))
    }

    fn cloze(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.release.join("cloze"));
        command.current_dir(self.root).args(arguments);
        command
    }

    /// Makes a dataset of each part of the books; the second with the first's tokenizer.
    pub fn prepare(&self, corpus: &str, trained: &[PathBuf], held_out: &[PathBuf]) -> Outcome<()> {
        eprintln!("bench: {corpus}");
        let configs = self.root.join("configs/corpus");
        let prepare = |config: &str, books: &[PathBuf], out: PathBuf| {
            let mut command = self.cloze(&["prepare"]);
            command.arg(configs.join(format!("{config}.toml"))).arg("--out").arg(out);
            for book in books {
                command.arg("--input").arg(book);
            }
            command.stdout(Stdio::null());
            command
        };
        run_command(&mut prepare(corpus, trained, self.dataset(corpus)))?;
        let tokenizers = self.dataset(corpus).join("tokenizers");
        let tokenizer = fs::read_dir(&tokenizers)
            .and_then(|mut entries| entries.next().transpose())
            .map_err(|error| cannot(&tokenizers, &error))?
            .ok_or_else(|| Failure::Failed(format!("{} is empty", tokenizers.display())))?;
        let mut command = prepare("held-out", held_out, self.held_out(corpus));
        run_command(command.current_dir(tokenizer.path()))
    }

    /// The runs of both sides, one for each seed.
    pub fn both(
        &self,
        family: &str,
        corpus: &str,
        settings: &[String],
        seeds: u64,
    ) -> Outcome<(Vec<Value>, Vec<Value>)> {
        let (dataset, held_out) = (self.dataset(corpus), self.held_out(corpus));
        let run = |seed: u64| {
            let places = [
                format!("data.dataset={}", dataset.display()),
                format!("evaluation.dataset={}", held_out.display()),
                format!("run.store={}", self.folder.join(format!("run-{family}-{seed}")).display()),
                format!("run.seed={seed}"),
            ];
            Run { family, settings: settings.iter().cloned().chain(places).collect(), seed }
        };
        let runs: Vec<Run<'_>> = (1..=seeds).map(run).collect();
        let ours = runs.iter().map(|run| self.ours(run)).collect::<Outcome<Vec<_>>>()?;
        Ok((ours, self.theirs(&runs)?))
    }

    fn ours(&self, run: &Run<'_>) -> Outcome<Value> {
        eprintln!("bench: {}, seed {}: ours", run.family, run.seed);
        let mut command = self.cloze(&["train", &run.config(), "--json", "--workers", WORKERS]);
        for setting in &run.settings {
            command.args(["--set", setting]);
        }
        let evaluations: Vec<Value> = lines(&mut command)?.iter().filter_map(evaluation).collect();
        Ok(json!({ "seed": run.seed, "evaluations": evaluations }))
    }

    /// The peer takes one core; as many run at a time as there are.
    fn theirs(&self, runs: &[Run<'_>]) -> Outcome<Vec<Value>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut done = Vec::new();
        for some in runs.chunks(cores) {
            let peer = |run| move || self.peer(run);
            let ended: Vec<_> = std::thread::scope(|scope| {
                let started: Vec<_> = some.iter().map(|run| scope.spawn(peer(run))).collect();
                started.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
            });
            for result in ended {
                done.push(result.unwrap_or_else(|_| failed("a thread that ran the peer panicked"))?);
            }
        }
        Ok(done)
    }

    fn peer(&self, run: &Run<'_>) -> Outcome<Value> {
        eprintln!("bench: {}, seed {}: theirs", run.family, run.seed);
        let place = |what: &str| self.folder.join(format!("{what}-{}-{}.jsonl", run.family, run.seed));
        let (trained, held_out) = (place("trained"), place("held-out"));
        self.batches(run, &[], &trained)?;
        self.batches(run, &["--held-out"], &held_out)?;
        let mut command = foreign(&self.python);
        command.arg(self.root.join("tests/benchmarks/curves.py")).args([&trained, &held_out]);
        let said = lines(command.args(["--seed", &run.seed.to_string()]))?;
        // Megabytes each, and made again in seconds.
        for file in [trained, held_out] {
            fs::remove_file(&file).map_err(|error| cannot(&file, &error))?;
        }
        let measured = said.iter().filter(|line| line["kind"] == "evaluation");
        let evaluations: Vec<Value> =
            measured.map(|line| json!({ "step": line["step"], "losses": line["losses"] })).collect();
        Ok(json!({ "seed": run.seed, "about": said.first(), "evaluations": evaluations }))
    }

    /// Writes the micro-batches of a run to a file.
    fn batches(&self, run: &Run<'_>, which: &[&str], to: &Path) -> Outcome<()> {
        let file = File::create(to).map_err(|error| cannot(to, &error))?;
        let mut command = Command::new(self.release.join("examples/batches"));
        command.current_dir(self.root).arg(run.config()).args(which).args(&run.settings);
        run_command(command.stdout(file))
    }
}

impl Run<'_> {
    fn config(&self) -> String {
        format!("configs/{}/cpu.toml", self.family)
    }
}

/// What a program prints, which is lines of JSON. What it says besides goes to the terminal.
fn lines(command: &mut Command) -> Outcome<Vec<Value>> {
    let shown = shown(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::Failed(format!("`{shown}` could not be started: {error}")))?;
    if !output.status.success() {
        return failed(format!("`{shown}` ended with {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let parse = |line: &str| {
        serde_json::from_str(line)
            .map_err(|error| Failure::Failed(format!("`{shown}` printed `{line}`: {error}")))
    };
    text.lines().map(parse).collect()
}

/// The held-out losses that come with a step, which are those of the weights before it, or after the last one.
fn evaluation(update: &Value) -> Option<Value> {
    if update["kind"] == "evaluation" {
        return Some(json!({ "step": update["step"], "losses": update["measures"] }));
    }
    let measures = update["measures"].as_object()?;
    let losses: serde_json::Map<String, Value> = measures
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("evaluation/")?.to_owned(), value.clone())))
        .collect();
    (!losses.is_empty())
        .then(|| json!({ "step": update["step"].as_u64().map(|step| step - 1), "losses": losses }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_losses_are_found_among_updates() {
        let update = json!({ "kind": "step", "step": 51, "measures": { "mlm": 7.0, "evaluation/mlm": 6.5 } });
        assert_eq!(evaluation(&update), Some(json!({ "step": 50, "losses": { "mlm": 6.5 } })));
        assert_eq!(evaluation(&json!({ "kind": "step", "step": 52, "measures": { "mlm": 7.0 } })), None);
        assert_eq!(evaluation(&json!({ "kind": "notice" })), None);
        let last = json!({ "kind": "evaluation", "step": 60, "measures": { "mlm": 6.4 } });
        assert_eq!(evaluation(&last), Some(json!({ "step": 60, "losses": { "mlm": 6.4 } })));
    }

    #[test]
    fn what_is_no_json_is_shown() {
        let error = lines(Command::new("echo").arg("so what")).unwrap_err().to_string();
        assert!(error.contains("`so what`"), "{error}");
        assert_eq!(lines(Command::new("echo").arg("{\"a\": 1}")).unwrap(), [json!({ "a": 1 })]);
        assert!(lines(&mut Command::new("false")).is_err());
    }
}
