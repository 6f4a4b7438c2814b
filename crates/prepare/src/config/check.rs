//! What no preparation can do: checks of a configuration as a whole.

use super::{Config, DatasetConfig, TokenizerConfig};

/// A block has to fit into memory many times, and its text into one Arrow column.
const LARGEST_BLOCK: u64 = 1 << 28;
/// The tokens of a sentence are counted in 16 bits, and a token is a byte at least, in most tokenizers.
const LARGEST_CHUNK: u32 = 64 << 10;
/// A document is held in memory several times while it is cleaned.
const LARGEST_DOCUMENT: u64 = 1 << 30;

/// Section, key, and what is wrong with it.
pub(super) type Wrong = (&'static str, &'static str, String);

pub(super) fn check(config: &Config) -> Result<(), Wrong> {
    sizes(&config.dataset)?;
    let confidence = config.clean.language_confidence;
    if !(0.0..=1.0).contains(&confidence) {
        return Err((
            "clean",
            "language_confidence",
            format!("is {confidence}; it must lie between 0 and 1"),
        ));
    }
    let duplicates = &config.duplicates;
    for (key, value, most) in [
        ("shingle_words", duplicates.shingle_words, 50),
        ("bands", duplicates.bands, 100),
        ("rows", duplicates.rows, 100),
    ] {
        if !(1..=most).contains(&value) {
            return Err(("duplicates", key, format!("is {value}; it must lie between 1 and {most}")));
        }
    }
    tokenizer(&config.tokenizer)?;
    sources(config)
}

fn sizes(dataset: &DatasetConfig) -> Result<(), Wrong> {
    let DatasetConfig { chunk_bytes, block_bytes, shard_bytes, max_document_bytes, .. } = *dataset;
    if !(64..=LARGEST_CHUNK).contains(&chunk_bytes) {
        let reason = format!("is {chunk_bytes}; it must lie between 64 and {LARGEST_CHUNK}");
        return Err(("dataset", "chunk_bytes", reason));
    }
    if !(u64::from(chunk_bytes)..=LARGEST_BLOCK).contains(&block_bytes) {
        let range = format!("dataset.chunk_bytes = {chunk_bytes} and {LARGEST_BLOCK}");
        return Err(("dataset", "block_bytes", format!("is {block_bytes}; it must lie between {range}")));
    }
    if shard_bytes < block_bytes {
        let reason = format!("is {shard_bytes}; it must be at least dataset.block_bytes = {block_bytes}");
        return Err(("dataset", "shard_bytes", reason));
    }
    if !(1..=LARGEST_DOCUMENT).contains(&max_document_bytes) {
        let reason = format!("is {max_document_bytes}; it must lie between 1 and {LARGEST_DOCUMENT}");
        return Err(("dataset", "max_document_bytes", reason));
    }
    Ok(())
}

fn tokenizer(tokenizer: &TokenizerConfig) -> Result<(), Wrong> {
    let no = |key, reason: &str| Err(("tokenizer", key, reason.to_owned()));
    match (tokenizer.files.is_empty(), tokenizer.kind, tokenizer.vocab_size) {
        (false, None, None) | (true, Some(_), Some(_)) => {}
        (false, ..) => return no("files", "and `kind` exclude each other; keep one"),
        (true, None, _) => return no("kind", "is missing; name one, or `files`"),
        (true, Some(_), None) => {
            return no("vocab_size", "is missing; large models take 30000 to 50000, small ones 8192");
        }
    }
    if tokenizer.train_bytes == 0 {
        return no("train_bytes", "must be at least 1");
    }
    Ok(())
}

/// Rows of tokens have 16 bits for the number of their source.
const MOST_SOURCES: usize = 1 << 16;
/// What runs accept.
const MOST_WEIGHT: f64 = corpus::Weights::MOST;

fn sources(config: &Config) -> Result<(), Wrong> {
    if config.sources.is_empty() {
        return Err(("source", "name", "is missing; a dataset needs at least one [[source]]".to_owned()));
    }
    if config.sources.len() > MOST_SOURCES {
        let reason = format!("stands at {} sources; there can be {MOST_SOURCES}", config.sources.len());
        return Err(("source", "name", reason));
    }
    for (index, source) in config.sources.iter().enumerate() {
        let name = &source.name;
        if name.is_empty() || config.sources[..index].iter().any(|other| other.name == *name) {
            let reason = format!("is `{name}`; every source needs a name of its own");
            return Err(("source", "name", reason));
        }
        if source.paths.is_empty() {
            let reason = format!("of `{name}` is empty; name files, folders or patterns");
            return Err(("source", "paths", reason));
        }
        if !(source.weight > 0.0 && source.weight <= MOST_WEIGHT) {
            let reason = format!(
                "of `{name}` is {}; it must be greater than 0, and {MOST_WEIGHT} at most: how often an epoch takes a document",
                source.weight
            );
            return Err(("source", "weight", reason));
        }
    }
    Ok(())
}
