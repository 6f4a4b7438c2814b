//! Encoding with what `tokenizers` has to offer, except that text never becomes a special token. Has no memory.

use tokenizers::{Model, Token, Tokenizer as Inner};

use super::{Specials, TokenizerKind};

/// A tokenizer of `tokenizers`, and what it must not give.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    inner: Inner,
    /// The special tokens, with the text that a model could take for them.
    forbidden: Vec<(u32, String)>,
}

impl Plain {
    pub(super) fn new(inner: Inner, specials: Specials, kind: TokenizerKind) -> Self {
        let spelt = |id: u32| inner.id_to_token(id).map(|token| (id, token));
        // Only a Unigram model tells what is unknown from what spells the unknown token.
        let ids =
            specials.all().into_iter().filter(|id| kind == TokenizerKind::Unigram || *id != specials.unk);
        let forbidden = ids.filter_map(spelt).collect();
        Plain { inner, forbidden }
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Whether none of these tokens may be a special one. An unknown token of a Unigram model may be.
    pub(super) fn allows(&self, ids: &[u32]) -> bool {
        !ids.iter().any(|id| self.forbidden.iter().any(|(special, _)| special == id))
    }

    /// The tokens of a text.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        // Byte-level BPE has no text that it cannot encode; a model without an unknown token gives nothing for it.
        let Ok(encoding) = self.inner.encode_fast(text, false) else { return Vec::new() };
        let ids = encoding.get_ids();
        if self.allows(ids) {
            return ids.to_vec();
        }
        // Rare: once more, with the text of the tokens.
        let Ok(encoding) = self.inner.encode(text, false) else { return Vec::new() };
        let mut allowed = Vec::with_capacity(encoding.len());
        for (&id, token) in encoding.get_ids().iter().zip(encoding.get_tokens()) {
            self.push(id, token, &mut allowed);
        }
        allowed
    }

    /// The tokens of what the pre-tokenizer gives: one word, with its marks.
    pub(super) fn encode_word(&self, word: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        for Token { id, value, .. } in self.inner.get_model().tokenize(word).unwrap_or_default() {
            self.push(id, &value, &mut ids);
        }
        ids
    }

    /// A Unigram model has its special tokens among its pieces, with the best score of all, so text that spells one
    /// becomes it: then the first character and the rest are encoded on their own, as SentencePiece does in effect.
    fn push(&self, id: u32, token: &str, ids: &mut Vec<u32>) {
        if !self.forbidden.iter().any(|(special, text)| *special == id && text == token) {
            return ids.push(id);
        }
        let first = token.chars().next().map_or(0, char::len_utf8);
        for part in [&token[..first], &token[first..]] {
            let tokens = self.inner.get_model().tokenize(part).unwrap_or_default();
            ids.extend(tokens.into_iter().map(|token| token.id));
        }
    }
}
