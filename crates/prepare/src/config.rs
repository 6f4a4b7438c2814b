//! The configuration of a preparation. A configuration that exists is valid; whether its inputs exist is found out
//! later.

mod check;
#[cfg(test)]
mod tests;

use corpus::normal::Form;
use corpus::quality::Quality;
use corpus::wiki::WikiOptions;
use corpus::{Paragraphs, TokenizerKind};
use plan::{ConfigError, toml_error, toml_line};
use serde::{Deserialize, Serialize};

/// Everything that decides what a dataset will be, and where it goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Place, seed and sizes.
    pub dataset: DatasetConfig,
    /// What is made of a text before anybody judges it.
    #[serde(default)]
    pub clean: CleanConfig,
    /// Which documents are left out for what they look like; none without this section.
    #[serde(default)]
    pub quality: Option<Quality>,
    /// Which documents are left out because they are there already.
    #[serde(default)]
    pub duplicates: DuplicatesConfig,
    /// Which tokenizer, or how to train one.
    pub tokenizer: TokenizerConfig,
    /// Where the documents come from.
    #[serde(rename = "source", default)]
    pub sources: Vec<SourceConfig>,
}

/// `[dataset]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetConfig {
    /// Where the dataset goes: a path or URL.
    pub out: String,
    /// Decides the order of the rows.
    #[serde(default)]
    pub seed: u64,
    /// The most bytes of text that a row may have; longer documents are cut at the ends of sentences.
    #[serde(default = "defaults::chunk_bytes")]
    pub chunk_bytes: u32,
    /// About how many bytes of text a block has: the unit of reading.
    #[serde(default = "defaults::block_bytes")]
    pub block_bytes: u64,
    /// About how many bytes of text a file has, at most.
    #[serde(default = "defaults::shard_bytes")]
    pub shard_bytes: u64,
    /// Documents of more bytes than this are left out, and counted.
    #[serde(default = "defaults::max_document_bytes")]
    pub max_document_bytes: u64,
    /// What is done about inputs that are damaged.
    #[serde(default)]
    pub damaged: OnDamage,
}

/// What is done about files and records that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDamage {
    /// They are named and counted in the report; everything else is prepared.
    #[default]
    Count,
    /// The preparation ends at the first one.
    Refuse,
}

/// `[clean]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CleanConfig {
    /// The normalisation form of Unicode.
    pub unicode: Form,
    /// The languages that are kept, as ISO 639 codes (`en`, `de`); all if there are none.
    pub languages: Vec<String>,
    /// A language that is less certain than this counts as unknown.
    pub language_confidence: f32,
}

impl Default for CleanConfig {
    fn default() -> Self {
        CleanConfig { unicode: Form::Nfc, languages: Vec::new(), language_confidence: 0.5 }
    }
}

/// `[duplicates]`: of several documents that are the same, the first is kept, in the order of the sources in the
/// configuration, of the names of their files and of the places in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DuplicatesConfig {
    /// Leave out documents with the same clean text.
    pub exact: bool,
    /// Leave out documents that have most of their word n-grams in common (MinHash).
    pub near: bool,
    /// Leave out paragraphs that occurred before, in any document.
    pub paragraphs: bool,
    /// Shorter paragraphs are never left out for that.
    pub paragraph_min_bytes: u32,
    /// Words of an n-gram, for `near`.
    pub shingle_words: u32,
    /// Bands of a signature: documents that agree in one of them are near duplicates.
    pub bands: u32,
    /// Hashes of a band.
    pub rows: u32,
}

impl Default for DuplicatesConfig {
    fn default() -> Self {
        // n-grams, bands and rows: the defaults of datatrove, which FineWeb was made with.
        DuplicatesConfig {
            exact: true,
            near: false,
            paragraphs: false,
            paragraph_min_bytes: 200,
            shingle_words: 5,
            bands: 14,
            rows: 8,
        }
    }
}

/// `[tokenizer]`: either `files`, or `kind` and `vocab_size`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerConfig {
    /// A tokenizer that exists: `tokenizer.json`; `vocab.txt`; `vocab.json` and `merges.txt`; `encoder.json`,
    /// `vocab.bpe` and `dict.txt`; or a SentencePiece `.model`.
    #[serde(default)]
    pub files: Vec<String>,
    /// What kind to train.
    #[serde(default)]
    pub kind: Option<TokenizerKind>,
    /// How many tokens to train, special ones included.
    #[serde(default)]
    pub vocab_size: Option<u32>,
    /// Whether letters lose their case (WordPiece and Unigram).
    #[serde(default)]
    pub lowercase: Option<bool>,
    /// About how much text to train on; a sample of the rows if there is more.
    #[serde(default = "defaults::train_bytes")]
    pub train_bytes: u64,
}

/// `[[source]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Names the source; part of the identity of its documents.
    pub name: String,
    /// What its files are.
    pub format: Format,
    /// Files, folders, or patterns with `*`, `?` and `**`; paths, or URLs of an object store.
    pub paths: Vec<String>,
    /// How often an epoch takes its documents, if the run does not say otherwise: 2 for twice, 0.5 for each second one.
    #[serde(default = "defaults::weight")]
    pub weight: f64,
    /// Whether `[quality]` applies to it.
    #[serde(default = "defaults::yes")]
    pub quality: bool,
    /// The field or column that has the text, in JSON lines and Parquet.
    #[serde(default = "defaults::text_field")]
    pub text_field: String,
    /// How paragraphs are marked, in texts.
    #[serde(default)]
    pub paragraphs: Paragraphs,
    /// What is kept of a wiki page besides its paragraphs.
    #[serde(default)]
    pub wiki: WikiOptions,
}

/// What the files of a source are. Compression (gzip, bzip2, zstd) is recognised by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A document per file.
    Text,
    /// A book per file: as `text`, without the headers, licences and page furniture of Project Gutenberg.
    Book,
    /// A document per line, as a JSON object.
    Jsonl,
    /// A document per row.
    Parquet,
    /// A MediaWiki XML dump.
    Wikipedia,
    /// A WARC or ARC archive of web pages, or Common Crawl's extracted texts (WET).
    Warc,
}

mod defaults {
    pub fn chunk_bytes() -> u32 {
        32 << 10
    }
    pub fn block_bytes() -> u64 {
        4 << 20
    }
    pub fn shard_bytes() -> u64 {
        256 << 20
    }
    pub fn max_document_bytes() -> u64 {
        64 << 20
    }
    pub fn train_bytes() -> u64 {
        100_000_000
    }
    pub fn text_field() -> String {
        "text".to_owned()
    }
    pub fn weight() -> f64 {
        1.0
    }
    pub fn yes() -> bool {
        true
    }
}

impl Config {
    /// Reads and checks a configuration; `source` names the text in messages.
    ///
    /// # Errors
    /// Whatever is wrong first, with file, line and key.
    pub fn parse(source: &str, text: &str) -> Result<Self, ConfigError> {
        let config: Config = toml::from_str(text).map_err(|error| toml_error(source, text, &error))?;
        check::check(&config).map_err(|(section, key, reason)| {
            let place = match toml_line(text, section, key) {
                Some(line) => format!("{source}:{line}"),
                None => source.to_owned(),
            };
            ConfigError::Invalid { place, key: format!("{section}.{key}"), reason }
        })?;
        Ok(config)
    }
}
