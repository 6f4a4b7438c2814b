//! Training a WordPiece vocabulary with BERT's special tokens. Knows nothing of other kinds.

use std::collections::BTreeSet;

use tokenizers::pre_tokenizers::bert::BertPreTokenizer;

use super::{TrainSpec, WordCounts, alphabet, bpe, hold};
use crate::tokenizer::dress::{self, WORD_PIECE_SPECIALS};
use crate::tokenizer::import::{LONGEST_WORD, word_piece_model};
use crate::{CorpusError, Tokenizer};

pub(super) fn train(counts: WordCounts, spec: TrainSpec) -> Result<Tokenizer, CorpusError> {
    let mut pieces = counts.pieces(Some(&dress::word_piece_normalizer(spec.lowercase)), &BertPreTokenizer)?;
    pieces.retain(|piece, _| piece.chars().count() <= LONGEST_WORD);
    let first = alphabet(&mut pieces);
    let next: BTreeSet<char> = pieces.keys().flat_map(|piece| piece.chars().skip(1)).collect();
    let tokens = WORD_PIECE_SPECIALS.iter().map(|&token| token.to_owned());
    let tokens: Vec<String> = tokens
        .chain(first.iter().map(|c| c.to_string()))
        .chain(next.iter().map(|c| format!("##{c}")))
        .collect();
    let what =
        format!("5 special tokens, {} characters and {} characters inside words", first.len(), next.len());
    hold(spec.vocab_size, tokens.len(), &what)?;
    let vocabulary = bpe::continuing(pieces, &tokens, spec.vocab_size)?;
    dress::word_piece(word_piece_model(vocabulary)?, spec.lowercase)
}
