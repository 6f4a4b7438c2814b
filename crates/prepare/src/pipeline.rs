//! A preparation from its beginning to its end: which stages there are, and what the dataset is in the end. What is
//! written depends on the configuration and the inputs only; threads, machines and interruptions decide nothing but how
//! long it takes.

use std::time::{Duration, Instant};

use serde::Serialize;
use store::{Dataset, DatasetWriter, Draft, FileEntry, Location, MANIFEST, Manifest, ShardFile, retry};
use tokio::runtime::{Handle, Runtime};
use xxhash_rust::xxh3::xxh3_128;

use crate::input::{self, Input, Inputs};
use crate::report::{Report, SourceReport};
use crate::stages::{Context, Waiting, docs, duplicates, read, rows, tokens, train};
use crate::tally::Tally;
use crate::tasks::{Share, TASK_BYTES, TaskList};
use crate::work::Work;
use crate::{Config, PrepareError, Progress};

/// The version of the rules of reading, cleaning, splitting and cutting: raised when the same inputs give other rows.
const RULES: u32 = 2;
/// What the machines that share a preparation agree on.
const TASKS: &str = "tasks.json";
/// Memory that is used if nobody says how much may be.
pub(crate) const MEMORY: u64 = 8 << 30;
/// Threads that are used if nobody says how many: one per core.
pub(crate) const JOBS: fn() -> usize = || std::thread::available_parallelism().map_or(1, usize::from);

/// What does not change the result.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the dataset goes instead of `dataset.out`.
    pub out: Option<String>,
    /// Threads; all cores if not given.
    pub jobs: Option<usize>,
    /// About how many bytes may be held in memory; 8 GiB if not given.
    pub memory: Option<u64>,
    /// Which of several machines this is: it does its share of what can be done now, and never completes the dataset.
    pub share: Option<Share>,
    /// About how many bytes a task reads; 64 MiB if not given.
    pub task_bytes: Option<u64>,
}

/// How a preparation ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Outcome {
    /// The dataset is there.
    Done(Box<Summary>),
    /// This share is done, as far as it can be now.
    Waiting(Waiting),
}

/// A dataset that is there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Where it is.
    pub out: String,
    /// Whether it was there already, and nothing had to be done.
    pub already_there: bool,
    /// How long it took.
    pub seconds: f64,
    /// What it holds, and what was left out.
    #[serde(flatten)]
    pub report: Report,
}

