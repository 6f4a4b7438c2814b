//! The stages of a preparation, one after the other. What is written depends on the configuration and the inputs
//! only; threads decide nothing but how long it takes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use corpus::{Chunk, Document, Encoder, Row, Tokenizer, chunks, clean, tokenise};
use rayon::prelude::*;
use serde::Serialize;
use store::{
    Dataset, DatasetWriter, Draft, FileEntry, Location, Manifest, ShardEncoder, SourceEntry, StoreError,
};
use tokio::runtime::{Handle, Runtime};
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use crate::input::{self, Input};
use crate::reader::{Found, read};
use crate::spill::{BUCKET_BITS, Spill};
use crate::train;
use crate::{Config, PrepareError, Progress};

/// The version of the rules of reading, cleaning, splitting and cutting: raised when the same inputs give other rows.
const RULES: u32 = 1;

/// What does not change the result.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the dataset goes instead of `dataset.out`.
    pub out: Option<String>,
    /// Threads; all cores if not given.
    pub jobs: Option<usize>,
}

/// What a preparation has made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Where the dataset is.
    pub out: String,
    /// Its identity.
    pub dataset: String,
    /// The identity of its tokenizer.
    pub tokenizer: String,
    /// How many tokens the tokenizer has.
    pub vocab_size: u32,
    /// Whether it was there already, and nothing had to be done.
    pub already_there: bool,
    /// Documents that were taken.
    pub documents: u64,
    /// Rows that they became.
    pub chunks: u64,
    /// Tokens in all rows.
    pub tokens: u64,
    /// Bytes of clean text.
    pub bytes: u64,
    /// Blocks: the most lanes that can read at a time.
    pub blocks: u64,
    /// Documents that were left out, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// How long it took.
    pub seconds: f64,
}

impl Report {
    fn new(out: String, manifest: &Manifest, already_there: bool, start: Instant) -> Self {
        let totals = manifest.totals;
        Report {
            out,
            dataset: manifest.hash.clone(),
            tokenizer: manifest.tokenizer.hash.clone(),
            vocab_size: manifest.tokenizer.vocabulary.size,
            already_there,
            documents: totals.documents,
            chunks: totals.rows,
            tokens: totals.tokens,
            bytes: totals.bytes,
            blocks: totals.blocks,
            dropped: manifest.dropped.clone(),
            seconds: start.elapsed().as_secs_f64(),
        }
    }
}

/// Makes the dataset, unless it is there already. Blocks, so it must not be called on a thread of an async runtime:
/// there, wrap it in `spawn_blocking`.
///
/// # Errors
/// See [`PrepareError`]; nothing that was written by a preparation that failed is taken for a dataset.
pub fn run(config: &Config, options: &Options, progress: &dyn Progress) -> Result<Report, PrepareError> {
    let start = Instant::now();
    let out = options.out.clone().unwrap_or_else(|| config.dataset.out.clone());
    let failed = |error: &dyn std::fmt::Display| {
        PrepareError::Store(StoreError::io(out.clone(), format!("no threads: {error}")))
    };
    let runtime = Runtime::new().map_err(|error| failed(&error))?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.jobs.unwrap_or(0))
        .build()
        .map_err(|error| failed(&error))?;
    let inputs = input::list(config)?;
    let recipe = recipe(config, &inputs)?;
    let at = Location::open(&out)?;
    if let Some(manifest) = existing(&at, &out, &recipe, runtime.handle())? {
        progress.message(&format!("{out} is there already, made from this configuration and these inputs"));
        return Ok(Report::new(out, &manifest, true, start));
    }
    let manifest = pool.install(|| {
        let tokenizer = train::tokenizer(config, &inputs, progress)?;
        let spill = Spill::new(&spill_parent(&out))?;
        let counts = tokenise_all(config, &inputs, &tokenizer, &spill, progress)?;
        check_sources(config, &counts)?;
        let writer = runtime.block_on(DatasetWriter::begin(at.clone(), &tokenizer))?;
        let shards = write_shards(config, &counts, &tokenizer, &spill, &writer, runtime.handle(), progress)?;
        let sources = config.sources.iter().zip(&counts.sources);
        let draft = Draft {
            recipe,
            seed: config.dataset.seed,
            chunk_tokens: config.dataset.chunk_tokens,
            block_tokens: config.dataset.block_tokens,
            sources: sources
                .map(|(source, &(documents, bytes))| SourceEntry {
                    name: source.name.clone(),
                    documents,
                    bytes,
                })
                .collect(),
            dropped: counts.dropped.clone(),
        };
        if counts.converted > 0 {
            let count = counts.converted;
            progress.message(&format!("{count} documents were not UTF-8 and were taken for Windows-1252"));
        }
        Ok::<_, PrepareError>(runtime.block_on(writer.commit(draft, shards))?)
    })?;
    Ok(Report::new(out, &manifest, false, start))
}

