//! The tokenizer of a dataset: what stands in its `tokenizer.json`, and how to train one. Wraps `tokenizers`, whose
//! types do not leave this file. Knows nothing of where the file lies.

mod encoder;
mod train;
mod vocabulary;

pub use encoder::Encoder;
pub use train::{WordCounts, train_byte_level_bpe};
pub use vocabulary::{Specials, Vocabulary};

use tokenizers::models::ModelWrapper;
use xxhash_rust::xxh3::xxh3_128;

use crate::CorpusError;

/// A tokenizer, as its `tokenizer.json` says. Text never becomes a special token, whatever it says.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    json: Vec<u8>,
    hash: String,
    vocabulary: Vocabulary,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// [`CorpusError::Tokenizer`] if it is none, if a special token is missing, or if encoding is random.
    pub fn from_bytes(json: &[u8]) -> Result<Self, CorpusError> {
        let mut inner = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|error| CorpusError::Tokenizer(format!("it is not a tokenizer.json: {error}")))?;
        if let ModelWrapper::BPE(model) = inner.get_model()
            && model.dropout.is_some_and(|dropout| dropout > 0.0)
        {
            let reason = "its dropout makes ids random; set model.dropout to null".into();
            return Err(CorpusError::Tokenizer(reason));
        }
        inner.set_encode_special_tokens(true);
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| CorpusError::Tokenizer(error.to_string()))?;
        let vocabulary = Vocabulary::of(&inner)?;
        let hash = format!("{:032x}", xxh3_128(json));
        Ok(Tokenizer { inner, json: json.to_vec(), hash, vocabulary })
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
    pub fn encode_sentence(&self, text: &str) -> Vec<u32> {
        encoder::plain(&self.inner, text)
    }

    /// An encoder with a memory of its own: one per thread.
    pub fn encoder(&self) -> Encoder {
        Encoder::new(&self.inner)
    }

    /// The text of some tokens, special ones included.
    pub fn decode(&self, ids: &[u32]) -> String {
        // A decoder fails on nothing but a broken `tokenizer.json`; text for people may then be empty.
        self.inner.decode(ids, false).unwrap_or_default()
    }

    /// Whether a word begins with this token.
    pub fn word_start(&self, id: u32) -> bool {
        self.vocabulary.word_start(id)
    }

    /// The token as the vocabulary spells it.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of a token as the vocabulary spells it.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }
}

#[cfg(test)]
pub(crate) mod tests;
