//! Training a byte-level BPE with RoBERTa's special tokens. Knows nothing of other kinds.

use std::collections::BTreeMap;

use tokenizers::AddedToken;
use tokenizers::models::bpe::{BPE, BpeTrainer, BpeTrainerBuilder};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::{MIN_FREQUENCY, WordCounts, hold};
use crate::tokenizer::dress::{self, BPE_MASK, BPE_SPECIALS, failed};
use crate::{CorpusError, Tokenizer};

/// The trainer of `tokenizers` counts pairs in 31 bits: of larger counts, all are divided.
const MOST_FREQUENT: u64 = i32::MAX as u64 / 2;

pub(super) fn train(counts: WordCounts, vocab_size: u32) -> Result<Tokenizer, CorpusError> {
    hold(vocab_size, 256 + BPE_SPECIALS.len() + 1, "256 bytes and 5 special tokens")?;
    let pieces = counts.pieces(None::<&BertNormalizer>, &dress::byte_level())?;
    let model = merged(
        pieces,
        BpeTrainer::builder()
            .vocab_size(vocab_size as usize - 1)
            .special_tokens(BPE_SPECIALS.map(|token| AddedToken::from(token, true)).to_vec())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect()),
    )?;
    // The model's own vocabulary has to hold `<mask>` too, as slow tokenizers know no other.
    let mut json = serde_json::to_value(&model).map_err(failed)?;
    let mask_id = model.get_vocab().len();
    json["vocab"][BPE_MASK] = mask_id.into();
    dress::byte_level_bpe(dress::model(&json)?)
}

/// The tokens of a WordPiece vocabulary: those of a BPE whose tokens go on with `##`. It begins with `first`, which
/// must hold all characters in both forms: ids decide between pairs that are as frequent as each other, so none may be
/// given out in the order of a hash.
pub(super) fn continuing(
    pieces: BTreeMap<String, u64>,
    first: &[String],
    vocab_size: u32,
) -> Result<Vec<String>, CorpusError> {
    let model = merged(
        pieces,
        BpeTrainer::builder()
            .vocab_size(vocab_size as usize)
            .special_tokens(first.iter().map(|token| AddedToken::from(token.as_str(), true)).collect())
            .continuing_subword_prefix("##".into()),
    )?;
    let tokens: BTreeMap<u32, String> =
        model.get_vocab().into_iter().map(|(token, id)| (id, token)).collect();
    Ok(tokens.into_values().collect())
}

fn merged(pieces: BTreeMap<String, u64>, trainer: BpeTrainerBuilder) -> Result<BPE, CorpusError> {
    let scale = most_frequent_pair(&pieces).div_ceil(MOST_FREQUENT).max(1);
    let pieces = pieces.into_iter().map(|(piece, count)| (piece.into(), count.div_ceil(scale))).collect();
    let mut model = BPE::default();
    let trainer = trainer.min_frequency(MIN_FREQUENCY).show_progress(false).build();
    trainer.do_train(&pieces, &mut model).map_err(failed)?;
    Ok(model)
}

fn most_frequent_pair(pieces: &BTreeMap<String, u64>) -> u64 {
    let mut pairs: BTreeMap<(char, char), u64> = BTreeMap::new();
    for (piece, count) in pieces {
        for pair in piece.chars().zip(piece.chars().skip(1)) {
            let sum = pairs.entry(pair).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
    pairs.into_values().max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_may_be_more_frequent_than_the_trainer_can_count() {
        let merges = |factor: u64| {
            let words = [("the", 9), ("then", 3), ("hen", 2), ("xy", 1)];
            let pieces = words.map(|(word, count)| (word.to_owned(), count * factor)).into();
            let first: Vec<String> =
                ["e", "h", "n", "t", "x", "y", "##e", "##h", "##n", "##y"].map(String::from).into();
            continuing(pieces, &first, 14).unwrap()
        };
        assert_eq!(merges(2), merges(2 << 40));
        assert_eq!(merges(2)[10..], ["th", "the", "then", "he"]);
    }
}