/// A hash of all that decides the result: settings, and the names and sizes of the inputs.
fn recipe(config: &Config, inputs: &[Input]) -> Result<String, PrepareError> {
    let mut settings = config.clone();
    settings.dataset.out.clear();
    settings.sources.iter_mut().for_each(|source| source.paths.clear());
    if let Some(file) = settings.tokenizer.file.take() {
        // Its content counts, wherever it lies; that it can be read is found out when it is needed.
        let content = std::fs::read(&file).unwrap_or_default();
        settings.tokenizer.file = Some(format!("{:032x}", xxh3_128(&content)));
    }
    let mut text = serde_json::to_string(&settings).expect("a configuration is made of strings and numbers");
    text += &format!(" {RULES}");
    for input in inputs {
        text += &format!("\n{} {} {}", input.source, input.size, input.key);
    }
    Ok(format!("{:032x}", xxh3_128(text.as_bytes())))
}

/// The manifest of the dataset that is at `at`, if it is this one.
fn existing(
    at: &Location,
    out: &str,
    recipe: &str,
    runtime: &Handle,
) -> Result<Option<Manifest>, PrepareError> {
    match runtime.block_on(Dataset::open_at(at.clone())) {
        Ok(dataset) if dataset.manifest().recipe == recipe => Ok(Some(dataset.manifest().clone())),
        Ok(_) => Err(PrepareError::input(
            out,
            "a dataset made from another configuration or other inputs is there; remove it, or choose another --out",
        )),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Rows wait inside the dataset's folder, where there is room for them; for other storage, in the system's temporary
/// folder.
fn spill_parent(out: &str) -> PathBuf {
    let folder = PathBuf::from(out.strip_prefix("file://").unwrap_or(out));
    if folder.is_dir() { folder } else { std::env::temp_dir() }
}

/// What the tokenising stage has seen. Sums only, so the order in which they are added does not matter.
#[derive(Clone, Debug, Default)]
struct Counts {
    /// Documents and bytes of each source.
    sources: Vec<(u64, u64)>,
    tokens: u64,
    dropped: BTreeMap<String, u64>,
    converted: u64,
}

impl Counts {
    fn new(sources: usize) -> Self {
        Counts { sources: vec![(0, 0); sources], ..Counts::default() }
    }

    fn drop_one(&mut self, reason: &str) {
        *self.dropped.entry(reason.to_owned()).or_default() += 1;
    }

    fn merged(mut self, other: Counts) -> Self {
        for (sum, more) in self.sources.iter_mut().zip(other.sources) {
            *sum = (sum.0 + more.0, sum.1 + more.1);
        }
        for (reason, count) in other.dropped {
            *self.dropped.entry(reason).or_default() += count;
        }
        self.tokens += other.tokens;
        self.converted += other.converted;
        self
    }
}

/// Reads, cleans and tokenises all files, and spills their chunks.
fn tokenise_all(
    config: &Config,
    inputs: &[Input],
    tokenizer: &Tokenizer,
    spill: &Spill,
    progress: &dyn Progress,
) -> Result<Counts, PrepareError> {
    progress.stage("tokenize", inputs.iter().map(|input| input.size).sum());
    let empty = || Counts::new(config.sources.len());
    // An encoder gets faster with what it has seen, so it outlives the file that it was made for.
    let encoders: Mutex<Vec<Encoder>> = Mutex::default();
    let one_file = |input: &Input| {
        let pooled = encoders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut encoder = pooled.unwrap_or_else(|| tokenizer.encoder());
        let mut counts = empty();
        let source = &config.sources[input.source];
        read(input, source, progress, &|_| true, &mut |found| {
            let document = match found {
                Found::Dropped(reason) => {
                    counts.drop_one(reason);
                    return Ok(());
                }
                Found::Document(document, converted) => {
                    counts.converted += u64::from(converted);
                    document
                }
            };
            let text = clean(&document.text, source.paragraphs);
            let rows = rows(config, &document, &text, tokenizer, &mut encoder);
            if rows.is_empty() {
                counts.drop_one("document without text");
                return Ok(());
            }
            let (documents, bytes) = &mut counts.sources[input.source];
            (*documents, *bytes) = (*documents + 1, *bytes + text.len() as u64);
            for (key, row) in rows {
                counts.tokens += row.ids.len() as u64;
                spill.push(key, &row)?;
            }
            Ok(())
        })?;
        encoders.lock().unwrap_or_else(PoisonError::into_inner).push(encoder);
        Ok(counts)
    };
    inputs.par_iter().with_max_len(1).map(one_file).try_reduce(empty, |one, other| Ok(one.merged(other)))
}

/// The rows of a document, each with the key of its place in the dataset.
fn rows(
    config: &Config,
    document: &Document,
    text: &str,
    tokenizer: &Tokenizer,
    encoder: &mut Encoder,
) -> Vec<(u128, Row)> {
    let chunk_tokens = config.dataset.chunk_tokens;
    let limit = u16::try_from(chunk_tokens).unwrap_or(u16::MAX);
    let tokenised = tokenise(text, encoder, limit);
    let doc_id = document.doc_id();
    let row = |(index, chunk): (usize, Chunk)| {
        let index = index as u32;
        let name = [&doc_id[..], &index.to_le_bytes()].concat();
        let key = xxh3_128_with_seed(&name, config.dataset.seed);
        let row = Row {
            doc_id,
            chunk: index,
            source: document.source.clone(),
            key: document.key.clone(),
            title: document.title.clone(),
            url: document.url.clone(),
            text: text[chunk.text].to_owned(),
            ids: tokenised.ids[chunk.ids].to_vec(),
            sent_len: chunk.sent_len,
            flags: chunk.flags,
        };
        (key, row)
    };
    let chunks = chunks(&tokenised, chunk_tokens as usize, tokenizer.specials().unk);
    chunks.into_iter().enumerate().map(row).collect()
}

/// A source without a single document is a mistake in its configuration.
fn check_sources(config: &Config, counts: &Counts) -> Result<(), PrepareError> {
    for (source, &(documents, _)) in config.sources.iter().zip(&counts.sources) {
        if documents == 0 {
            let why: Vec<String> =
                counts.dropped.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
            let reason =
                format!("no document of it has text ({}); correct its format or text_field", why.join(", "));
            return Err(PrepareError::input(format!("source `{}`", source.name), reason));
        }
    }
    Ok(())
}

/// Sorts the buckets and writes the shards. A shard is the rows whose keys have the same leading bits.
fn write_shards(
    config: &Config,
    counts: &Counts,
    tokenizer: &Tokenizer,
    spill: &Spill,
    writer: &DatasetWriter,
    runtime: &Handle,
    progress: &dyn Progress,
) -> Result<Vec<(FileEntry, FileEntry, u64)>, PrepareError> {
    progress.stage("write", counts.sources.iter().map(|(_, bytes)| bytes).sum());
    let shard_bits = counts.tokens.div_ceil(config.dataset.shard_tokens).next_power_of_two().trailing_zeros();
    // Threads take whole groups: many buckets that make one shard, or one bucket that makes many.
    let group_bits = shard_bits.min(BUCKET_BITS);
    let (buckets, shards) = (1usize << (BUCKET_BITS - group_bits), 1usize << (shard_bits - group_bits));
    let one_group = |group: usize| {
        let encoder = || ShardEncoder::new(tokenizer.vocab_size(), config.dataset.block_tokens);
        let mut written = Vec::with_capacity(shards);
        let mut open = encoder()?;
        let close =
            |open: ShardEncoder, index: usize| runtime.block_on(writer.put_shard(index, open.finish()?));
        for bucket in group * buckets..(group + 1) * buckets {
            for (key, row) in spill.take(bucket)? {
                let shard = key.checked_shr(u128::BITS - shard_bits).unwrap_or(0) as usize;
                while group * shards + written.len() < shard {
                    let full = std::mem::replace(&mut open, encoder()?);
                    written.push(close(full, group * shards + written.len())?);
                }
                progress.advance(row.text.len() as u64);
                open.push(row)?;
            }
        }
        while written.len() < shards {
            let full = std::mem::replace(&mut open, encoder()?);
            written.push(close(full, group * shards + written.len())?);
        }
        Ok::<_, PrepareError>(written)
    };
    let groups: Vec<usize> = (0..1 << group_bits).collect();
    let written = groups.par_iter().with_max_len(1).map(|&group| one_group(group));
    Ok(written.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests;
