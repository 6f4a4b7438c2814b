//! What a model family needs to know of a vocabulary, as plain data.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::CorpusError;

/// The ids of the special tokens, by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Specials {
    /// Begins a sample: `<s>`.
    pub bos: u32,
    /// Ends a segment: `</s>`.
    pub eos: u32,
    /// Fills up a batch: `<pad>`.
    pub pad: u32,
    /// What the vocabulary cannot say: `<unk>`.
    pub unk: u32,
    /// Stands for a token that is to be guessed: `<mask>`.
    pub mask: u32,
}

impl Specials {
    /// All five.
    pub fn all(&self) -> [u32; 5] {
        [self.bos, self.eos, self.pad, self.unk, self.mask]
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

    pub(super) fn of(tokenizer: &tokenizers::Tokenizer) -> Result<Self, CorpusError> {
        let mut missing = Vec::new();
        let mut find = |token: &str| {
            tokenizer.token_to_id(token).unwrap_or_else(|| {
                missing.push(token.to_owned());
                0
            })
        };
        let specials = Specials {
            bos: find("<s>"),
            eos: find("</s>"),
            pad: find("<pad>"),
            unk: find("<unk>"),
            mask: find("<mask>"),
        };
        if !missing.is_empty() {
            let reason = format!("its vocabulary has no {}", missing.join(", "));
            return Err(CorpusError::Tokenizer(reason));
        }
        // Ids may have gaps; what counts is the largest.
        let size = tokenizer.get_vocab(true).into_values().max().map_or(0, |id| id + 1);
        // The byte-level alphabet writes a space as Ġ.
        let word_start = |id| tokenizer.id_to_token(id).is_some_and(|token| token.starts_with('Ġ'));
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

fn to_hex<S: Serializer>(words: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&words.iter().map(|word| format!("{word:016x}")).collect::<String>())
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    let digits = String::deserialize(deserializer)?;
    let word = |at: usize| digits.get(at..at + 16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let words: Option<Vec<u64>> = (0..digits.len()).step_by(16).map(word).collect();
    words.ok_or_else(|| serde::de::Error::custom("word_starts is not made of words of 16 hexadecimal digits"))
}
