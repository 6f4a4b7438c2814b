//! What stands in a dataset's `manifest.json`. Knows nothing of how it is read or written.

use std::collections::BTreeMap;

use corpus::Vocabulary;
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// The version of the format that this program reads and writes.
pub(super) const VERSION: u32 = 3;

/// A dataset's table of contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the format.
    pub version: u32,
    /// The dataset's identity: a hash over the checksums of all files.
    pub hash: String,
    /// The identity of its texts alone, whatever tokenizer they were encoded with.
    pub docs_hash: String,
    /// A hash of the configuration and the list of inputs that the texts were made of.
    pub recipe: String,
    /// The seed of the order of rows.
    pub seed: u64,
    /// The most bytes of text that a row may have.
    pub chunk_bytes: u32,
    /// About how many bytes of text a block has.
    pub block_bytes: u64,
    /// The tokenizer that made the ids.
    pub tokenizer: Tokenizer,
    /// Sums over everything.
    pub totals: Totals,
    /// Where the documents came from.
    pub sources: Vec<Source>,
    /// How many documents were left out, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// The files of texts.
    pub docs: Vec<File>,
    /// The files of token ids: as many, with the same rows in the same blocks.
    pub shards: Vec<File>,
}

/// The tokenizer of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokenizer {
    /// The XXH3-128 of its file.
    pub hash: String,
    /// Its `tokenizer.json`, relative to the dataset.
    pub file: String,
    /// A hash of the settings that it was read or trained with.
    #[serde(default)]
    pub recipe: String,
    /// Size, special tokens and word beginnings.
    pub vocabulary: Vocabulary,
}

/// Sums over a dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Documents.
    pub documents: u64,
    /// Rows: chunks of documents.
    pub rows: u64,
    /// Token ids.
    pub tokens: u64,
    /// Bytes of clean text.
    pub bytes: u64,
    /// Blocks.
    pub blocks: u64,
}

/// What one source gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Its name in the configuration.
    pub name: String,
    /// Documents that were taken.
    pub documents: u64,
    /// Their bytes of clean text.
    pub bytes: u64,
    /// How often an epoch takes its documents, if a run does not say otherwise.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

/// One Parquet file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Relative to the dataset.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// The checksum of all of it.
    pub xxh3: String,
    /// Rows in all blocks.
    pub rows: u64,
    /// Bytes of text in all blocks; 0 in files of tokens.
    #[serde(default)]
    pub bytes: u64,
    /// Tokens in all blocks; 0 in files of texts.
    #[serde(default)]
    pub tokens: u64,
    /// Where Parquet keeps its own table of contents.
    pub footer: Span,
    /// The row groups.
    pub blocks: Vec<Block>,
}

/// Some bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first byte.
    pub offset: u64,
    /// How many.
    pub len: u64,
    /// Their checksum.
    pub xxh3: String,
}

/// One row group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Where it lies.
    #[serde(flatten)]
    pub span: Span,
    /// Its rows.
    pub rows: u64,
    /// The bytes of its rows' text; 0 in files of tokens.
    #[serde(default)]
    pub bytes: u64,
    /// The tokens of its rows; 0 in files of texts.
    #[serde(default)]
    pub tokens: u64,
    /// Where everything but its ids lies, which is all that packing needs; absent in files of texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Span>,
}

impl Manifest {
    /// Reads a manifest; `place` names it in messages.
    pub(super) fn parse(place: &str, bytes: &[u8]) -> Result<Self, StoreError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let damaged = |reason: String| StoreError::Damaged { place: place.to_owned(), reason };
        // The version first: another one may have other fields.
        let Version { version } = serde_json::from_slice(bytes)
            .map_err(|error| damaged(format!("it is not a dataset's manifest: {error}")))?;
        if version != VERSION {
            return Err(StoreError::Invalid(format!(
                "{place} is of format version {version}, this program reads {VERSION}; prepare the dataset again"
            )));
        }
        let manifest: Manifest = serde_json::from_slice(bytes)
            .map_err(|error| damaged(format!("it is not a dataset's manifest: {error}")))?;
        if manifest.shards.len() != manifest.docs.len() {
            let (shards, docs) = (manifest.shards.len(), manifest.docs.len());
            return Err(damaged(format!("it lists {shards} files of tokens, but {docs} of texts")));
        }
        let blocks = |files: &[File]| -> Vec<Vec<u64>> {
            files.iter().map(|file| file.blocks.iter().map(|block| block.rows).collect()).collect()
        };
        if blocks(&manifest.shards) != blocks(&manifest.docs) {
            return Err(damaged("its files of tokens and of texts have different blocks".into()));
        }
        Ok(manifest)
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("a manifest is made of strings and numbers");
        json.push(b'\n');
        json
    }
}
