//! Training a byte-level BPE with RoBERTa's special tokens. The result is a function of how often each word occurs,
//! not of the order in which texts were read. Knows nothing of where texts come from.

use std::collections::BTreeMap;

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{
    AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer as Inner,
};

use super::encoder::words;
use crate::{CorpusError, Tokenizer};

/// RoBERTa's, in the order of their ids; `<mask>` comes last of all.
const FIRST: [&str; 4] = ["<s>", "<pad>", "</s>", "<unk>"];
const MASK: &str = "<mask>";
/// The special tokens and the 256 bytes.
const SMALLEST: u32 = 5 + 256;
/// Pairs that occur only once make no token.
const MIN_FREQUENCY: u64 = 2;

/// How often each word occurs: all that training needs to know. Counts of parts of a corpus can be added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordCounts(BTreeMap<String, u64>);

impl WordCounts {
    /// Counts the words of a clean text.
    pub fn add(&mut self, text: &str) {
        for word in words(text) {
            match self.0.get_mut(word) {
                Some(count) => *count += 1,
                None => drop(self.0.insert(word.to_owned(), 1)),
            }
        }
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: WordCounts) {
        for (word, count) in other.0 {
            *self.0.entry(word).or_default() += count;
        }
    }

    /// Trains a tokenizer of at most `vocab_size` tokens; fewer if there is too little text for so many.
    ///
    /// # Errors
    /// [`CorpusError::Invalid`] for a vocabulary that cannot hold all bytes.
    pub fn train(self, vocab_size: u32) -> Result<Tokenizer, CorpusError> {
        if vocab_size < SMALLEST {
            let reason = format!("a vocabulary of {vocab_size} is too small: 256 bytes and 5 special tokens");
            return Err(CorpusError::Invalid(format!("{reason} need {SMALLEST}")));
        }
        let failed = |error: tokenizers::Error| CorpusError::Tokenizer(error.to_string());
        let rule = ByteLevel::new(false, true, true);
        let mut pieces: BTreeMap<String, u64> = BTreeMap::new();
        for (word, count) in self.0 {
            let mut split = PreTokenizedString::from(word);
            rule.pre_tokenize(&mut split).map_err(failed)?;
            for (piece, ..) in split.get_splits(OffsetReferential::Normalized, OffsetType::None) {
                *pieces.entry(piece.to_owned()).or_default() += count;
            }
        }
        let trainer = BpeTrainer::builder()
            .vocab_size(vocab_size as usize - 1)
            .min_frequency(MIN_FREQUENCY)
            .show_progress(false)
            .special_tokens(FIRST.map(|token| AddedToken::from(token, true)).to_vec())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let mut model = BPE::default();
        let counts = pieces.into_iter().map(|(piece, count)| (piece.into(), count)).collect();
        trainer.do_train(&counts, &mut model).map_err(failed)?;
        Tokenizer::from_bytes(dressed(model).map_err(failed)?.as_bytes())
    }
}

/// The `tokenizer.json` of a model: with RoBERTa's special tokens, pre-tokenizer, decoder and template.
fn dressed(model: BPE) -> Result<String, tokenizers::Error> {
    // The model's own vocabulary has to hold `<mask>` too, as slow tokenizers know no other.
    let mut json = serde_json::to_value(&model)?;
    let mask_id = model.get_vocab().len();
    json["vocab"][MASK] = mask_id.into();
    // Through text, as the model borrows strings from what it is read from.
    let model: BPE = serde_json::from_str(&json.to_string())?;
    let mut tokenizer = Inner::new(model);
    tokenizer
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
        .with_decoder(Some(ByteLevel::default()))
        .with_post_processor(Some(
            RobertaProcessing::new(("</s>".into(), 2), ("<s>".into(), 0))
                .trim_offsets(true)
                .add_prefix_space(false),
        ));
    let mask = AddedToken::from(MASK, true).lstrip(true);
    let specials: Vec<AddedToken> =
        FIRST.iter().map(|&token| AddedToken::from(token, true)).chain([mask]).collect();
    tokenizer.add_special_tokens(specials)?;
    tokenizer.to_string(false)
}

/// Trains a byte-level BPE on some clean texts. See [`WordCounts::train`].
///
/// # Errors
/// [`CorpusError::Invalid`] for a vocabulary that cannot hold all bytes.
pub fn train_byte_level_bpe(
    texts: impl IntoIterator<Item = impl AsRef<str>>,
    vocab_size: u32,
) -> Result<Tokenizer, CorpusError> {
    let mut counts = WordCounts::default();
    for text in texts {
        counts.add(text.as_ref());
    }
    counts.train(vocab_size)
}
