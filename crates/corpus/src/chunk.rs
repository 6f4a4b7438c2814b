//! A document's tokens, sentence by sentence, and its chunks: long documents are cut at the ends of sentences, so
//! that a book does not sit in one batch. Knows nothing of how chunks are stored.

use std::ops::Range;

use crate::{Encoder, flags, split};

/// The tokens of a text, in pieces: sentences, or parts of sentences that were too long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokenised {
    /// The tokens of the whole text.
    pub ids: Vec<u32>,
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    /// Where the piece ends in the text.
    byte_end: usize,
    tokens: u16,
    /// Whether it is a part of a sentence that was too long.
    part: bool,
}

/// One row of a dataset to be: a stretch of whole sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its bytes in the text.
    pub text: Range<usize>,
    /// Its tokens in [`Tokenised::ids`].
    pub ids: Range<usize>,
    /// How many tokens each sentence has.
    pub sent_len: Vec<u16>,
    /// See [`flags`].
    pub flags: u8,
}

/// The tokens of a clean text. A sentence of more than `limit` tokens is cut, at white space where there is some.
pub fn tokenise(text: &str, encoder: &mut Encoder, limit: u16) -> Tokenised {
    let mut tokenised = Tokenised::default();
    for sentence in split(text) {
        push(text, sentence, false, encoder, limit, &mut tokenised);
    }
    tokenised
}

fn push(
    text: &str,
    range: Range<usize>,
    part: bool,
    encoder: &mut Encoder,
    limit: u16,
    tokenised: &mut Tokenised,
) {
    let before = tokenised.ids.len();
    encoder.encode(&text[range.clone()], &mut tokenised.ids);
    match u16::try_from(tokenised.ids.len() - before) {
        Ok(0) => {}
        Ok(tokens) if tokens <= limit => {
            tokenised.pieces.push(Piece { byte_end: range.end, tokens, part });
            return;
        }
        _ => {
            if let Some(middle) = middle(&text[range.clone()]) {
                tokenised.ids.truncate(before);
                let middle = range.start + middle;
                push(text, range.start..middle, true, encoder, limit, tokenised);
                push(text, middle..range.end, true, encoder, limit, tokenised);
                return;
            }
        }
    }
    // No tokens, or one character of more tokens than a chunk may have (a limit below 4): nothing worth keeping, but
    // the text before and after it stays in step.
    tokenised.ids.truncate(before);
    if let Some(last) = tokenised.pieces.last_mut() {
        last.byte_end = range.end;
    }
}

/// Where to cut a text that is too long: at white space near its middle, else at its middle; `None` if it is one
/// character.
fn middle(text: &str) -> Option<usize> {
    let half = text.floor_char_boundary(text.len() / 2);
    let space = |(at, c): (usize, char)| c.is_whitespace().then_some(at);
    let left = text[..half].char_indices().rev().find_map(space).filter(|&at| at > 0);
    let right = || text[half..].char_indices().find_map(space).map(|at| at + half);
    let anywhere = || text.char_indices().map(|(at, _)| at).find(|&at| at >= half.max(1));
    left.or_else(right).filter(|&at| at > 0).or_else(anywhere)
}

/// Cuts a document into chunks of at most `chunk_tokens` tokens (at least the limit that it was tokenised with).
/// `unk` is the id that stands for what the tokenizer does not know.
pub fn chunks(tokenised: &Tokenised, chunk_tokens: usize, unk: u32) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let (mut byte, mut token) = (0, 0);
    for piece in &tokenised.pieces {
        let tokens = usize::from(piece.tokens);
        let ids = token..token + tokens;
        let mut flag = if piece.part { flags::SENTENCE_SPLIT } else { 0 };
        if tokenised.ids[ids.clone()].contains(&unk) {
            flag |= flags::HAS_UNKNOWN;
        }
        match chunks.last_mut() {
            Some(chunk) if chunk.ids.len() + tokens <= chunk_tokens => {
                chunk.text.end = piece.byte_end;
                chunk.ids.end = ids.end;
                chunk.sent_len.push(piece.tokens);
                chunk.flags |= flag;
            }
            _ => chunks.push(Chunk {
                text: byte..piece.byte_end,
                ids,
                sent_len: vec![piece.tokens],
                flags: flag,
            }),
        }
        (byte, token) = (piece.byte_end, token + tokens);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tokenizer::tests::trained;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn chunks_are_the_document(text in "[a-e.!? \\né—]{0,300}", limit in 4u16..40, more in 0usize..40) {
            let mut encoder = trained().encoder();
            let tokenised = tokenise(&text, &mut encoder, limit);
            let chunk_tokens = usize::from(limit) + more;
            let chunks = chunks(&tokenised, chunk_tokens, u32::MAX);
            let (mut byte, mut token) = (0, 0);
            for chunk in &chunks {
                prop_assert_eq!((chunk.text.start, chunk.ids.start), (byte, token));
                (byte, token) = (chunk.text.end, chunk.ids.end);
                prop_assert!(chunk.ids.len() <= chunk_tokens && !chunk.ids.is_empty());
                let sum: usize = chunk.sent_len.iter().map(|&len| usize::from(len)).sum();
                prop_assert_eq!(sum, chunk.ids.len());
                let ids = &tokenised.ids[chunk.ids.clone()];
                prop_assert_eq!(trained().decode(ids), &text[chunk.text.clone()]);
            }
            prop_assert_eq!((byte, token), (text.len(), tokenised.ids.len()));
        }
    }

    #[test]
    fn a_sentence_that_is_too_long_is_cut_and_flagged() {
        let text = format!("Short one. {} Short two.", "word ".repeat(50).trim_end());
        let tokenised = tokenise(&text, &mut trained().encoder(), 16);
        let chunks = chunks(&tokenised, 16, u32::MAX);
        assert!(chunks.len() > 3 && chunks[1].flags == flags::SENTENCE_SPLIT);
        let roomy = tokenise(&text, &mut trained().encoder(), u16::MAX);
        assert_eq!(super::chunks(&roomy, 16, u32::MAX)[0].flags, 0);
        // Cut at white space, the tokens are those of the whole text.
        assert_eq!(tokenised.ids, trained().encode_sentence(&text));
    }
}
