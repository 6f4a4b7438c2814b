//! The tokenizer: read from files, or trained on the first rows of the dataset, which are a sample of the corpus since
//! the rows are in random order. One task.

use corpus::{Tokenizer, TrainSpec, WordCounts};
use rayon::prelude::*;
use store::{FileEntry, ShardFile};
use xxhash_rust::xxh3::xxh3_128;

use super::Context;
use crate::{PrepareError, TokenizerConfig, tokenizer};

/// The version of the rules of training and importing: raised when the same settings give another tokenizer.
const RULES: u32 = 1;

/// A tokenizer as the configuration has it.
pub(crate) enum Source {
    /// It exists.
    Ready(Box<Tokenizer>),
    /// It is to be trained.
    Train(TrainSpec),
}

/// Reads what the configuration names. Also returns what identifies the settings.
pub(crate) fn source(config: &TokenizerConfig) -> Result<(Source, String), PrepareError> {
    let mut identity = format!("{RULES}");
    let source = match (config.kind, config.vocab_size) {
        (Some(kind), Some(vocab_size)) => {
            let spec = TrainSpec { kind, vocab_size, lowercase: config.lowercase.unwrap_or(false) };
            identity += &format!(" {spec:?} {}", config.train_bytes);
            Source::Train(spec)
        }
        _ => {
            let tokenizer = tokenizer::load(&config.files, config.lowercase)?;
            // The content of the files counts, wherever they lie.
            identity += &format!(" {}", tokenizer.hash());
            Source::Ready(Box::new(tokenizer))
        }
    };
    Ok((source, format!("{:032x}", xxh3_128(identity.as_bytes()))))
}

/// The tokenizer: trained, unless that is done, or it exists.
pub(crate) fn run(
    context: &Context,
    source: Source,
    identity: &str,
    docs: &[ShardFile],
    files: &[FileEntry],
) -> Result<Tokenizer, PrepareError> {
    let spec = match source {
        Source::Ready(tokenizer) => return Ok(*tokenizer),
        Source::Train(spec) => spec,
    };
    let name = format!("tokenizer-{identity}.json");
    let failed = |source| PrepareError::Tokenizer { place: "tokenizer.vocab_size".into(), source };
    if let Some(json) = context.work.find(&name)? {
        return Tokenizer::from_bytes(&json).map_err(|error| context.work.damaged(&name, error));
    }
    let counts = count(context, docs, files)?;
    context.progress.stage("train tokenizer", 0);
    let trained = context.pool(context.jobs)?.install(|| counts.train_as(spec)).map_err(failed)?;
    if trained.vocab_size() < spec.vocab_size {
        context.progress.message(&format!(
            "the text gave {} tokens only, tokenizer.vocab_size is {}",
            trained.vocab_size(),
            spec.vocab_size
        ));
    }
    // Whoever was first decides: training is deterministic, but programs of two versions may differ.
    let json = context.work.put_first(&name, trained.json().to_vec())?;
    Tokenizer::from_bytes(&json).map_err(failed)
}

/// Counts the words of the first rows.
fn count(context: &Context, docs: &[ShardFile], files: &[FileEntry]) -> Result<WordCounts, PrepareError> {
    let mut blocks = Vec::new();
    let mut bytes = 0;
    for (shard, file) in files.iter().enumerate() {
        for (group, block) in file.blocks.iter().enumerate() {
            if bytes < context.config.tokenizer.train_bytes {
                blocks.push((shard, group));
                bytes += block.bytes;
            }
        }
    }
    context.progress.stage("count words", bytes);
    let one_block = |&(shard, group): &(usize, usize)| {
        let rows = context.work.runtime().block_on(docs[shard].doc_rows(group))?;
        let mut counts = WordCounts::default();
        for row in &rows {
            counts.add(&row.text);
            context.progress.advance(row.text.len() as u64);
        }
        Ok::<_, PrepareError>(counts)
    };
    context.pool(context.jobs)?.install(|| {
        blocks.par_iter().with_max_len(1).map(one_block).try_reduce(WordCounts::default, |mut one, other| {
            one.merge(other);
            Ok(one)
        })
    })
}
