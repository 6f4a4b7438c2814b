//! Encoding at speed. Most words of a text have been seen before, so an encoder remembers the tokens of words.
//! That is exact only where no token crosses from one word to the next: see [`cut`]; other tokenizers encode whole
//! sentences. Knows no file and no thread.

pub(super) mod cut;

// A cache that is looked up and emptied, and never walked through: its order cannot show.
#[expect(clippy::disallowed_types)]
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use tokenizers::{Model, ModelWrapper};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::pieces::{Pieces, Viterbi};
use super::plain::Plain;
use cut::Rule;

/// Words that are remembered; then the memory starts anew. English prose of a gigabyte has about a million.
const REMEMBERED: usize = 1 << 18;
/// Longer words are rare and seldom the same.
const LONGEST: usize = 48;
/// Tokens that stand with their word.
const FEW: usize = 3;
/// How much less likely an unknown character is than the least likely piece: SentencePiece's.
const UNKNOWN_PENALTY: f64 = 10.0;

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

    /// Folded multiplication, as in wyhash, whose constants these are.
    fn write_u128(&mut self, word: u128) {
        let (low, high) = (word as u64 ^ 0xa076_1d64_78bd_642f, (word >> 64) as u64 ^ 0xe703_7ed1_a0b4_28db);
        let product = u128::from(low) * u128::from(high);
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A tokenizer with a memory: not shared between threads, as locks would cost more than it saves.
#[derive(Debug)]
pub struct Encoder {
    rule: Rule,
    memory: Memory,
}

impl Encoder {
    pub(super) fn new(plain: &Plain) -> Self {
        let rule = Rule::of(plain);
        let memory = Memory::new(plain.clone(), &rule);
        Encoder { rule, memory }
    }

    /// Appends the tokens of `text` to `ids`: those that [`crate::Tokenizer::encode_sentence`] gives.
    pub fn encode(&mut self, text: &str, ids: &mut Vec<u32>) {
        let (rule, memory) = (&self.rule, &mut self.memory);
        match rule {
            Rule::Whole => ids.extend(memory.plain.encode(text)),
            Rule::ByteLevel => cut::byte_level(text).for_each(|word| memory.recall(word, rule, ids)),
            Rule::WordPiece { .. } => cut::word_piece(text).for_each(|word| memory.recall(word, rule, ids)),
            Rule::Spaces(spaces) => {
                let (words, behind) = spaces.words(text);
                words.for_each(|word| memory.recall(word, rule, ids));
                ids.extend_from_slice(behind);
            }
        }
    }
}

/// The tokens of words.
#[derive(Debug)]
struct Memory {
    plain: Plain,
    unigram: Option<Unigram>,
    /// Words of up to 15 bytes, which are most of them: no pointer has to be followed.
    #[expect(clippy::disallowed_types)]
    short: HashMap<u128, Place, BuildHasherDefault<WordHasher>>,
    #[expect(clippy::disallowed_types)]
    long: HashMap<Box<str>, Place, BuildHasherDefault<WordHasher>>,
    /// The tokens of words that have many.
    tokens: Vec<u32>,
}

/// Most words have few tokens: they stand here, else their first one's place does.
#[derive(Clone, Copy, Debug)]
struct Place {
    count: u32,
    tokens: [u32; FEW],
}

impl Memory {
    fn new(plain: Plain, rule: &Rule) -> Self {
        let unigram = match rule {
            Rule::Spaces(_) => Unigram::of(&plain),
            _ => None,
        };
        Memory { plain, unigram, short: Default::default(), long: Default::default(), tokens: Vec::new() }
    }

    fn recall(&mut self, word: &str, rule: &Rule, ids: &mut Vec<u32>) {
        let key = short_key(word);
        let known = match key {
            Some(key) => self.short.get(&key),
            None if word.len() > LONGEST => return ids.extend(self.plain.encode(word)),
            None => self.long.get(word),
        };
        let place = match known {
            Some(&place) => place,
            None => self.learn(word, key, rule),
        };
        match place.count {
            // The common case, without a loop.
            1 => ids.push(place.tokens[0]),
            count if count as usize <= FEW => ids.extend_from_slice(&place.tokens[..count as usize]),
            count => ids.extend_from_slice(&self.tokens[place.tokens[0] as usize..][..count as usize]),
        }
    }

    fn learn(&mut self, word: &str, key: Option<u128>, rule: &Rule) -> Place {
        if self.short.len() + self.long.len() >= REMEMBERED {
            self.short.clear();
            self.long.clear();
            self.tokens.clear();
        }
        let learnt = self.tokens_of(word, rule);
        let mut place = Place { count: learnt.len() as u32, tokens: [0; FEW] };
        if learnt.len() <= FEW {
            place.tokens[..learnt.len()].copy_from_slice(&learnt);
        } else {
            place.tokens[0] = self.tokens.len() as u32;
            self.tokens.extend(learnt);
        }
        match key {
            Some(key) => self.short.insert(key, place),
            None => self.long.insert(word.into(), place),
        };
        place
    }

    /// Aligning text with what it was is most of the work of `tokenizers`: not needed for ordinary words.
    fn tokens_of(&mut self, word: &str, rule: &Rule) -> Vec<u32> {
        match (rule.written(word), &mut self.unigram) {
            (None, _) => self.plain.encode(word),
            (Some(written), None) => self.plain.encode_word(&written),
            (Some(written), Some(unigram)) => {
                let tokens = unigram.encode(&written);
                if self.plain.allows(&tokens) { tokens } else { self.plain.encode_word(&written) }
            }
        }
    }
}

/// A word as a number, if it is short: its bytes, and how many there are.
fn short_key(word: &str) -> Option<u128> {
    let mut key = [0; 16];
    key.get_mut(..word.len())?.copy_from_slice(word.as_bytes());
    key[15] = u8::try_from(word.len()).ok().filter(|&count| count < 16)?;
    Some(u128::from_le_bytes(key))
}

/// A Unigram model, looked up in a trie of our own: that of `tokenizers` makes a string of every piece it finds.
#[derive(Debug)]
struct Unigram {
    pieces: Pieces,
    unk: u32,
    unknown: f64,
    viterbi: Viterbi,
}

impl Unigram {
    fn of(plain: &Plain) -> Option<Self> {
        let ModelWrapper::Unigram(model) = plain.inner().get_model() else { return None };
        // What no model has a piece for tells which id unknown characters have; bytes are more than one.
        let unknown = model.tokenize("\u{10ffff}").ok()?;
        let ([unknown], false) = (unknown.as_slice(), model.byte_fallback()) else { return None };
        Some(Unigram {
            pieces: Pieces::new(model.iter().map(|(piece, score)| (piece.as_str(), *score))),
            unk: unknown.id,
            unknown: model.min_score - UNKNOWN_PENALTY,
            viterbi: Viterbi::default(),
        })
    }

    /// Unknown characters that follow each other are one token.
    fn encode(&mut self, written: &str) -> Vec<u32> {
        let path = self.viterbi.cut(&self.pieces, written, Some(self.unknown), true).unwrap_or_default();
        let mut ids = Vec::with_capacity(path.len());
        for id in path.iter().map(|piece| piece.unwrap_or(self.unk)) {
            if id != self.unk || ids.last() != Some(&id) {
                ids.push(id);
            }
        }
        ids
    }
}
