//! Tokenizers apart from a preparation: from files, and trained on the texts of a dataset that is there.

use corpus::{CorpusError, WordCounts};
pub use corpus::{Encoder, Tokenizer, TokenizerKind, TrainSpec};
use store::Dataset;

use crate::{PrepareError, Progress};

/// Reads a tokenizer from its files, whatever kind they are of: `tokenizer.json`; `vocab.txt`; `vocab.json` and
/// `merges.txt`; `encoder.json`, `vocab.bpe` and `dict.txt`; or a SentencePiece `.model`.
///
/// # Errors
/// If a file cannot be read, or they are no tokenizer.
pub fn load(files: &[String], lowercase: Option<bool>) -> Result<Tokenizer, PrepareError> {
    let read = |name: &String| match std::fs::read(name) {
        Ok(bytes) => Ok((name.clone(), bytes)),
        Err(error) => Err(PrepareError::input(name, format!("the tokenizer cannot be read: {error}"))),
    };
    let read: Vec<(String, Vec<u8>)> = files.iter().map(read).collect::<Result<_, _>>()?;
    let named: Vec<(&str, &[u8])> =
        read.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    Tokenizer::import(&named, lowercase).map_err(wrong(files.join(", ")))
}

/// Trains a tokenizer on the first rows of a dataset, about `train_bytes` of them: they are a sample of it, since rows
/// are in random order.
///
/// # Errors
/// If the dataset cannot be read, or the vocabulary cannot be trained.
pub async fn train(
    dataset: &Dataset,
    spec: &TrainSpec,
    train_bytes: u64,
    progress: &dyn Progress,
) -> Result<Tokenizer, PrepareError> {
    progress.stage("count words", train_bytes.min(dataset.manifest().totals.bytes));
    let mut counts = WordCounts::default();
    let mut bytes = 0;
    for block in 0..dataset.blocks() {
        if bytes >= train_bytes {
            break;
        }
        for row in dataset.documents(block).await? {
            counts.add(&row.text);
            bytes += row.text.len() as u64;
            progress.advance(row.text.len() as u64);
        }
    }
    progress.stage("train tokenizer", 0);
    counts.train_as(*spec).map_err(wrong("--vocab-size".to_owned()))
}

fn wrong(place: String) -> impl FnOnce(CorpusError) -> PrepareError {
    move |source| PrepareError::Tokenizer { place, source }
}
