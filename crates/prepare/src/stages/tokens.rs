//! Last stage: texts to token ids, one task per shard. The rows stay where they are, so that several tokenizers can share
//! one table of texts.

use std::sync::{Mutex, PoisonError};

use corpus::{DocRow, Encoder, TokenRow, Tokenizer, tokenise};
use rayon::prelude::*;
use store::{DatasetWriter, FileEntry, ShardFile, TokensEncoder};

use super::{Context, Stage, Waiting};
use crate::PrepareError;

/// Blocks that are tokenised at a time, per thread.
const AHEAD: usize = 2;

/// Where the outcomes of a tokenizer are kept.
pub(crate) fn folder(tokenizer: &Tokenizer) -> String {
    format!("tokens-{}", tokenizer.hash())
}

fn outcome_name(tokenizer: &Tokenizer, shard: usize) -> String {
    format!("{}/{shard:05}.json", folder(tokenizer))
}

pub(crate) fn run(
    context: &Context,
    writer: &DatasetWriter,
    tokenizer: &Tokenizer,
    docs: &[ShardFile],
    files: &[FileEntry],
) -> Result<Option<Waiting>, PrepareError> {
    let largest = files.iter().map(|file| file.bytes).max().unwrap_or(0);
    let blocks = files.iter().flat_map(|file| &file.blocks).map(|block| block.bytes).max().unwrap_or(0);
    let stage = Stage {
        name: "tokenize",
        folder: &folder(tokenizer),
        tasks: files.len(),
        // A file of ids has about half the bytes of its text; a block is there as text, as rows and as ids.
        memory: largest / 2 + 6 * blocks * (AHEAD * context.jobs) as u64,
    };
    // An encoder gets faster with what it has seen, so it outlives the shard that it was made for.
    let encoders = Encoders { tokenizer, idle: Mutex::default() };
    context.run(
        &stage,
        |shard| files[shard].bytes,
        |shard| one_shard(context, writer, &encoders, &docs[shard], shard),
    )
}

struct Encoders<'a> {
    tokenizer: &'a Tokenizer,
    idle: Mutex<Vec<Encoder>>,
}

impl Encoders<'_> {
    fn with<T>(&self, work: impl FnOnce(&mut Encoder) -> T) -> T {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut encoder = idle.unwrap_or_else(|| self.tokenizer.encoder());
        let done = work(&mut encoder);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(encoder);
        done
    }
}

fn one_shard(
    context: &Context,
    writer: &DatasetWriter,
    encoders: &Encoders,
    docs: &ShardFile,
    shard: usize,
) -> Result<(), PrepareError> {
    let tokenizer = encoders.tokenizer;
    let unk = tokenizer.specials().unk;
    let runtime = context.work.runtime();
    let sources = &context.config.sources;
    // There are 2^16 at most: see the configuration's checks.
    let number =
        |name: &str| sources.iter().position(|source| source.name == name).unwrap_or_default() as u16;
    let one_block = |group: &usize| {
        let rows = runtime.block_on(docs.doc_rows(*group))?;
        Ok::<Vec<TokenRow>, PrepareError>(encoders.with(|encoder| {
            let tokenised = |row: &DocRow| {
                let tokens = tokenise(row, number(&row.source), encoder, unk);
                context.progress.advance(row.text.len() as u64);
                tokens
            };
            rows.iter().map(tokenised).collect()
        }))
    };
    let mut encoder = TokensEncoder::new(tokenizer.vocab_size())?;
    let groups: Vec<usize> = (0..docs.blocks()).collect();
    for some in groups.chunks(AHEAD * context.jobs) {
        let tokenised: Result<Vec<_>, _> = some.par_iter().with_max_len(1).map(one_block).collect();
        for rows in tokenised? {
            encoder.push_block(&rows)?;
        }
    }
    let file = runtime.block_on(writer.put_tokens(tokenizer, shard, encoder.finish()?))?;
    context.work.put_json(&outcome_name(tokenizer, shard), &file)
}

/// The entries of all shards.
pub(crate) fn outcomes(
    context: &Context,
    tokenizer: &Tokenizer,
    shards: usize,
) -> Result<Vec<FileEntry>, PrepareError> {
    (0..shards).map(|shard| context.work.get_json(&outcome_name(tokenizer, shard))).collect()
}
