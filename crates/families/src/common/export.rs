//! What exported directories of all families have in common. Knows no family.

use serde_json::{Value, json};

use super::core::Core;

/// How the special tokens of BERT, ELECTRA and SpanBERT are spelt: `[CLS] [SEP] [PAD] [UNK] [MASK]`.
pub const BRACKETS: [&str; 5] = ["[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"];
/// Those of ALBERT.
pub const MIXED: [&str; 5] = ["[CLS]", "[SEP]", "<pad>", "<unk>", "[MASK]"];
/// Those of RoBERTa.
pub const ANGLES: [&str; 5] = ["<s>", "</s>", "<pad>", "<unk>", "<mask>"];

/// `tokenizer_config.json` beside a `tokenizer.json`, for special tokens spelt like this (in the order of
/// [`corpus::Specials`]).
pub fn tokenizer_config(core: &Core, [bos, eos, pad, unk, mask]: [&str; 5]) -> Value {
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": core.max_positions,
        "bos_token": bos,
        "cls_token": bos,
        "eos_token": eos,
        "sep_token": eos,
        "pad_token": pad,
        "unk_token": unk,
        "mask_token": mask,
    })
}
