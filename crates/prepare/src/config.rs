//! The configuration of a preparation. A configuration that exists is valid; whether its inputs exist is found out
//! later.

use corpus::Paragraphs;
use plan::{ConfigError, toml_error, toml_line};
use serde::{Deserialize, Serialize};

/// Everything that decides what a dataset will be, and where it goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Place, seed and sizes.
    pub dataset: DatasetConfig,
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
    /// Decides the order of the rows, and which documents the tokenizer is trained on.
    #[serde(default)]
    pub seed: u64,
    /// The most tokens that a row may have; longer documents are cut at the ends of sentences.
    #[serde(default = "defaults::chunk_tokens")]
    pub chunk_tokens: u32,
    /// About how many tokens a block has: the unit of reading.
    #[serde(default = "defaults::block_tokens")]
    pub block_tokens: u64,
    /// About how many tokens a file has, at most.
    #[serde(default = "defaults::shard_tokens")]
    pub shard_tokens: u64,
}

/// `[tokenizer]`: either `file`, or `kind` and `vocab_size`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerConfig {
    /// A `tokenizer.json` that exists.
    #[serde(default)]
    pub file: Option<String>,
    /// What kind to train.
    #[serde(default)]
    pub kind: Option<TokenizerKind>,
    /// How many tokens to train, special ones included.
    #[serde(default)]
    pub vocab_size: Option<u32>,
    /// About how much text to train on; a sample of the documents if there is more.
    #[serde(default = "defaults::train_bytes")]
    pub train_bytes: u64,
}

/// A kind of tokenizer that can be trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerKind {
    /// GPT-2's and RoBERTa's.
    ByteLevelBpe,
}

/// `[[source]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Names the source; part of the identity of its documents.
    pub name: String,
    /// What its files are.
    pub format: Format,
    /// Files, folders, or patterns with `*`, `?` and `**`.
    pub paths: Vec<String>,
    /// The field that has the text, in JSON lines.
    #[serde(default = "defaults::text_field")]
    pub text_field: String,
    /// How paragraphs are marked.
    #[serde(default)]
    pub paragraphs: Paragraphs,
}

/// What the files of a source are. Gzip is recognised by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A document per file.
    Text,
    /// A document per line, as a JSON object.
    Jsonl,
}

mod defaults {
    pub fn chunk_tokens() -> u32 {
        8_192
    }
    pub fn block_tokens() -> u64 {
        1 << 20
    }
    pub fn shard_tokens() -> u64 {
        1 << 27
    }
    pub fn train_bytes() -> u64 {
        100_000_000
    }
    pub fn text_field() -> String {
        "text".to_owned()
    }
}

/// A block has to fit into memory many times, and its text into one Arrow column.
const LARGEST_BLOCK: u64 = 1 << 26;

/// Section, key, and what is wrong with it.
type Wrong = (&'static str, &'static str, String);

impl Config {
    /// Reads and checks a configuration; `source` names the text in messages.
    ///
    /// # Errors
    /// Whatever is wrong first, with file, line and key.
    pub fn parse(source: &str, text: &str) -> Result<Self, ConfigError> {
        let config: Config = toml::from_str(text).map_err(|error| toml_error(source, text, &error))?;
        config.check().map_err(|(section, key, reason)| {
            let place = match toml_line(text, section, key) {
                Some(line) => format!("{source}:{line}"),
                None => source.to_owned(),
            };
            ConfigError::Invalid { place, key: format!("{section}.{key}"), reason }
        })?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Wrong> {
        let no = |section, key, reason: &str| Err((section, key, reason.to_owned()));
        let DatasetConfig { chunk_tokens, block_tokens, shard_tokens, .. } = self.dataset;
        if !(8..=65_535).contains(&chunk_tokens) {
            let reason = format!("is {chunk_tokens}; it must lie between 8 and 65535");
            return Err(("dataset", "chunk_tokens", reason));
        }
        if !(u64::from(chunk_tokens)..=LARGEST_BLOCK).contains(&block_tokens) {
            let range = format!("dataset.chunk_tokens = {chunk_tokens} and {LARGEST_BLOCK}");
            let reason = format!("is {block_tokens}; it must lie between {range}");
            return Err(("dataset", "block_tokens", reason));
        }
        if shard_tokens < block_tokens {
            let reason =
                format!("is {shard_tokens}; it must be at least dataset.block_tokens = {block_tokens}");
            return Err(("dataset", "shard_tokens", reason));
        }
        let TokenizerConfig { file, kind, vocab_size, train_bytes } = &self.tokenizer;
        match (file, kind, vocab_size) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => {}
            (Some(_), ..) => return no("tokenizer", "file", "and `kind` exclude each other; keep one"),
            (None, None, _) => return no("tokenizer", "kind", "is missing; name one, or a `file`"),
            (None, Some(_), None) => {
                return no(
                    "tokenizer",
                    "vocab_size",
                    "is missing; large models take 30000 to 50000, small ones 8192",
                );
            }
        }
        if *train_bytes == 0 {
            return no("tokenizer", "train_bytes", "must be at least 1");
        }
        self.check_sources()
    }

    fn check_sources(&self) -> Result<(), Wrong> {
        if self.sources.is_empty() {
            return Err(("source", "name", "is missing; a dataset needs at least one [[source]]".to_owned()));
        }
        for (index, source) in self.sources.iter().enumerate() {
            let name = &source.name;
            if name.is_empty() || self.sources[..index].iter().any(|other| other.name == *name) {
                let reason = format!("is `{name}`; every source needs a name of its own");
                return Err(("source", "name", reason));
            }
            if source.paths.is_empty() {
                let reason = format!("of `{name}` is empty; name files, folders or patterns");
                return Err(("source", "paths", reason));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[dataset]
out = "data/test"
chunk_tokens = 64
[tokenizer]
kind = "byte-level-bpe"
vocab_size = 300
[[source]]
name = "a"
format = "text"
paths = ["a"]
"#;

    #[test]
    fn mistakes_name_file_line_key_and_remedy() {
        assert!(Config::parse("c.toml", TEXT).is_ok());
        let cases = [
            (
                "chunk_tokens",
                "chunk_token",
                "c.toml:4: unknown key `chunk_token`; did you mean `chunk_tokens`?",
            ),
            (
                "chunk_tokens = 64",
                "chunk_tokens = 4",
                "c.toml:4: `dataset.chunk_tokens` is 4; it must lie between 8 and 65535",
            ),
            ("format =", "fromat =", "c.toml:10: unknown key `fromat`; did you mean `format`?"),
            (
                "kind = \"byte-level-bpe\"",
                "file = \"t.json\"",
                "c.toml:6: `tokenizer.file` and `kind` exclude each other; keep one",
            ),
            (
                "paths = [\"a\"]",
                "paths = []",
                "`source.paths` of `a` is empty; name files, folders or patterns",
            ),
        ];
        for (from, to, expected) in cases {
            let message = Config::parse("c.toml", &TEXT.replace(from, to)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        let twice = format!("{TEXT}{}", &TEXT[TEXT.find("[[source]]").unwrap()..]);
        let message = Config::parse("c.toml", &twice).unwrap_err().to_string();
        assert!(message.contains("every source needs a name of its own"), "{message}");
    }

    #[test]
    fn the_example_is_valid() {
        let text = include_str!("../../../configs/corpus/books.toml");
        assert_eq!(Config::parse("books.toml", text).unwrap().sources.len(), 1);
    }
}
