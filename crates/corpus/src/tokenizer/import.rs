//! Tokenizers from the files that BERT, GPT-2, RoBERTa and ALBERT were published with. Takes bytes, knows no folders.

mod sentencepiece;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;

use super::dress;
use crate::{CorpusError, Tokenizer};

pub use sentencepiece::{SentencePieceOptions, sentencepiece};

/// Longer words are unknown whole, in BERT's `WordpieceTokenizer`.
pub(super) const LONGEST_WORD: usize = 100;

/// What a `vocab.txt` does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordPieceOptions {
    /// Whether text loses its capitals and accents: so for `uncased` vocabularies.
    pub lowercase: bool,
}

/// A BERT vocabulary: one token per line, `##` in front of tokens that go on with a word.
///
/// # Errors
/// [`CorpusError::Tokenizer`] if the file is not UTF-8, names a token twice or lacks a special token.
pub fn wordpiece(vocab_txt: &[u8], options: WordPieceOptions) -> Result<Tokenizer, CorpusError> {
    let lines = text("vocab.txt", vocab_txt)?;
    let mut seen = BTreeSet::new();
    let mut vocabulary = Vec::new();
    for (id, line) in lines.lines().enumerate() {
        if !seen.insert(line) {
            return Err(CorpusError::Tokenizer(format!("vocab.txt has {line:?} twice (line {})", id + 1)));
        }
        vocabulary.push(line.to_owned());
    }
    dress::word_piece(word_piece_model(vocabulary)?, options.lowercase)
}

/// The model of a vocabulary in the order of its ids.
pub(super) fn word_piece_model(vocabulary: Vec<String>) -> Result<WordPiece, CorpusError> {
    let vocab: BTreeMap<String, u32> = vocabulary.into_iter().zip(0..).collect();
    dress::model(&json!({
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": LONGEST_WORD,
        "vocab": vocab,
    }))
}

/// A byte-level BPE whose vocabulary has RoBERTa's special tokens: `vocab.json` and `merges.txt`.
///
/// # Errors
/// [`CorpusError::Tokenizer`] if a file is damaged, or a special token is missing, as they are in GPT-2's own files:
/// those become RoBERTa's by [`roberta`].
pub fn byte_level_bpe(vocab_json: &[u8], merges_txt: &[u8]) -> Result<Tokenizer, CorpusError> {
    dress::byte_level_bpe(bpe_model(vocabulary(vocab_json)?, merges(merges_txt)?)?)
}

/// RoBERTa, from GPT-2's `encoder.json` and `vocab.bpe` and fairseq's `dict.txt`, which lists GPT-2's ids in the
/// order of RoBERTa's. Without it, GPT-2's tokens keep their order, behind the special tokens.
///
/// # Errors
/// [`CorpusError::Tokenizer`] if a file is damaged, or if the dictionary is not one of GPT-2's ids.
pub fn fairseq(
    encoder_json: &[u8],
    vocab_bpe: &[u8],
    dict_txt: Option<&[u8]>,
) -> Result<Tokenizer, CorpusError> {
    let gpt2: BTreeMap<u32, String> =
        vocabulary(encoder_json)?.into_iter().map(|(token, id)| (id, token)).collect();
    let mut tokens: Vec<String> = dress::BPE_SPECIALS.map(str::to_owned).to_vec();
    match dict_txt {
        None => tokens.extend(gpt2.into_values()),
        Some(dictionary) => {
            for (number, line) in text("dict.txt", dictionary)?.lines().enumerate() {
                let symbol = line.split(' ').next().unwrap_or_default();
                // Others than ids fill the matrix up to a round size: madeupword0000.
                let token = match symbol.parse::<u32>() {
                    Ok(id) => gpt2.get(&id).cloned().ok_or_else(|| {
                        let place = format!("dict.txt:{}", number + 1);
                        CorpusError::Tokenizer(format!("{place}: encoder.json has no id {id}"))
                    })?,
                    Err(_) => symbol.to_owned(),
                };
                tokens.push(token);
            }
        }
    }
    tokens.push(dress::BPE_MASK.to_owned());
    let count = tokens.len();
    let ids: BTreeMap<String, u32> = tokens.into_iter().zip(0..).collect();
    if ids.len() != count {
        return Err(CorpusError::Tokenizer("dict.txt names a token twice".into()));
    }
    dress::byte_level_bpe(bpe_model(ids, merges(vocab_bpe)?)?)
}

