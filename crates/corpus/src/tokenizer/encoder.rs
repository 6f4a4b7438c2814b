//! Encoding at speed. Most words of a text have been seen before, so an encoder remembers the tokens of words.
//! That is exact only where no token crosses from one word to the next: GPT-2's byte-level rule is such, and other
//! tokenizers encode whole sentences.

// A cache that is looked up and emptied, and never walked through: its order cannot show.
#[expect(clippy::disallowed_types)]
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use tokenizers::PreTokenizerWrapper;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Words that are remembered; then the memory starts anew. English prose of a gigabyte has about a million.
const REMEMBERED: usize = 1 << 18;
/// Longer words are rare and seldom the same.
const LONGEST: usize = 48;

/// Words are short, and the standard hasher spends more on them than looking them up does.
#[derive(Debug, Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u8(&mut self, _end: u8) {
        // What `str` writes behind itself: there is nothing behind a word.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A tokenizer with a memory: not shared between threads, as locks would cost more than it saves.
#[derive(Debug)]
pub struct Encoder {
    tokenizer: tokenizers::Tokenizer,
    by_words: bool,
    /// Where the tokens of a word lie in `tokens`.
    #[expect(clippy::disallowed_types)]
    words: HashMap<Box<str>, (u32, u32), BuildHasherDefault<WordHasher>>,
    tokens: Vec<u32>,
}

impl Encoder {
    pub(super) fn new(tokenizer: &tokenizers::Tokenizer) -> Self {
        let by_words = words_are_independent(tokenizer);
        Encoder { tokenizer: tokenizer.clone(), by_words, words: Default::default(), tokens: Vec::new() }
    }

    /// Appends the tokens of `text` to `ids`: those that [`crate::Tokenizer::encode_sentence`] gives.
    pub fn encode(&mut self, text: &str, ids: &mut Vec<u32>) {
        if !self.by_words {
            ids.extend(plain(&self.tokenizer, text));
            return;
        }
        for word in words(text) {
            if word.len() > LONGEST {
                ids.extend(plain(&self.tokenizer, word));
                continue;
            }
            let (start, end) = match self.words.get(word) {
                Some(&known) => known,
                None => self.learn(word),
            };
            ids.extend_from_slice(&self.tokens[start as usize..end as usize]);
        }
    }

    fn learn(&mut self, word: &str) -> (u32, u32) {
        if self.words.len() >= REMEMBERED {
            self.words.clear();
            self.tokens.clear();
        }
        let start = self.tokens.len() as u32;
        self.tokens.extend(plain(&self.tokenizer, word));
        let place = (start, self.tokens.len() as u32);
        self.words.insert(word.into(), place);
        place
    }
}

/// Encodes with what `tokenizers` has to offer.
pub(super) fn plain(tokenizer: &tokenizers::Tokenizer, text: &str) -> Vec<u32> {
    // Byte-level BPE has no text that it cannot encode; a model without an unknown token gives nothing for it.
    tokenizer.encode_fast(text, false).map(|encoding| encoding.get_ids().to_vec()).unwrap_or_default()
}

/// Cuts a text where no token of GPT-2's rule can cross: in front of white space, and between a letter and what
/// follows it if that is none (for ASCII, which is most of it). The rule looks at nothing before the place where it
/// stands, so the pieces encode as the whole. Contractions stay whole, as they begin with their apostrophe.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let visible = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(visible + word_end(&rest[visible..]));
        rest = tail;
        (!word.is_empty()).then_some(word)
    })
}

/// Where the first cut of a text is that begins with a visible character.
fn word_end(text: &str) -> usize {
    let mut letter = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => letter = true,
            b' ' | b'\t'..=b'\r' => return at,
            0..=0x7f if letter => return at,
            0..=0x7f => {}
            _ => {
                // Rare: white space may be wider than a byte, and what is a letter is not decided here.
                letter = false;
                if text.is_char_boundary(at) && text[at..].starts_with(char::is_whitespace) {
                    return at;
                }
            }
        }
    }
    text.len()
}

fn words_are_independent(tokenizer: &tokenizers::Tokenizer) -> bool {
    let byte_level = matches!(
        tokenizer.get_pre_tokenizer(),
        Some(PreTokenizerWrapper::ByteLevel(rule)) if rule.use_regex && !rule.add_prefix_space
    );
    // A token that was added and is not special is looked for in the whole text.
    #[expect(clippy::disallowed_methods, reason = "whether all are special does not depend on their order")]
    let all_special = tokenizer.get_added_tokens_decoder().values().all(|token| token.special);
    byte_level && tokenizer.get_normalizer().is_none() && all_special
}
