//! SentencePiece's `.model` files: a protobuf message, of which a few fields matter. Knows Unigram models only.

use prost::Message;
use tokenizers::models::unigram::Unigram;

use crate::tokenizer::dress::{self, UnigramNormalizer, failed};
use crate::{CorpusError, Tokenizer};

/// What Google took off the score of `3,` and the like, by cutting them again: see [`sentencepiece`].
const NUMBER_COMMA: f64 = 100.0;

/// What a `.model` does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentencePieceOptions {
    /// Whether text loses its capitals, as for all published ALBERTs.
    pub lowercase: bool,
    /// Whether text keeps its accents, as for no published ALBERT.
    pub keep_accents: bool,
}

/// `sentencepiece_model.proto`: the numbers of its fields are those of Google's file.
#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct Piece {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerSpec {
    /// 1 is Unigram, 2 BPE, 3 words, 4 characters.
    #[prost(int32, optional, tag = "3", default = "1")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "35")]
    byte_fallback: Option<bool>,
    #[prost(int32, optional, tag = "40", default = "0")]
    unk_id: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3", default = "true")]
    add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4", default = "true")]
    remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5", default = "true")]
    escape_whitespaces: Option<bool>,
}

/// A Unigram `.model` with ALBERT's special tokens, as `albert-base-v2`'s `tokenizer.json` has it.
///
/// Google's ALBERT cuts pieces such as `3,` again, so that numbers have no commas; as Transformers does, such pieces
/// get a score here with which they are never chosen. SentencePiece's symbols defined by the user are ordinary pieces
/// here, whose score of 0 is the best there is: that chooses them wherever SentencePiece does.
///
/// # Errors
/// [`CorpusError::Tokenizer`] if it is no such file, if the model is not Unigram, or if a special token is missing.
pub fn sentencepiece(model: &[u8], options: SentencePieceOptions) -> Result<Tokenizer, CorpusError> {
    let refused = |reason: String| Err(CorpusError::Tokenizer(reason));
    let proto = match ModelProto::decode(model) {
        Ok(proto) if !proto.pieces.is_empty() => proto,
        Ok(_) => return refused("it is not a SentencePiece model: it has no pieces".into()),
        Err(error) => return refused(format!("it is not a SentencePiece model: {error}")),
    };
    let trainer = proto.trainer.unwrap_or_default();
    match trainer.model_type() {
        1 => {}
        2 => return refused("its SentencePiece model is a BPE; only Unigram models are read".into()),
        other => return refused(format!("its SentencePiece model is of type {other}, not Unigram")),
    }
    if trainer.byte_fallback() {
        return refused("its SentencePiece model falls back to bytes; such models are not read".into());
    }
    let rules = proto.normalizer.unwrap_or_default();
    if !(rules.add_dummy_prefix() && rules.remove_extra_whitespaces() && rules.escape_whitespaces()) {
        let wanted = "add_dummy_prefix, remove_extra_whitespaces and escape_whitespaces";
        return refused(format!("its SentencePiece model was trained without {wanted}"));
    }
    let score = |piece: &Piece| {
        let score = f64::from(piece.score());
        if ends_with_number_comma(piece.piece()) { score - NUMBER_COMMA } else { score }
    };
    let vocabulary = proto.pieces.iter().map(|piece| (piece.piece().to_owned(), score(piece))).collect();
    let unk = usize::try_from(trainer.unk_id()).map_err(failed)?;
    let unigram = Unigram::from(vocabulary, Some(unk), false).map_err(failed)?;
    let charsmap = rules.precompiled_charsmap.as_deref().filter(|table| !table.is_empty());
    let (lowercase, keep_accents) = (options.lowercase, options.keep_accents);
    dress::unigram(unigram, &UnigramNormalizer { lowercase, keep_accents, charsmap })
}

/// As Python's `isdigit` has it, which knows more digits than ASCII's; pieces of published models have no others.
fn ends_with_number_comma(piece: &str) -> bool {
    piece.strip_suffix(',').is_some_and(|number| number.ends_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ModelProto {
        let pieces =
            [("<pad>", 0.0), ("<unk>", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[MASK]", 0.0), (".", 0.0)]
                .into_iter();
        let pieces =
            pieces.chain([("▁", -2.0), ("▁the", -3.0), ("▁3", -4.0), ("3,", -5.0), (",", -6.0), ("3", -6.5)]);
        let piece = |(piece, score): (&str, f32)| Piece { piece: Some(piece.to_owned()), score: Some(score) };
        ModelProto {
            pieces: pieces.map(piece).collect(),
            trainer: Some(TrainerSpec { model_type: Some(1), byte_fallback: None, unk_id: Some(1) }),
            normalizer: None,
        }
    }

    fn read(model: &ModelProto) -> Result<Tokenizer, CorpusError> {
        sentencepiece(&model.encode_to_vec(), SentencePieceOptions { lowercase: true, keep_accents: false })
    }

    #[test]
    fn a_model_is_read_as_albert_reads_it() {
        let albert = read(&model()).unwrap();
        let tokens = |text: &str| -> Vec<String> {
            albert.encode_sentence(text).into_iter().map(|id| albert.token(id).unwrap()).collect()
        };
        assert_eq!(tokens(" The  thé. "), ["▁the", "▁the", "."]);
        // Numbers have no commas, though "3," scores better than "3" and ",".
        assert_eq!(tokens("33, the"), ["▁3", "3", ",", "▁the"]);
        assert_eq!(tokens("the x"), ["▁the", "▁", "<unk>"]);
        assert_eq!(albert.specials().mask, 4);
        assert_eq!(Tokenizer::from_bytes(albert.json()).unwrap().hash(), albert.hash());
    }

    #[test]
    fn other_models_are_refused() {
        let refused = |change: fn(&mut ModelProto)| {
            let mut model = model();
            change(&mut model);
            read(&model).unwrap_err().to_string()
        };
        assert!(
            refused(|model| model.trainer.get_or_insert_default().model_type = Some(2)).contains("is a BPE")
        );
        assert!(
            refused(|model| model.trainer.get_or_insert_default().byte_fallback = Some(true))
                .contains("bytes")
        );
        assert!(refused(|model| model.pieces.truncate(3)).contains("no [SEP]"));
        assert!(refused(|model| model.pieces.clear()).contains("no pieces"));
        assert!(
            refused(|model| model.trainer.get_or_insert_default().unk_id = Some(-1))
                .contains("cannot be used")
        );
        assert!(
            refused(|model| model.normalizer =
                Some(NormalizerSpec { add_dummy_prefix: Some(false), ..Default::default() }))
            .contains("add_dummy_prefix")
        );
        assert!(
            sentencepiece(b"\xff\xff", SentencePieceOptions { lowercase: true, keep_accents: false })
                .is_err()
        );
    }
}