/// A BPE model; the merges must speak of tokens that there are.
fn bpe_model(vocab: BTreeMap<String, u32>, merges: Vec<(&str, &str)>) -> Result<BPE, CorpusError> {
    dress::model(&json!({ "type": "BPE", "vocab": vocab, "merges": merges }))
}

fn vocabulary(json: &[u8]) -> Result<BTreeMap<String, u32>, CorpusError> {
    serde_json::from_slice(json).map_err(|error| {
        CorpusError::Tokenizer(format!("the vocabulary is not a JSON object of tokens and ids: {error}"))
    })
}

fn merges(merges_txt: &[u8]) -> Result<Vec<(&str, &str)>, CorpusError> {
    let mut merges = Vec::new();
    for (number, line) in text("the list of merges", merges_txt)?.lines().enumerate() {
        if line.is_empty() || line.starts_with("#version") {
            continue;
        }
        match line.split_once(' ') {
            Some((left, right)) if !right.contains(' ') => merges.push((left, right)),
            _ => {
                let reason = format!("line {} of the merges is not two tokens: {line:?}", number + 1);
                return Err(CorpusError::Tokenizer(reason));
            }
        }
    }
    Ok(merges)
}

fn text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, CorpusError> {
    std::str::from_utf8(bytes)
        .map_err(|error| CorpusError::Tokenizer(format!("{name} is not UTF-8: {error}")))
}

/// The tokenizer that some files are, by their names: `tokenizer.json`, or another `.json` alone; `vocab.json` and `merges.txt`, or
/// `encoder.json` and `vocab.bpe`, with `dict.txt` or without; a `.model` of SentencePiece; `vocab.txt`. Names may
/// have anything in front. Where a name holds `uncased`, or no `cased`, text is lowercased, unless `lowercase` says.
///
/// # Errors
/// [`CorpusError::Tokenizer`] if the names say nothing, or the files are damaged.
pub fn files(files: &[(&str, &[u8])], lowercase: Option<bool>) -> Result<Tokenizer, CorpusError> {
    let find = |end: &str| files.iter().find(|(name, _)| name.ends_with(end));
    let bytes = |end: &str| find(end).map(|(_, bytes)| *bytes);
    let lowers =
        |name: &str| lowercase.unwrap_or_else(|| name.contains("uncased") || !name.contains("cased"));
    if let Some(json) = bytes("tokenizer.json") {
        return Tokenizer::from_bytes(json);
    }
    // Under another name it is alone; but a vocabulary that is alone lacks its merges.
    if let [(name, json)] = files
        && name.ends_with(".json")
        && !["vocab.json", "encoder.json"].iter().any(|end| name.ends_with(end))
    {
        return Tokenizer::from_bytes(json);
    }
    if let (Some(vocabulary), Some(merges)) =
        (bytes("vocab.json").or(bytes("encoder.json")), bytes("merges.txt").or(bytes("vocab.bpe")))
    {
        return match bytes("dict.txt") {
            None if self::vocabulary(vocabulary)?.contains_key(dress::BPE_MASK) => {
                byte_level_bpe(vocabulary, merges)
            }
            dictionary => fairseq(vocabulary, merges, dictionary),
        };
    }
    if let Some((name, model)) = find(".model") {
        let options = SentencePieceOptions { lowercase: lowers(name), keep_accents: false };
        return sentencepiece(model, options);
    }
    if let Some((name, vocabulary)) = find("vocab.txt") {
        return wordpiece(vocabulary, WordPieceOptions { lowercase: lowers(name) });
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    Err(CorpusError::Tokenizer(format!(
        "no tokenizer is made of the files {names:?}; there are tokenizer.json, vocab.txt, vocab.json with merges.txt, \
         encoder.json with vocab.bpe (and dict.txt), and *.model"
    )))
}

#[cfg(test)]
mod tests;
