//! What a preparation would have to do: found out from the names and sizes of its inputs, without reading them.

use serde::Serialize;
use tokio::runtime::Runtime;

use crate::input::{self, Input};
use crate::pipeline::{JOBS, MEMORY, Options};
use crate::tasks::{TASK_BYTES, TaskList};
use crate::{Config, Format, PrepareError};

/// Bytes of clean text that a thread makes in a second, from its first stage to its last: what `cargo xtask bench
/// prepare` measures, rounded down.
const TEXT_PER_SECOND: f64 = 10e6;
/// Web pages and markup take longer to read than the text that is left of them: bytes of input that a thread reads in a
/// second, when unpacked.
const MARKUP_PER_SECOND: f64 = 20e6;

/// What a preparation would have to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Survey {
    /// What each source has.
    pub sources: Vec<SourceSurvey>,
    /// The tasks of the first stage: as many machines can take part.
    pub tasks: usize,
    /// Bytes of clean text that are to be expected, roughly.
    pub text_bytes: u64,
    /// Bytes that the output and the work area may take together, roughly.
    pub storage_bytes: u64,
    /// Seconds on this machine, roughly.
    pub seconds: f64,
    /// Threads.
    pub jobs: usize,
    /// Bytes that may be held in memory.
    pub memory: u64,
}

/// What a source has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceSurvey {
    /// Its name.
    pub name: String,
    /// Its files.
    pub files: u64,
    /// Their bytes as they lie there.
    pub bytes: u64,
    /// Files and folders that cannot be read.
    pub unreadable: u64,
    /// Bytes of clean text that are to be expected, roughly.
    pub text_bytes: u64,
}

/// Looks at the inputs.
///
/// # Errors
/// As [`crate::run`], for inputs that are not there.
pub fn survey(config: &Config, options: &Options) -> Result<Survey, PrepareError> {
    let runtime = Runtime::new().map_err(|error| PrepareError::Machine(format!("no threads: {error}")))?;
    let inputs = input::list(config, runtime.handle())?;
    let list = TaskList::new(config, &inputs.files, "", options.task_bytes.unwrap_or(TASK_BYTES))?;
    let (mut text_bytes, mut markup_bytes) = (0.0, 0.0);
    let mut sources = Vec::new();
    for (index, source) in config.sources.iter().enumerate() {
        let files: Vec<&Input> = inputs.files.iter().filter(|input| input.source == index).collect();
        let mut text = 0.0;
        for input in &files {
            let unpacked = input.size as f64 * unpacked(&input.key, source.format);
            text += unpacked * share_of_text(source.format);
            if matches!(source.format, Format::Wikipedia | Format::Warc) {
                markup_bytes += unpacked;
            }
        }
        text_bytes += text;
        sources.push(SourceSurvey {
            name: source.name.clone(),
            files: files.len() as u64,
            bytes: files.iter().map(|input| input.size).sum(),
            unreadable: inputs.unreadable.iter().filter(|found| found.source == index).count() as u64,
            text_bytes: text as u64,
        });
    }
    let jobs = options.jobs.unwrap_or_else(JOBS);
    Ok(Survey {
        sources,
        tasks: list.tasks.len(),
        text_bytes: text_bytes as u64,
        // Parts, rows, texts and ids: each is about a third of the text when it is packed.
        storage_bytes: (4.0 * text_bytes / 3.0) as u64,
        seconds: (text_bytes / TEXT_PER_SECOND + markup_bytes / MARKUP_PER_SECOND) / jobs as f64,
        jobs,
        memory: options.memory.unwrap_or(MEMORY),
    })
}

/// How much larger a file is when it is unpacked, roughly.
fn unpacked(key: &str, format: Format) -> f64 {
    let packed = [".gz", ".bz2", ".zst"].iter().any(|ending| key.ends_with(ending));
    match (packed, format) {
        (false, Format::Parquet) => 2.5,
        (false, _) => 1.0,
        (true, Format::Warc | Format::Wikipedia) => 4.0,
        (true, _) => 2.7,
    }
}

/// How much of an unpacked file is text, roughly: for dumps and archives, what was seen of English ones.
fn share_of_text(format: Format) -> f64 {
    match format {
        Format::Text | Format::Book | Format::Jsonl | Format::Parquet => 0.95,
        Format::Wikipedia => 0.25,
        Format::Warc => 0.05,
    }
}
