//! Whole tokenizers around bare models, as BERT, RoBERTa and ALBERT have them: normaliser, pre-tokenizer, decoder,
//! template and special tokens. Knows not whether a model was imported or trained.

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::precompiled::Precompiled;
use tokenizers::normalizers::replace::Replace;
use tokenizers::normalizers::strip::StripAccents;
use tokenizers::normalizers::unicode::{NFKC, NFKD};
use tokenizers::normalizers::utils::{Lowercase, Sequence as Normalizers};
use tokenizers::normalizers::{BertNormalizer, NormalizerWrapper};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Model, Tokenizer as Inner};

use crate::{CorpusError, Tokenizer};

/// RoBERTa's first four, in the order of their ids; `<mask>` comes last of all.
pub(super) const BPE_SPECIALS: [&str; 4] = ["<s>", "<pad>", "</s>", "<unk>"];
pub(super) const BPE_MASK: &str = "<mask>";
/// BERT's, in the order of their ids in a vocabulary that is trained here.
pub(super) const WORD_PIECE_SPECIALS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// ALBERT's, in the order of their ids.
pub(super) const UNIGRAM_SPECIALS: [&str; 5] = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"];

/// What comes out of `tokenizers` when it does not like a model.
pub(super) fn failed(error: impl std::fmt::Display) -> CorpusError {
    CorpusError::Tokenizer(error.to_string())
}

/// A model, from what a `tokenizer.json` says of it.
pub(super) fn model<M: DeserializeOwned>(json: &Value) -> Result<M, CorpusError> {
    // Through text, as models borrow strings from what they are read from.
    serde_json::from_str(&json.to_string()).map_err(failed)
}

/// BERT's tokenizer around a WordPiece model.
pub(super) fn word_piece(model: WordPiece, lowercase: bool) -> Result<Tokenizer, CorpusError> {
    let template = two_segments(&model)?;
    let mut tokenizer = Inner::new(model);
    tokenizer.with_normalizer(Some(word_piece_normalizer(lowercase))).map_err(failed)?;
    tokenizer
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_decoder(Some(WordPieceDecoder::default()))
        .with_post_processor(Some(template));
    finish(tokenizer, WORD_PIECE_SPECIALS.map(|token| AddedToken::from(token, true)).to_vec())
}

/// BERT's: accents go with the capitals, and stay with them.
pub(super) fn word_piece_normalizer(lowercase: bool) -> BertNormalizer {
    BertNormalizer::new(true, true, Some(lowercase), lowercase)
}

/// RoBERTa's tokenizer around a byte-level BPE.
pub(super) fn byte_level_bpe(model: BPE) -> Result<Tokenizer, CorpusError> {
    let id = |token: &str| model.token_to_id(token).ok_or_else(|| missing(token));
    let (bos, eos) = (
        (BPE_SPECIALS[0].to_owned(), id(BPE_SPECIALS[0])?),
        (BPE_SPECIALS[2].to_owned(), id(BPE_SPECIALS[2])?),
    );
    let mut tokenizer = Inner::new(model);
    tokenizer
        .with_pre_tokenizer(Some(byte_level()))
        .with_decoder(Some(ByteLevel::default()))
        .with_post_processor(Some(
            RobertaProcessing::new(eos, bos).trim_offsets(true).add_prefix_space(false),
        ));
    let mask = AddedToken::from(BPE_MASK, true).lstrip(true);
    finish(tokenizer, BPE_SPECIALS.iter().map(|&token| AddedToken::from(token, true)).chain([mask]).collect())
}

/// GPT-2's rule, without a space in front of the text.
pub(super) fn byte_level() -> ByteLevel {
    ByteLevel::new(false, true, true)
}

/// How ALBERT writes text before it is cut.
#[derive(Clone, Debug)]
pub(super) struct UnigramNormalizer<'a> {
    pub lowercase: bool,
    pub keep_accents: bool,
    /// SentencePiece's table of characters; NFKC, which most such tables are made from, where there is none.
    pub charsmap: Option<&'a [u8]>,
}

impl UnigramNormalizer<'_> {
    pub(super) fn build(&self) -> Result<NormalizerWrapper, CorpusError> {
        let mut steps: Vec<NormalizerWrapper> = vec![
            Replace::new("``", "\"").map_err(failed)?.into(),
            Replace::new("''", "\"").map_err(failed)?.into(),
        ];
        if !self.keep_accents {
            steps.extend([NFKD.into(), StripAccents.into()]);
        }
        if self.lowercase {
            steps.push(Lowercase.into());
        }
        steps.push(match self.charsmap {
            Some(table) => Precompiled::from(table).map_err(failed)?.into(),
            None => NFKC.into(),
        });
        Ok(Normalizers::new(steps).into())
    }
}

/// Words are what stands between white space; each begins with `▁`.
pub(super) fn unigram_pre_tokenizer() -> PreTokenizers {
    PreTokenizers::new(vec![WhitespaceSplit.into(), metaspace().into()])
}

fn metaspace() -> Metaspace {
    Metaspace::new('▁', PrependScheme::Always, true)
}

/// ALBERT's tokenizer around a Unigram model.
pub(super) fn unigram(model: Unigram, normalizer: &UnigramNormalizer) -> Result<Tokenizer, CorpusError> {
    let template = two_segments(&model)?;
    let mut tokenizer = Inner::new(model);
    tokenizer.with_normalizer(Some(normalizer.build()?)).map_err(failed)?;
    tokenizer
        .with_pre_tokenizer(Some(unigram_pre_tokenizer()))
        .with_decoder(Some(metaspace()))
        .with_post_processor(Some(template));
    let [pad, unk, cls, sep, mask] = UNIGRAM_SPECIALS.map(|token| AddedToken::from(token, true));
    finish(tokenizer, vec![pad, unk, cls, sep, mask.lstrip(true)])
}

/// `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`.
fn two_segments(model: &impl Model) -> Result<TemplateProcessing, CorpusError> {
    let mut tokens = Vec::new();
    for token in ["[CLS]", "[SEP]"] {
        tokens.push((token, model.token_to_id(token).ok_or_else(|| missing(token))?));
    }
    TemplateProcessing::builder()
        .try_single("[CLS]:0 $A:0 [SEP]:0")
        .map_err(failed)?
        .try_pair("[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1")
        .map_err(failed)?
        .special_tokens(tokens)
        .build()
        .map_err(failed)
}

fn missing(token: &str) -> CorpusError {
    CorpusError::Tokenizer(format!("its vocabulary has no {token}"))
}

/// The special tokens have to be there already: no id is added.
fn finish(mut tokenizer: Inner, specials: Vec<AddedToken>) -> Result<Tokenizer, CorpusError> {
    for token in &specials {
        if tokenizer.get_model().token_to_id(&token.content).is_none() {
            return Err(missing(&token.content));
        }
    }
    tokenizer.add_special_tokens(specials).map_err(failed)?;
    Tokenizer::from_bytes(tokenizer.to_string(false).map_err(failed)?.as_bytes())
}
