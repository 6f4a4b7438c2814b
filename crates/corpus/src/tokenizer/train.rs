//! Training a tokenizer. The result is a function of how often each word occurs, not of the order in which texts were
//! read, nor of threads or hash seeds. Knows nothing of where texts come from.

mod bpe;
mod unigram;
mod word_piece;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

use super::dress::failed;
use crate::{CorpusError, Tokenizer, TokenizerKind};

/// Pairs and characters that occur only once make no token.
const MIN_FREQUENCY: u64 = 2;
/// Rarer characters than the first thousand make no token, and words with them none either: the alphabet of BERT's
/// vocabularies.
const ALPHABET: usize = 1000;

/// Which tokenizer to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSpec {
    /// What kind of model.
    pub kind: TokenizerKind,
    /// How many tokens, special ones included; fewer if there is too little text for so many.
    pub vocab_size: u32,
    /// Whether text loses its capitals and accents. A byte-level BPE keeps them.
    #[serde(default)]
    pub lowercase: bool,
}

/// How often each word occurs: all that training needs to know. Counts of parts of a corpus can be added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordCounts(BTreeMap<String, u64>);

impl WordCounts {
    /// Counts the words of a clean text: what stands between white space, with the white space in front.
    pub fn add(&mut self, text: &str) {
        for word in spaced_words(text) {
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

    /// Trains a byte-level BPE: see [`WordCounts::train_as`].
    ///
    /// # Errors
    /// [`CorpusError::Invalid`] for a vocabulary that cannot hold all bytes.
    pub fn train(self, vocab_size: u32) -> Result<Tokenizer, CorpusError> {
        self.train_as(TrainSpec { kind: TokenizerKind::ByteLevelBpe, vocab_size, lowercase: false })
    }

    /// Trains a tokenizer.
    ///
    /// WordPiece is trained as in `tokenizers`: pairs are merged by frequency, as in BPE, and the vocabulary is read as
    /// a WordPiece one. Google never released the trainer of BERT's vocabularies, which its authors describe as merging
    /// the pair that raises the likelihood most (Schuster and Nakajima, 2012). Unigram is trained as in SentencePiece
    /// (Kudo, 2018): pieces that the likelihood loses least by are pruned, a quarter at a time.
    ///
    /// # Errors
    /// [`CorpusError::Invalid`] for a vocabulary that cannot hold the characters of the text (or all bytes), and for
    /// a byte-level BPE without capitals.
    pub fn train_as(self, spec: TrainSpec) -> Result<Tokenizer, CorpusError> {
        match spec.kind {
            TokenizerKind::WordPiece => word_piece::train(self, spec),
            TokenizerKind::ByteLevelBpe if spec.lowercase => {
                Err(CorpusError::Invalid("a byte-level BPE keeps capitals; take away lowercase".into()))
            }
            TokenizerKind::ByteLevelBpe => bpe::train(self, spec.vocab_size),
            TokenizerKind::Unigram => unigram::train(self, spec),
        }
    }

    /// The pieces that a normaliser and a pre-tokenizer make of the words. Both must look at single words only.
    fn pieces(
        self,
        normalizer: Option<&impl Normalizer>,
        pre_tokenizer: &impl PreTokenizer,
    ) -> Result<BTreeMap<String, u64>, CorpusError> {
        let mut pieces: BTreeMap<String, u64> = BTreeMap::new();
        for (word, count) in self.0 {
            let mut text = NormalizedString::from(word);
            if let Some(normalizer) = normalizer {
                normalizer.normalize(&mut text).map_err(failed)?;
            }
            let mut split = PreTokenizedString::from(text);
            pre_tokenizer.pre_tokenize(&mut split).map_err(failed)?;
            for (piece, ..) in split.get_splits(OffsetReferential::Normalized, OffsetType::None) {
                match pieces.get_mut(piece) {
                    Some(known) => *known += count,
                    None => drop(pieces.insert(piece.to_owned(), count)),
                }
            }
        }
        Ok(pieces)
    }
}

/// Cuts a text in front of white space.
fn spaced_words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let visible = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let end = rest[visible..].find(char::is_whitespace).map_or(rest.len(), |end| visible + end);
        let (word, tail) = rest.split_at(end);
        rest = tail;
        (!word.is_empty()).then_some(word)
    })
}

/// The most frequent characters, in their own order. Words with others are taken away: they are unknown whole, so they
/// teach nothing.
fn alphabet(pieces: &mut BTreeMap<String, u64>) -> Vec<char> {
    let mut counts: BTreeMap<char, u64> = BTreeMap::new();
    for (piece, count) in pieces.iter() {
        for c in piece.chars() {
            *counts.entry(c).or_default() += count;
        }
    }
    if counts.len() > ALPHABET {
        let mut kept: Vec<(char, u64)> = counts.into_iter().collect();
        kept.sort_by_key(|&(c, count)| (std::cmp::Reverse(count), c));
        kept.truncate(ALPHABET);
        counts = kept.into_iter().collect();
        pieces.retain(|piece, _| piece.chars().all(|c| counts.contains_key(&c)));
        let left: std::collections::BTreeSet<char> = pieces.keys().flat_map(|piece| piece.chars()).collect();
        counts.retain(|c, _| left.contains(c));
    }
    counts.into_keys().collect()
}

/// The error for a vocabulary that is too small, if it is.
fn hold(vocab_size: u32, needed: usize, what: &str) -> Result<(), CorpusError> {
    if (vocab_size as usize) < needed {
        let reason = format!("a vocabulary of {vocab_size} is too small: {what} need {needed}");
        return Err(CorpusError::Invalid(reason));
    }
    Ok(())
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
