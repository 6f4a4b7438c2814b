//! Whole preparations: `cloze prepare` as a user runs it, watched from outside. Knows its configuration and what it
//! prints; processor time and memory come from Linux's `/proc`, and are missing elsewhere.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::cannot;
use super::inputs::{Inputs, Named};
use crate::shell::{Failure, Outcome, failed, foreign, shown};

/// Between two looks at the memory.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Ticks of `/proc` per second (`USER_HZ`, the same on all of Linux's common architectures).
const TICKS: f64 = 100.0;
/// A vocabulary, where it is trained.
const VOCAB_SIZE: u32 = 16384;

/// One preparation.
pub struct Job<'a> {
    pub name: String,
    format: &'static str,
    paths: &'a [PathBuf],
    tokenizer: &'a Named,
}

/// All of them: the books with each tokenizer, the other formats with the first.
pub fn jobs(inputs: &Inputs) -> Vec<Job<'_>> {
    let books = inputs.tokenizers.iter().map(|tokenizer| Job {
        name: format!("books, {}", tokenizer.name),
        format: "book",
        paths: &inputs.books,
        tokenizer,
    });
    let mut jobs: Vec<Job> = books.collect();
    for (name, format, paths) in
        [("Wikipedia", "wikipedia", &inputs.wikis), ("web pages (WARC)", "warc", &inputs.warcs)]
    {
        if let (false, Some(tokenizer)) = (paths.is_empty(), inputs.tokenizers.first()) {
            let name = format!("{name}, {}", tokenizer.name);
            jobs.push(Job { name, format, paths, tokenizer });
        }
    }
    jobs
}

impl Job<'_> {
    /// Every rule is on: quality, exact and near duplicates.
    fn configuration(&self) -> String {
        let tokenizer = match self.tokenizer.files.as_slice() {
            [] => format!("kind = \"{}\"\nvocab_size = {VOCAB_SIZE}\n", self.tokenizer.kind),
            files => format!("files = {}\n", quoted(files)),
        };
        // A byte-level BPE that is trained must not be told of letters.
        let lowercase = self.tokenizer.lowercase.map_or(String::new(), |it| format!("lowercase = {it}\n"));
        format!(
            "[dataset]\nout = \"unused\"\n\n[quality]\n\n[duplicates]\nexact = true\nnear = true\n\n\
             [tokenizer]\n{tokenizer}{lowercase}\n[[source]]\nname = \"bench\"\nformat = \"{}\"\npaths = {}\n",
            self.format,
            quoted(self.paths)
        )
    }
}

/// An array of TOML.
fn quoted(paths: &[PathBuf]) -> String {
    json!(paths).to_string()
}

/// Runs a preparation some times, with one thread.
pub fn measure(cloze: &Path, folder: &Path, job: &Job, memory: &str, repeat: usize) -> Outcome<Value> {
    let configuration = folder.join("prepare.toml");
    fs::write(&configuration, job.configuration()).map_err(|error| cannot(&configuration, &error))?;
    let (mut runs, mut report) = (Vec::new(), Value::Null);
    for number in 1..=repeat {
        eprintln!("bench: {} with {memory}, {number} of {repeat}", job.name);
        let dataset = folder.join("dataset");
        let _ = fs::remove_dir_all(&dataset);
        let mut command = foreign(cloze);
        command.arg("prepare").arg(&configuration).args(["--jobs", "1", "--json", "--memory", memory]);
        let watched = watch(command.arg("--out").arg(&dataset), folder)?;
        report = serde_json::from_str(&watched.out)
            .map_err(|error| Failure::Failed(format!("`cloze prepare --json` printed no JSON: {error}")))?;
        runs.push(json!({
            "cpu_seconds": watched.cpu_seconds, "wall_seconds": watched.wall_seconds,
            "peak_bytes": watched.peak_bytes, "stages": stages(&watched.messages),
        }));
    }
    let sources = report["sources"].as_array().cloned().unwrap_or_default();
    let sum = |of: &str| sources.iter().filter_map(|source| source["tally"][of].as_u64()).sum::<u64>();
    Ok(json!({
        "name": job.name, "tokenizer": job.tokenizer.name, "format": job.format, "memory": memory,
        "trained": job.tokenizer.files.is_empty(), "text_bytes": report["totals"]["bytes"],
        "documents": report["totals"]["documents"], "tokens": report["totals"]["tokens"],
        "documents_found": sum("found"), "documents_after_rules": sum("kept"), "runs": runs,
    }))
}

