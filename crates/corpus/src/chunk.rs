//! From a document to the rows of a dataset: long documents are cut at the ends of sentences, so that a book does not
//! sit in one batch; and the tokens of such a row, sentence by sentence. Where a document is cut depends on its text
//! alone, so that several tokenizers can share one table of texts. Knows nothing of how rows are stored.

use std::ops::Range;

use crate::{DocRow, Encoder, TokenRow, flags, split_in};

/// One row of `docs` to be: a stretch of whole sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its bytes in the document's text.
    pub text: Range<usize>,
    /// Where its sentences end, from its own beginning.
    pub sent_end: Vec<u32>,
    /// See [`flags`].
    pub flags: u8,
}

/// Cuts a clean text into chunks of at most `most` bytes (at least 4, the longest character). A sentence that is
/// longer is cut, at white space where there is some. `language`: by whose rules sentences are found.
///
/// ```
/// let chunks = corpus::chunks("One is here. Two is there. Three.", Some("en"), 26);
/// assert_eq!(chunks.len(), 2);
/// assert_eq!(chunks[0].sent_end, [12, 26]);
/// ```
pub fn chunks(text: &str, language: Option<&str>, most: usize) -> Vec<Chunk> {
    let most = most.max(4);
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut add = |range: Range<usize>, part: bool| {
        let flag = if part { flags::SENTENCE_SPLIT } else { 0 };
        match chunks.last_mut() {
            Some(chunk) if range.end - chunk.text.start <= most => {
                chunk.text.end = range.end;
                chunk.sent_end.push((range.end - chunk.text.start) as u32);
                chunk.flags |= flag;
            }
            _ => chunks.push(Chunk { sent_end: vec![range.len() as u32], text: range, flags: flag }),
        }
    };
    for sentence in split_in(text, language) {
        let mut rest = sentence.clone();
        while rest.len() > most {
            let cut = rest.start + last_cut(&text[rest.clone()], most);
            add(rest.start..cut, true);
            rest.start = cut;
        }
        let part = rest.start > sentence.start;
        add(rest, part);
    }
    chunks
}

/// The last place up to `most` bytes where a text can be cut: before white space, else between two characters.
fn last_cut(text: &str, most: usize) -> usize {
    let end = text.floor_char_boundary(most);
    let space = text[..end].char_indices().rev().find_map(|(at, c)| c.is_whitespace().then_some(at));
    space.filter(|&at| at > 0).unwrap_or(end)
}

/// The tokens of a row of `docs`, whose source has that number. `unk` is the id that stands for what the tokenizer does
/// not know.
pub fn tokenise(row: &DocRow, source: u16, encoder: &mut Encoder, unk: u32) -> TokenRow {
    let mut tokens = TokenRow { doc_id: row.doc_id, source, chunk: row.chunk, ..TokenRow::default() };
    for sentence in row.sentences() {
        let before = tokens.ids.len();
        encoder.encode(sentence, &mut tokens.ids);
        let mut rest = tokens.ids.len() - before;
        while rest > usize::from(u16::MAX) {
            tokens.sent_len.push(u16::MAX);
            tokens.flags |= flags::SENTENCE_SPLIT;
            rest -= usize::from(u16::MAX);
        }
        if rest > 0 {
            tokens.sent_len.push(rest as u16);
        }
    }
    tokens.flags |= row.flags;
    if tokens.ids.contains(&unk) {
        tokens.flags |= flags::HAS_UNKNOWN;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tokenizer::tests::trained;

    fn row(text: &str, chunk: &Chunk) -> DocRow {
        DocRow {
            text: text[chunk.text.clone()].to_owned(),
            sent_end: chunk.sent_end.clone(),
            flags: chunk.flags,
            ..DocRow::default()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn chunks_are_the_document(text in "[a-e.!? \\né—。]{0,300}", most in 4usize..80) {
            let chunks = chunks(&text, None, most);
            let mut byte = 0;
            for chunk in &chunks {
                prop_assert_eq!(chunk.text.start, byte);
                byte = chunk.text.end;
                prop_assert!(chunk.text.len() <= most && !chunk.text.is_empty());
                prop_assert_eq!(chunk.sent_end.last(), Some(&(chunk.text.len() as u32)));
                let row = row(&text, chunk);
                prop_assert_eq!(row.sentences().collect::<String>(), row.text.clone());
                prop_assert!(row.sentences().all(|sentence| !sentence.is_empty()));
                let tokens = tokenise(&row, 0, &mut trained().encoder(), u32::MAX);
                prop_assert_eq!(trained().decode(&tokens.ids), row.text);
                let sum: usize = tokens.sent_len.iter().map(|&len| usize::from(len)).sum();
                prop_assert_eq!(sum, tokens.ids.len());
            }
            prop_assert_eq!(byte, text.len());
        }
    }

    #[test]
    fn a_sentence_that_is_too_long_is_cut_at_white_space_and_flagged() {
        let text = format!("Short one. {} Short two.", "word ".repeat(50).trim_end());
        let found = chunks(&text, None, 32);
        assert!(found.len() > 6 && found[1].flags == flags::SENTENCE_SPLIT, "{found:?}");
        assert!(found[1..].iter().all(|chunk| text[chunk.text.clone()].starts_with(' ')));
        assert_eq!(chunks(&text, None, 1_000)[0].flags, 0);
        // Cut at white space, the tokens are those of the whole text.
        let ids: Vec<u32> = found
            .iter()
            .flat_map(|chunk| tokenise(&row(&text, chunk), 0, &mut trained().encoder(), u32::MAX).ids)
            .collect();
        assert_eq!(ids, trained().encode_sentence(&text));
    }

    #[test]
    fn a_sentence_of_more_tokens_than_its_length_can_say_is_told_in_parts() {
        let text = "0 1 2 3 ".repeat(20_000);
        let row = DocRow { sent_end: vec![text.len() as u32], text, ..DocRow::default() };
        let tokens = tokenise(&row, 0, &mut trained().encoder(), u32::MAX);
        assert!(tokens.sent_len.len() > 1 && tokens.flags & flags::SENTENCE_SPLIT != 0);
        let sum: usize = tokens.sent_len.iter().map(|&len| usize::from(len)).sum();
        assert_eq!(sum, tokens.ids.len());
    }
}
