//! Where a text can be cut so that the pieces encode as the whole, for the three tokenizers that this is known of, and
//! how the pre-tokenizer writes an ordinary piece. Every cut made here is one that the tokenizer makes too; it may
//! make more, inside a piece. Knows no tokens.

mod spaces;

use std::borrow::Cow;

use tokenizers::{NormalizerWrapper, PreTokenizerWrapper};

use super::Plain;
use spaces::Spaces;

/// How to cut a text.
#[derive(Debug)]
pub(super) enum Rule {
    /// GPT-2's, in front of white space and behind letters.
    ByteLevel,
    /// BERT's, at white space and around punctuation.
    WordPiece {
        /// Whether capitals are lost.
        lowercase: bool,
    },
    /// SentencePiece's, at spaces.
    Spaces(Box<Spaces>),
    /// Not at all.
    Whole,
}

impl Rule {
    pub(super) fn of(plain: &Plain) -> Self {
        let tokenizer = plain.inner();
        // A token that was added and is not special is looked for in the whole text.
        #[expect(
            clippy::disallowed_methods,
            reason = "whether all are special does not depend on their order"
        )]
        let all_special = tokenizer.get_added_tokens_decoder().values().all(|token| token.special);
        match (tokenizer.get_normalizer(), tokenizer.get_pre_tokenizer()) {
            _ if !all_special => Rule::Whole,
            (None, Some(PreTokenizerWrapper::ByteLevel(rule)))
                if rule.use_regex && !rule.add_prefix_space =>
            {
                Rule::ByteLevel
            }
            (
                Some(NormalizerWrapper::BertNormalizer(rule)),
                Some(PreTokenizerWrapper::BertPreTokenizer(_)),
            ) if rule.clean_text => Rule::WordPiece { lowercase: rule.lowercase },
            (Some(normalizer), Some(pre_tokenizer)) => Spaces::of(plain, normalizer, pre_tokenizer)
                .map_or(Rule::Whole, |it| Rule::Spaces(Box::new(it))),
            _ => Rule::Whole,
        }
    }

    /// How the pre-tokenizer writes a piece that it leaves whole, as far as that is plain to see.
    pub(super) fn written<'a>(&self, word: &'a str) -> Option<Cow<'a, str>> {
        match self {
            Rule::ByteLevel => {
                let letters = word.strip_prefix(' ').unwrap_or(word);
                let plain = !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_alphabetic());
                // The byte-level alphabet writes a space as Ġ.
                let written = || if letters == word { word.into() } else { format!("Ġ{letters}").into() };
                plain.then(written)
            }
            Rule::WordPiece { lowercase } => {
                let letters = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
                let sign = word.len() == 1 && word.bytes().all(|byte| byte.is_ascii_punctuation());
                let capitals = *lowercase && word.bytes().any(|byte| byte.is_ascii_uppercase());
                let written = || if capitals { word.to_ascii_lowercase().into() } else { word.into() };
                (letters || sign).then(written)
            }
            Rule::Spaces(spaces) => spaces.written(word).map(Cow::Owned),
            Rule::Whole => None,
        }
    }
}

/// Cuts a text where no token of GPT-2's rule can cross: in front of white space, and behind letters if something else
/// follows (for ASCII and common quotes, which is most of it). The rule looks at nothing before the place where it
/// stands, so the pieces encode as the whole. Contractions stay whole, as they begin with their apostrophe.
pub(super) fn byte_level(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        // A single space is the common case.
        let visible = match rest.as_bytes() {
            [b' ', b'!'..=b'~', ..] => 1,
            [b'!'..=b'~', ..] => 0,
            _ => rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len()),
        };
        let (word, tail) = rest.split_at(visible + byte_level_end(&rest[visible..]));
        rest = tail;
        (!word.is_empty()).then_some(word)
    })
}

/// Where the first cut of a text is that begins with a visible character.
fn byte_level_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut letter) = (0, false);
    while let Some(&byte) = bytes.get(at) {
        at += match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {
                letter = true;
                1
            }
            b' ' | b'\t'..=b'\r' => return at,
            0..=0x7f if letter => return at,
            0..=0x7f => 1,
            _ if is_sign(&bytes[at..]) => {
                if letter {
                    return at;
                }
                3
            }
            _ => {
                // Rare: white space may be wider than a byte, and what is a letter is not decided here.
                letter = false;
                let char = text[at..].chars().next().unwrap_or_default();
                if char.is_whitespace() {
                    return at;
                }
                char.len_utf8()
            }
        };
    }
    at
}

/// Whether a text begins with one of U+2010 to U+2027: dashes, quotes, dots and other punctuation, three bytes each.
fn is_sign(bytes: &[u8]) -> bool {
    matches!(bytes, [0xe2, 0x80, 0x90..=0xa7, ..])
}

/// Cuts a text at white space and around punctuation, as far as both are ASCII or common signs. BERT's rules look at
/// one character at a time (what its decomposition reorders, accents, stays behind the letter), and cut there too.
pub(super) fn word_piece(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while bytes.get(at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            at += 1;
        }
        let start = at;
        while let Some(&byte) = bytes.get(at) {
            let sign = match byte {
                b' ' | b'\t' | b'\n' | b'\r' => break,
                0..=0x7f if byte.is_ascii_punctuation() => 1,
                0xe2 if is_sign(&bytes[at..]) => 3,
                // Inside of letters, digits, and whatever else.
                _ => {
                    at += 1;
                    continue;
                }
            };
            if at == start {
                at += sign;
            }
            break;
        }
        (start < at).then(|| &text[start..at])
    })
}

#[cfg(test)]
mod tests;