/// Makes the dataset, unless it is there already. Blocks, so it must not be called on a thread of an async runtime:
/// there, wrap it in `spawn_blocking`.
///
/// # Errors
/// See [`PrepareError`]; nothing that was written by a preparation that failed is taken for a dataset.
pub fn run(config: &Config, options: &Options, progress: &dyn Progress) -> Result<Outcome, PrepareError> {
    let start = Instant::now();
    let out = options.out.clone().unwrap_or_else(|| config.dataset.out.clone());
    let runtime = Runtime::new().map_err(|error| PrepareError::Machine(format!("no threads: {error}")))?;
    let inputs = input::list(config, runtime.handle())?;
    let (tokenizer, identity) = train::source(&config.tokenizer)?;
    let recipe = recipe(config, &inputs);
    let at = Location::open(&out)?;
    let work = Work::new(&at, runtime.handle().clone());
    let done = |report: Report, already_there| {
        let seconds = start.elapsed().as_secs_f64();
        Ok(Outcome::Done(Box::new(Summary { out: out.clone(), already_there, seconds, report })))
    };
    let existing = existing(&at, &out, &recipe, runtime.handle())?;
    if let Some((name, manifest)) =
        existing.iter().find(|(_, manifest)| manifest.tokenizer.recipe == identity)
    {
        // What was left by one that was killed between its last write and its cleaning up.
        work.remove()?;
        at.remove_unfinished(Duration::ZERO)?;
        return done(Report::find(&at, name, manifest, runtime.handle())?, true);
    }
    let context = Context {
        config,
        work: &work,
        share: options.share,
        jobs: options.jobs.unwrap_or_else(JOBS).max(1),
        memory: options.memory.unwrap_or(MEMORY),
        progress,
    };
    let writer = DatasetWriter::new(at.clone());
    let (docs, report) = match existing.first() {
        Some((name, manifest)) => {
            (manifest.docs.clone(), Report::find(&at, name, manifest, runtime.handle())?)
        }
        None => {
            let list = task_list(&context, &inputs.files, &recipe, options.task_bytes.unwrap_or(TASK_BYTES))?;
            match texts(&context, &inputs, &list, &writer)? {
                Ok(texts) => texts,
                Err(waiting) => return Ok(Outcome::Waiting(waiting)),
            }
        }
    };
    let files: Vec<ShardFile> = docs.iter().map(|file| ShardFile::new(at.clone(), file.clone())).collect();
    let tokenizer = train::run(&context, tokenizer, &identity, &files, &docs)?;
    if let Some(waiting) = tokens::run(&context, &writer, &tokenizer, &files, &docs)? {
        return Ok(Outcome::Waiting(waiting));
    }
    if options.share.is_some() {
        return Ok(Outcome::Waiting(Waiting { stage: "finish".to_owned(), done: 0, tasks: 1 }));
    }
    let shards = tokens::outcomes(&context, &tokenizer, docs.len())?;
    let name = match existing.is_empty() {
        true => MANIFEST.to_owned(),
        false => format!("manifest-{}.json", &tokenizer.hash()[..8]),
    };
    let draft = Draft {
        recipe,
        tokenizer_recipe: identity,
        seed: config.dataset.seed,
        chunk_bytes: config.dataset.chunk_bytes,
        block_bytes: config.dataset.block_bytes,
        sources: report.sources.iter().map(SourceReport::entry).collect(),
        dropped: report.dropped(),
    };
    let manifest = Manifest::new(&tokenizer, draft, docs, shards);
    let report = Report { manifest: name.clone(), ..report.completed(&manifest) };
    // Whoever finds the manifest finds the report, too.
    report.write(&at, &name, runtime.handle())?;
    runtime.block_on(writer.commit(&name, &tokenizer, &manifest))?;
    work.remove()?;
    at.remove_unfinished(Duration::ZERO)?;
    done(report, false)
}

