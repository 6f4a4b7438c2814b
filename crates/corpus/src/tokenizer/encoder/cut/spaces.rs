//! Cutting at spaces, for the normalisers that SentencePiece's models come with. They look at neighbours: accents join
//! letters, runs of spaces become one, and some characters become a space or nothing. So a cut is made only where an
//! ordinary character stands on both sides, one that is known to stay by itself.

use serde_json::{Value, json};
use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper, PreTokenizerWrapper};

use super::Plain;

/// Blocks whose characters neither join with their neighbours nor reorder: candidates for ordinary characters.
/// ASCII, Latin, Greek and Cyrillic letters, dashes and quotes.
const CANDIDATES: [std::ops::RangeInclusive<char>; 5] =
    ['!'..='~', '\u{a1}'..='\u{24f}', '\u{391}'..='\u{3ce}', '\u{400}'..='\u{45f}', '\u{2010}'..='\u{2027}'];
/// Above all candidates.
const LIMIT: usize = 0x2028;
const MARK: char = '▁';

/// What is known of single characters.
#[derive(Debug)]
pub(in super::super) struct Spaces {
    /// What ordinary characters become.
    becomes: Vec<Option<Box<str>>>,
    /// Which of tab, new line and space are spaces.
    spaces: [bool; 0x21],
    /// The tokens of spaces that nothing follows.
    behind: Vec<u32>,
}

impl Spaces {
    /// `None` if the tokenizer has rules that are not known to be local.
    pub(super) fn of(
        plain: &Plain,
        normalizer: &NormalizerWrapper,
        pre_tokenizer: &PreTokenizerWrapper,
    ) -> Option<Self> {
        let steps = serde_json::to_value(normalizer).ok()?;
        let words = serde_json::to_value(pre_tokenizer).ok()?;
        let splits = match words["pretokenizers"].as_array().map(Vec::as_slice) {
            Some([first, second]) if first["type"] == "WhitespaceSplit" && is_metaspace(second) => true,
            // Without squeezing, each space more would be a token more.
            None if is_metaspace(&words) && steps["normalizers"].as_array()?.last()? == &squeeze() => false,
            _ => return None,
        };
        if !is_local(&steps) {
            return None;
        }
        let becomes_of = |c: char| {
            let mut text = NormalizedString::from(String::from(c));
            normalizer.normalize(&mut text).ok()?;
            Some(text.get().to_owned())
        };
        let mut becomes = vec![None; LIMIT];
        for c in CANDIDATES.into_iter().flatten() {
            let text = becomes_of(c)?;
            let ordinary = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == MARK);
            becomes[c as usize] = ordinary.then(|| text.into_boxed_str());
        }
        let mut spaces = [false; 0x21];
        for c in ['\t', '\n', ' '] {
            let text = becomes_of(c)?;
            // Only the pre-tokenizer that splits at all white space knows others than the space.
            spaces[c as usize] = text == " " || splits && !text.is_empty() && text.trim().is_empty();
        }
        Some(Spaces { becomes, spaces, behind: plain.encode(" ") })
    }

    fn is_space(&self, byte: u8) -> bool {
        self.spaces.get(usize::from(byte)).is_some_and(|&space| space)
    }

    fn ordinary(&self, c: char) -> Option<&str> {
        self.becomes.get(c as usize)?.as_deref()
    }

    /// Whether spaces between these two can be left out. At an end of the text, they can.
    fn apart(&self, before: &str, after: &str) -> bool {
        let ordinary = |c: char| self.ordinary(c).is_some();
        before.chars().next_back().is_none_or(ordinary) && after.chars().next().is_none_or(ordinary)
    }

    /// The words of a text without the spaces between them, and the tokens behind them.
    pub(in super::super) fn words<'a>(&self, text: &'a str) -> (impl Iterator<Item = &'a str>, &[u32]) {
        let trimmed = text.trim_end_matches(|c| c == ' ' || c == '\n' && self.is_space(b'\n'));
        let (mut rest, behind) = match self.apart(trimmed, "") && trimmed.len() < text.len() {
            true => (trimmed, self.behind.as_slice()),
            false => (text, [].as_slice()),
        };
        let words = std::iter::from_fn(move || {
            let (word, tail) = self.first(rest);
            rest = tail;
            (!word.is_empty()).then_some(word)
        });
        (words, behind)
    }

    /// The first word, and what comes behind the spaces behind it.
    fn first<'a>(&self, text: &'a str) -> (&'a str, &'a str) {
        let bytes = text.as_bytes();
        let (mut at, mut start) = (0, 0);
        while at < bytes.len() {
            if !self.is_space(bytes[at]) {
                at += 1;
                continue;
            }
            let end = at;
            while bytes.get(at).is_some_and(|&byte| self.is_space(byte)) {
                at += 1;
            }
            if !self.apart(&text[..end], &text[at..]) {
                continue;
            }
            if end > 0 {
                return (&text[start..end], &text[at..]);
            }
            start = at;
        }
        (&text[start..], "")
    }

    /// How a word of ordinary characters is written.
    pub(super) fn written(&self, word: &str) -> Option<String> {
        if word.is_empty() || word.contains("``") || word.contains("''") {
            return None;
        }
        let mut written = String::from(MARK);
        for c in word.chars() {
            written.push_str(self.ordinary(c)?);
        }
        Some(written)
    }
}

/// What makes one space of many.
fn squeeze() -> Value {
    json!({ "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": " " })
}

fn is_metaspace(rule: &Value) -> bool {
    *rule == json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true })
}

/// Whether a normaliser is made of steps that leave what stands between two ordinary characters alone.
fn is_local(step: &Value) -> bool {
    match step["type"].as_str() {
        Some("Sequence") => step["normalizers"].as_array().is_some_and(|steps| steps.iter().all(is_local)),
        Some("NFC" | "NFD" | "NFKC" | "NFKD" | "StripAccents" | "Lowercase" | "Precompiled") => true,
        Some("Replace") => {
            let quotes =
                |marks: &str| json!({ "type": "Replace", "pattern": { "String": marks }, "content": "\"" });
            [squeeze(), quotes("``"), quotes("''")].contains(step)
        }
        _ => false,
    }
}
