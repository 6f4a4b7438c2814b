//! The tokenizer of a dataset: what stands in its `tokenizer.json`, and how to import or train one. Wraps `tokenizers`,
//! whose types do not leave this folder. Knows nothing of where the file lies.

mod dress;
mod encoder;
pub mod import;
mod pieces;
mod plain;
mod train;
mod vocabulary;

pub use encoder::Encoder;
pub use train::{TrainSpec, WordCounts, train_byte_level_bpe};
pub use vocabulary::{Specials, Vocabulary};

use serde::{Deserialize, Serialize};
use tokenizers::models::ModelWrapper;
use xxhash_rust::xxh3::xxh3_128;

use crate::CorpusError;
use plain::Plain;

/// What kind of model cuts words into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerKind {
    /// BERT's, ELECTRA's and SpanBERT's: the longest tokens first.
    WordPiece,
    /// GPT-2's and RoBERTa's: pairs of bytes, merged in the order in which they were learnt.
    ByteLevelBpe,
    /// ALBERT's: the most likely tokens.
    Unigram,
}

/// A tokenizer, as its `tokenizer.json` says. Text never becomes a special token, whatever it says.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    plain: Plain,
    kind: TokenizerKind,
    json: Vec<u8>,
    hash: String,
    vocabulary: Vocabulary,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// [`CorpusError::Tokenizer`] if it is none, if its model is of another kind, if a special token is missing, or if
    /// encoding is random.
    pub fn from_bytes(json: &[u8]) -> Result<Self, CorpusError> {
        let mut inner = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|error| CorpusError::Tokenizer(format!("it is not a tokenizer.json: {error}")))?;
        let kind = match inner.get_model() {
            ModelWrapper::WordPiece(_) => TokenizerKind::WordPiece,
            ModelWrapper::Unigram(model) if model.alpha.is_none_or(|alpha| alpha == 0.0) => {
                TokenizerKind::Unigram
            }
            ModelWrapper::BPE(model) if model.dropout.is_none_or(|dropout| dropout == 0.0) => {
                TokenizerKind::ByteLevelBpe
            }
            ModelWrapper::WordLevel(_) => {
                let reason =
                    "its model is WordLevel; WordPiece, byte-level BPE and Unigram can be used".into();
                return Err(CorpusError::Tokenizer(reason));
            }
            _ => {
                let reason = "its dropout makes ids random; set model.dropout to null".into();
                return Err(CorpusError::Tokenizer(reason));
            }
        };
        inner.set_encode_special_tokens(true);
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| CorpusError::Tokenizer(error.to_string()))?;
        let vocabulary = Vocabulary::of(&inner, kind)?;
        let hash = format!("{:032x}", xxh3_128(json));
        let plain = Plain::new(inner, vocabulary.specials, kind);
        Ok(Tokenizer { plain, kind, json: json.to_vec(), hash, vocabulary })
    }

    /// The tokenizer that some published files are, by their names: see [`import::files`].
    ///
    /// # Errors
    /// [`CorpusError::Tokenizer`] if the names say nothing, or the files are damaged.
    pub fn import(files: &[(&str, &[u8])], lowercase: Option<bool>) -> Result<Self, CorpusError> {
        import::files(files, lowercase)
    }

    /// What kind of model it has.
    pub fn kind(&self) -> TokenizerKind {
        self.kind
    }

    /// The `tokenizer.json`, byte for byte as it was read or trained.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// The identity of the tokenizer: the XXH3-128 of its json, in hexadecimal digits.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// How many ids there are, special ones included.
    pub fn vocab_size(&self) -> u32 {
        self.vocabulary.size
    }

    /// The ids of the special tokens.
    pub fn specials(&self) -> Specials {
        self.vocabulary.specials
    }

    /// What the model families need to know of the vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The tokens of a text, without special tokens. For much text, take an [`Tokenizer::encoder`].
    ///
    /// The tokens of a clean text's sentences, which begin with their white space, are those of the text. Behind "。" and
    /// the like, sentences end without white space: there, a Unigram model begins a word that the text has not, and a
    /// byte-level BPE cuts between signs that the text may have in one token.
    pub fn encode_sentence(&self, text: &str) -> Vec<u32> {
        self.plain.encode(text)
    }

    /// An encoder with a memory of its own: one per thread.
    pub fn encoder(&self) -> Encoder {
        Encoder::new(&self.plain)
    }

    /// The text of some tokens, special ones included.
    pub fn decode(&self, ids: &[u32]) -> String {
        // A decoder fails on nothing but a broken `tokenizer.json`; text for people may then be empty.
        self.plain.inner().decode(ids, false).unwrap_or_default()
    }

    /// Whether a word begins with this token.
    pub fn word_start(&self, id: u32) -> bool {
        self.vocabulary.word_start(id)
    }

    /// The token as the vocabulary spells it.
    pub fn token(&self, id: u32) -> Option<String> {
        self.plain.inner().id_to_token(id)
    }

    /// The id of a token as the vocabulary spells it.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.plain.inner().token_to_id(token)
    }
}

#[cfg(test)]
pub(crate) mod tests;