/// A hash of all that decides what the texts are: settings, and the names and sizes of the inputs. The tokenizer does
/// not belong to it.
fn recipe(config: &Config, inputs: &Inputs) -> String {
    let mut settings = config.clone();
    settings.dataset.out.clear();
    settings.tokenizer = Default::default();
    settings.sources.iter_mut().for_each(|source| source.paths.clear());
    let mut text = serde_json::to_string(&settings).expect("a configuration is made of strings and numbers");
    text += &format!(" {RULES}");
    for input in &inputs.files {
        text += &format!("\n{} {} {}", input.source, input.size, input.key);
    }
    for unreadable in &inputs.unreadable {
        text += &format!("\n{} {}", unreadable.source, unreadable.place);
    }
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

/// The datasets of these texts that are at `at`, with the names of their manifests, the first one first.
fn existing(
    at: &Location,
    out: &str,
    recipe: &str,
    runtime: &Handle,
) -> Result<Vec<(String, Manifest)>, PrepareError> {
    let listed = match Location::may_exist(out) {
        true => runtime.block_on(retry(out, || at.list_here()))?,
        false => Vec::new(),
    };
    let manifests = listed.into_iter().filter(|name| name == MANIFEST || name.starts_with("manifest-"));
    let mut found = Vec::new();
    for name in manifests {
        let dataset = runtime.block_on(Dataset::open_at(at.clone(), &name))?;
        if dataset.manifest().recipe != recipe {
            return Err(PrepareError::input(
                out,
                "a dataset made from another configuration or other inputs is there; remove it, or choose another --out",
            ));
        }
        found.push((name, dataset.manifest().clone()));
    }
    // `manifest.json` sorts behind those with a hash.
    found.sort_by_key(|(name, _)| name != MANIFEST);
    Ok(found)
}

/// The list of tasks: the one that is there, if somebody began before.
fn task_list(
    context: &Context,
    inputs: &[Input],
    recipe: &str,
    task_bytes: u64,
) -> Result<TaskList, PrepareError> {
    let begun = match context.work.find(TASKS)? {
        Some(begun) => begun,
        None => {
            let list = TaskList::new(context.config, inputs, recipe, task_bytes)?;
            let json = serde_json::to_vec(&list).expect("a list of tasks is made of numbers");
            context.work.put_first(TASKS, json)?
        }
    };
    let list: TaskList =
        serde_json::from_slice(&begun).map_err(|error| context.work.damaged(TASKS, error))?;
    if list.recipe != recipe {
        return Err(PrepareError::input(
            context.work.place(""),
            "a preparation with another configuration or other inputs was begun there and not completed; remove that \
             folder, or choose another --out",
        ));
    }
    Ok(list)
}

/// From files to the texts of the dataset.
type Texts = (Vec<FileEntry>, Report);

/// All stages up to the texts. The outer error is a failure, the inner one a stage that others have to complete.
fn texts(
    context: &Context,
    inputs: &Inputs,
    list: &TaskList,
    writer: &DatasetWriter,
) -> Result<Result<Texts, Waiting>, PrepareError> {
    let mut tallies = unreadable(context.config, inputs)?;
    if let Some(waiting) = read::run(context, &inputs.files, list)? {
        return Ok(Err(waiting));
    }
    let outcomes: Vec<read::Outcome> = (0..list.tasks.len())
        .map(|task| context.work.get_json(&read::outcome_name(task)))
        .collect::<Result<_, _>>()?;
    for outcome in &outcomes {
        for (&source, tally) in &outcome.tallies {
            tallies[source].merge(tally.clone());
        }
    }
    check_sources(context.config, &tallies)?;
    let parts = duplicates::parts(&outcomes);
    let (found, marks) = duplicates::run(context, &parts)?;
    if let Some(waiting) = rows::run(context, &parts, &found, &marks)? {
        return Ok(Err(waiting));
    }
    let sorted: Vec<rows::Outcome> = (0..parts.len())
        .map(|part| context.work.get_json(&rows::outcome_name(part)))
        .collect::<Result<_, _>>()?;
    if let Some(waiting) = docs::run(context, writer, &found, &sorted)? {
        return Ok(Err(waiting));
    }
    let files = docs::outcomes(context, 1 << found.shard_bits)?;
    Ok(Ok((files, report(context.config, tallies, &found, &sorted))))
}

/// What is known before any file is read.
fn unreadable(config: &Config, inputs: &Inputs) -> Result<Vec<Tally>, PrepareError> {
    let mut tallies = vec![Tally::default(); config.sources.len()];
    for found in &inputs.unreadable {
        let tally = &mut tallies[found.source];
        read::damaged(config, tally, found.place.clone(), found.reason.clone())?;
    }
    Ok(tallies)
}

/// A source without a single document is a mistake in its configuration.
fn check_sources(config: &Config, tallies: &[Tally]) -> Result<(), PrepareError> {
    for (source, tally) in config.sources.iter().zip(tallies) {
        if tally.kept == 0 {
            let mut why: Vec<String> =
                tally.dropped.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
            why.extend(
                tally.damage.iter().take(3).map(|damage| format!("{}: {}", damage.place, damage.reason)),
            );
            let reason = format!(
                "no document of it is left ({}); correct its format, text_field or rules",
                why.join("; ")
            );
            return Err(PrepareError::input(format!("source `{}`", source.name), reason));
        }
    }
    Ok(())
}

/// What is known when the texts are there.
fn report(
    config: &Config,
    tallies: Vec<Tally>,
    found: &duplicates::Outcome,
    sorted: &[rows::Outcome],
) -> Report {
    let mut sources: Vec<SourceReport> = config
        .sources
        .iter()
        .zip(tallies)
        .map(|(source, tally)| SourceReport {
            name: source.name.clone(),
            weight: source.weight,
            tally,
            ..SourceReport::default()
        })
        .collect();
    for (kind, by_source) in &found.documents {
        for (&source, &count) in by_source {
            sources[source as usize].duplicates.insert(kind.clone(), count);
        }
    }
    for outcome in sorted {
        for (&source, &(documents, bytes)) in &outcome.sources {
            let source = &mut sources[source as usize];
            (source.documents, source.bytes) = (source.documents + documents, source.bytes + bytes);
        }
        for (&source, &count) in &outcome.emptied {
            let kind = "every paragraph occurred before".to_owned();
            *sources[source as usize].duplicates.entry(kind).or_default() += count;
        }
    }
    Report {
        sources,
        duplicate_paragraphs: found.paragraphs,
        duplicate_samples: found.samples.clone(),
        ..Report::default()
    }
}

#[cfg(test)]
mod tests;