/// A process that has ended.
struct Watched {
    cpu_seconds: Option<f64>,
    wall_seconds: f64,
    peak_bytes: Option<u64>,
    out: String,
    messages: String,
}

fn watch(command: &mut Command, folder: &Path) -> Outcome<Watched> {
    let (out, messages) = (folder.join("prepare.out"), folder.join("prepare.err"));
    let file = |path: &Path| File::create(path).map_err(|error| cannot(path, &error));
    command.stdout(file(&out)?).stderr(file(&messages)?).stdin(Stdio::null());
    let name = shown(command);
    let before = cpu_of_children();
    let start = Instant::now();
    let mut child =
        command.spawn().map_err(|error| Failure::Failed(format!("`{name}` cannot be run: {error}")))?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak_bytes = None;
    let status = loop {
        peak_bytes = fs::read_to_string(&status_file).ok().and_then(|text| peak(&text)).max(peak_bytes);
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => std::thread::sleep(LOOK_EVERY),
            Err(error) => return failed(format!("`{name}` cannot be waited for: {error}")),
        }
    };
    let wall_seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = before.zip(cpu_of_children()).map(|(before, after)| after - before);
    let messages = fs::read_to_string(&messages).unwrap_or_default();
    if !status.success() {
        return failed(format!("`{name}` ended with {status}: {messages}"));
    }
    let out = fs::read_to_string(&out).unwrap_or_default();
    Ok(Watched { cpu_seconds, wall_seconds, peak_bytes, out, messages })
}

/// The processor seconds of all children that have ended.
fn cpu_of_children() -> Option<f64> {
    children(&fs::read_to_string("/proc/self/stat").ok()?)
}

fn children(stat: &str) -> Option<f64> {
    // The name may hold spaces and brackets; behind it, the 3rd field is the first.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some((ticks(16)? + ticks(17)?) / TICKS)
}

/// The most memory that a process has had, from its `status`.
fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// The seconds of the stages, from lines such as `read: 1.2 s, 3.4 MiB (2.8 MiB/s)`.
fn stages(messages: &str) -> Map<String, Value> {
    let stage = |line: &str| {
        let (name, rest) = line.split_once(": ")?;
        let (seconds, _) = rest.split_once(" s")?;
        Some((name.to_owned(), json!(seconds.parse::<f64>().ok()?)))
    };
    messages.lines().filter_map(stage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_read() {
        let stat = "26085 (a (b) c) R 1 2 3 0 -1 4 5 6 7 8 9 10 250 50 20 0 1 0 99";
        assert_eq!(children(stat), Some(3.0));
        assert_eq!(children("nothing"), None);
        assert_eq!(peak("VmPeak:\t 9 kB\nVmHWM:\t   2048 kB\nVmRSS: 1 kB\n"), Some(2 << 20));
        assert_eq!(peak("VmRSS: 1 kB\n"), None);
    }

    #[test]
    fn seconds_of_stages_are_read() {
        let messages = "read: 3 MiB of 9 MiB, 1 MiB/s, 6 seconds left\nread: 1.2 s, 3.4 MiB (2.8 MiB/s)\nduplicates: 0.0 s\n";
        assert_eq!(Value::Object(stages(messages)), json!({ "read": 1.2, "duplicates": 0.0 }));
    }

    #[test]
    fn a_configuration_names_what_there_is() {
        let paths = ["/x".into()];
        let text = |files| {
            let tokenizer = Named { name: "Unigram", files, kind: "unigram", lowercase: Some(true) };
            Job { name: String::new(), format: "book", paths: &paths, tokenizer: &tokenizer }.configuration()
        };
        let ready = text(vec!["a \"b\".model".into()]);
        assert!(ready.contains("files = [\"a \\\"b\\\".model\"]\nlowercase = true\n"), "{ready}");
        assert!(text(Vec::new()).contains("kind = \"unigram\"\nvocab_size = 16384\nlowercase = true\n"));
    }
}
