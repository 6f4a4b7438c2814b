//! What a model family needs to know of a vocabulary, as plain data.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::TokenizerKind;
use crate::CorpusError;

/// How the special tokens are spelt, in the order of [`Specials`].
const CONVENTIONS: [[&str; 5]; 3] = [
    // RoBERTa.
    ["<s>", "</s>", "<pad>", "<unk>", "<mask>"],
    // BERT, ELECTRA and SpanBERT.
    ["[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"],
    // ALBERT.
    ["[CLS]", "[SEP]", "<pad>", "<unk>", "[MASK]"],
];

/// The ids of the special tokens, by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Specials {
    /// Begins a sample: `<s>`, `[CLS]`.
    pub bos: u32,
    /// Ends a segment: `</s>`, `[SEP]`.
    pub eos: u32,
    /// Fills up a batch: `<pad>`, `[PAD]`.
    pub pad: u32,
    /// What the vocabulary cannot say: `<unk>`, `[UNK]`.
    pub unk: u32,
    /// Stands for a token that is to be guessed: `<mask>`, `[MASK]`.
    pub mask: u32,
}

impl Specials {
    /// All five.
    pub fn all(&self) -> [u32; 5] {
        [self.bos, self.eos, self.pad, self.unk, self.mask]
    }

    /// Those of the convention that the vocabulary keeps, or comes closest to.
    fn of(id: impl Fn(&str) -> Option<u32>) -> Result<Self, CorpusError> {
        let lacks = |names: &[&str; 5]| names.iter().filter(|name| id(name).is_none()).count();
        let names = CONVENTIONS.iter().min_by_key(|names| lacks(names)).unwrap_or(&CONVENTIONS[0]);
        let missing: Vec<&str> = names.iter().copied().filter(|name| id(name).is_none()).collect();
        if !missing.is_empty() {
            let reason = format!("its vocabulary has no {}", missing.join(", "));
            return Err(CorpusError::Tokenizer(reason));
        }
        let [bos, eos, pad, unk, mask] = names.map(|name| id(name).unwrap_or_default());
        Ok(Specials { bos, eos, pad, unk, mask })
    }
}

/// The size of a vocabulary, its special tokens, and the tokens that begin words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// How many ids there are, special ones included.
    pub size: u32,
    /// The ids of the special tokens.
    pub specials: Specials,
    /// One bit per id; written as hexadecimal digits, 16 per word.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    word_starts: Vec<u64>,
}

impl Vocabulary {
    /// A vocabulary whose word-initial tokens are those that `word_start` names.
    pub fn new(size: u32, specials: Specials, word_start: impl Fn(u32) -> bool) -> Self {
        let mut word_starts = vec![0; (size as usize).div_ceil(64)];
        for id in (0..size).filter(|&id| word_start(id)) {
            word_starts[id as usize / 64] |= 1 << (id % 64);
        }
        Vocabulary { size, specials, word_starts }
    }

    pub(super) fn of(tokenizer: &tokenizers::Tokenizer, kind: TokenizerKind) -> Result<Self, CorpusError> {
        let specials = Specials::of(|token| tokenizer.token_to_id(token))?;
        // Ids may have gaps; what counts is the largest.
        let size = tokenizer.get_vocab(true).into_values().max().map_or(0, |id| id + 1);
        let begins = |token: &str| match kind {
            TokenizerKind::WordPiece => !token.starts_with("##"),
            // The byte-level alphabet writes a space as Ġ.
            TokenizerKind::ByteLevelBpe => token.starts_with('Ġ'),
            TokenizerKind::Unigram => begins_unigram_word(token),
        };
        let word_start = |id| {
            let token = tokenizer.id_to_token(id);
            !specials.all().contains(&id) && token.is_some_and(|token| begins(&token))
        };
        Ok(Vocabulary::new(size, specials, word_start))
    }

    /// Whether a word begins with this token.
    pub fn word_start(&self, id: u32) -> bool {
        self.word_starts.get(id as usize / 64).is_some_and(|bits| bits >> (id % 64) & 1 == 1)
    }

    /// Whether the token is one of the special ones.
    pub fn is_special(&self, id: u32) -> bool {
        self.specials.all().contains(&id)
    }
}

/// Whether a word begins with a Unigram piece, by the rule of google-research/albert (`create_pretraining_data.py`,
/// `_is_start_piece_sp`): besides pieces that begin with a space, marks are words, and so is whatever is written in other
/// letters than English ones.
fn begins_unigram_word(piece: &str) -> bool {
    let mark = |c: char| r##"!"#$%&()*+,-./:;?@[\]^_`{|}~"##.contains(c);
    let single_mark = piece.chars().count() == 1 && piece.chars().all(mark);
    piece.starts_with('▁')
        || piece.starts_with('<')
        || single_mark
        || !piece.chars().all(|c| c.is_ascii_alphabetic() || mark(c))
}

fn to_hex<S: Serializer>(words: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&words.iter().map(|word| format!("{word:016x}")).collect::<String>())
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    let digits = String::deserialize(deserializer)?;
    let word = |at: usize| digits.get(at..at + 16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let words: Option<Vec<u64>> = (0..digits.len()).step_by(16).map(word).collect();
    words.ok_or_else(|| serde::de::Error::custom("word_starts is not made of words of 16 hexadecimal digits"))
}
