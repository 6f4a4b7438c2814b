//! The tokenizer of a dataset: read from a file, or trained on a sample of the documents that depends on their names
//! only. Knows nothing of what is tokenised with it.

use corpus::{Document, Tokenizer, WordCounts, clean};
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::input::Input;
use crate::reader::{Found, read};
use crate::{Config, PrepareError, Progress};

/// What English text shrinks to in gzip, roughly: only decides how large the sample is.
const GZIP_RATIO: u64 = 3;

/// The tokenizer that the configuration names or describes.
pub(crate) fn tokenizer(
    config: &Config,
    inputs: &[Input],
    progress: &dyn Progress,
) -> Result<Tokenizer, PrepareError> {
    if let Some(file) = &config.tokenizer.file {
        let json = std::fs::read(file).map_err(|error| {
            PrepareError::input(
                file,
                format!("the tokenizer cannot be read ({error}); correct tokenizer.file"),
            )
        })?;
        return Tokenizer::from_bytes(&json)
            .map_err(|source| PrepareError::Tokenizer { place: file.clone(), source });
    }
    let all: u64 = inputs.iter().map(text_bytes).sum();
    let share = config.tokenizer.train_bytes as f64 / all.max(1) as f64;
    let mut counts = count(config, inputs, share, progress)?;
    if counts == WordCounts::default() && share < 1.0 {
        // A few large documents, none of which was drawn.
        counts = count(config, inputs, 1.0, progress)?;
    }
    progress.stage("train tokenizer", 0);
    let vocab_size = config.tokenizer.vocab_size.unwrap_or_default();
    let trained = counts
        .train(vocab_size)
        .map_err(|source| PrepareError::Tokenizer { place: "tokenizer.vocab_size".into(), source })?;
    if trained.vocab_size() < vocab_size {
        progress.message(&format!(
            "the text gave {} tokens only, tokenizer.vocab_size is {vocab_size}",
            trained.vocab_size()
        ));
    }
    Ok(trained)
}

fn text_bytes(input: &Input) -> u64 {
    if input.key.ends_with(".gz") { GZIP_RATIO * input.size } else { input.size }
}

/// Counts the words of a share of the documents.
fn count(
    config: &Config,
    inputs: &[Input],
    share: f64,
    progress: &dyn Progress,
) -> Result<WordCounts, PrepareError> {
    progress.stage("count words", inputs.iter().map(|input| input.size).sum());
    let below = (share * u64::MAX as f64) as u64;
    let seed = config.dataset.seed;
    let drawn = |document: &Document| share >= 1.0 || xxh3_64_with_seed(&document.doc_id(), seed) < below;
    inputs
        .par_iter()
        .with_max_len(1)
        .map(|input| {
            let source = &config.sources[input.source];
            let mut counts = WordCounts::default();
            read(input, source, progress, &drawn, &mut |found| {
                if let Found::Document(document, _) = found {
                    counts.add(&clean(&document.text, source.paragraphs));
                }
                Ok(())
            })?;
            Ok(counts)
        })
        .try_reduce(WordCounts::default, |mut one, other| {
            one.merge(other);
            Ok(one)
        })
}
