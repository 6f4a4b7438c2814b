//! Settings of RoBERTa, from a plan or from an exported model, and what follows from them alone: shapes, names,
//! counts. Knows no tensors.

use std::sync::Arc;

use corpus::{PackFormat, PackSpec, Sample, Specials, Vocabulary};
use plan::{ConfigError, Key, RunPlan};
use serde::Deserialize;
use serde_json::json;

use crate::common::masking::Masking;
use crate::common::shapes::{EncoderShape, layer_norm};
use crate::settings::read;
use crate::{Example, HostBatch, Init, ParameterSpec, Recipe, RecipeResult};

/// `[model]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelSettings {
    layers: usize,
    hidden: usize,
    heads: usize,
    feed_forward: usize,
    #[serde(default = "defaults::max_positions")]
    max_positions: usize,
    #[serde(default)]
    vocab_size: Option<usize>,
    #[serde(default = "defaults::dropout")]
    dropout: f64,
    #[serde(default = "defaults::dropout")]
    attention_dropout: f64,
    #[serde(default = "defaults::layer_norm_epsilon")]
    layer_norm_epsilon: f64,
    #[serde(default = "defaults::init_std")]
    init_std: f64,
}

/// `[objective]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectiveSettings {
    #[serde(default = "defaults::format")]
    format: PackFormat,
    #[serde(default = "defaults::max_len")]
    max_len: u32,
    #[serde(default = "defaults::mask_rate")]
    mask_rate: f64,
    #[serde(default = "defaults::mask_share")]
    mask_share: f64,
    #[serde(default = "defaults::random_share")]
    random_share: f64,
    #[serde(default = "defaults::mask_specials")]
    mask_specials: bool,
}

/// What is read from an exported `config.json`.
#[derive(Debug, Deserialize)]
struct HfConfig {
    num_hidden_layers: usize,
    hidden_size: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    vocab_size: usize,
    layer_norm_eps: f64,
}

/// The paper's numbers (Liu et al. 2019, table 9 and §2, §4), and fairseq's where the paper is silent.
mod defaults {
    use corpus::PackFormat;

    pub fn max_positions() -> usize {
        512
    }
    pub fn dropout() -> f64 {
        0.1
    }
    // fairseq, `modules/layer_norm.py`; BERT has 1e-12.
    pub fn layer_norm_epsilon() -> f64 {
        1e-5
    }
    // fairseq, `modules/transformer_sentence_encoder.py`, `init_bert_params`: not truncated.
    pub fn init_std() -> f64 {
        0.02
    }
    pub fn format() -> PackFormat {
        PackFormat::FullSentences
    }
    pub fn max_len() -> u32 {
        512
    }
    pub fn mask_rate() -> f64 {
        0.15
    }
    pub fn mask_share() -> f64 {
        0.8
    }
    pub fn random_share() -> f64 {
        0.1
    }
    // fairseq, `data/mask_tokens_dataset.py`, makes no exception for `<s>` and `</s>`.
    pub fn mask_specials() -> bool {
        true
    }
}

/// A RoBERTa with its objective.
#[derive(Debug)]
pub struct Roberta {
    pub(super) shape: EncoderShape,
    /// V: rows of the embedding table; those beyond the tokenizer's vocabulary are never used.
    vocab_size: usize,
    max_positions: usize,
    pub(super) dropout: f64,
    pub(super) attention_dropout: f64,
    pub(super) specials: Specials,
    pack: PackSpec,
    pub(super) masking: Masking,
    pub(super) mask_specials: bool,
}

/// Reads a plan.
pub fn parse(plan: &RunPlan, source: &str, vocabulary: &Vocabulary) -> RecipeResult {
    let model: ModelSettings = read(&plan.model.settings, "model", source)?;
    let objective: ObjectiveSettings = read(&plan.objective, "objective", source)?;
    Ok(Arc::new(Roberta::new(model, objective, source, vocabulary)?))
}

/// Reads an exported model. It can be evaluated; trained on, it would have the objective's defaults.
pub fn open(config: &serde_json::Value, source: &str, vocabulary: &Vocabulary) -> RecipeResult {
    let hf = HfConfig::deserialize(config)
        .map_err(|error| ConfigError::Syntax { place: source.to_owned(), reason: error.to_string() })?;
    let rows_before_first = vocabulary.specials.pad as usize + 1;
    let model = ModelSettings {
        layers: hf.num_hidden_layers,
        hidden: hf.hidden_size,
        heads: hf.num_attention_heads,
        feed_forward: hf.intermediate_size,
        max_positions: hf.max_position_embeddings.saturating_sub(rows_before_first),
        vocab_size: Some(hf.vocab_size),
        dropout: defaults::dropout(),
        attention_dropout: defaults::dropout(),
        layer_norm_epsilon: hf.layer_norm_eps,
        init_std: defaults::init_std(),
    };
    let max_len = defaults::max_len().min(model.max_positions as u32);
    let objective = ObjectiveSettings {
        format: defaults::format(),
        max_len,
        mask_rate: defaults::mask_rate(),
        mask_share: defaults::mask_share(),
        random_share: defaults::random_share(),
        mask_specials: defaults::mask_specials(),
    };
    Ok(Arc::new(Roberta::new(model, objective, source, vocabulary)?))
}

impl Roberta {
    fn new(
        model: ModelSettings,
        objective: ObjectiveSettings,
        source: &str,
        vocabulary: &Vocabulary,
    ) -> Result<Self, ConfigError> {
        let invalid = |(key, reason): (&str, String)| {
            let (place, key) = (source.to_owned(), key.to_owned());
            ConfigError::Invalid { place, key, reason }
        };
        model.check().map_err(invalid)?;
        objective.check(model.max_positions).map_err(invalid)?;
        let tokens = vocabulary.size as usize;
        let vocab_size = model.vocab_size.unwrap_or(tokens);
        if vocab_size < tokens {
            let reason = format!(
                "is {vocab_size}, but the tokenizer has {tokens} tokens; leave the key out, or use more"
            );
            return Err(invalid(("model.vocab_size", reason)));
        }
        let specials = vocabulary.specials;
        let mut excluded = specials.all().to_vec();
        excluded.sort_unstable();
        excluded.dedup();
        if !matches!(objective.format, PackFormat::FullSentences | PackFormat::DocSentences) {
            let reason = format!(
                "is {}; RoBERTa has no head for pairs: take full-sentences or doc-sentences",
                objective.format
            );
            return Err(invalid(("objective.format", reason)));
        }
        let pack = PackSpec::new(objective.format, objective.max_len)
            .map_err(|error| invalid(("objective.max_len", error.to_string())))?;
        Ok(Roberta {
            shape: EncoderShape {
                layers: model.layers,
                hidden: model.hidden,
                heads: model.heads,
                feed_forward: model.feed_forward,
                layer_norm_epsilon: model.layer_norm_epsilon,
                init_std: model.init_std,
            },
            vocab_size,
            max_positions: model.max_positions,
            dropout: model.dropout,
            attention_dropout: model.attention_dropout,
            masking: Masking {
                rate: objective.mask_rate,
                mask_share: objective.mask_share,
                random_share: objective.random_share,
                mask: specials.mask,
                vocabulary: vocabulary.size,
                excluded,
            },
            mask_specials: objective.mask_specials,
            specials,
            pack,
        })
    }

    /// Rows of the position table: fairseq counts positions from the padding's id + 1.
    fn position_rows(&self) -> usize {
        self.max_positions + self.specials.pad as usize + 1
    }
}

impl ModelSettings {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let sizes = [
            ("model.layers", self.layers),
            ("model.hidden", self.hidden),
            ("model.heads", self.heads),
            ("model.feed_forward", self.feed_forward),
            ("model.max_positions", self.max_positions),
        ];
        if let Some((key, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err((key, "must be at least 1".into()));
        }
        if !self.hidden.is_multiple_of(self.heads) {
            let reason = format!("is {}; it must be a multiple of model.heads = {}", self.hidden, self.heads);
            return Err(("model.hidden", reason));
        }
        let rates = [("model.dropout", self.dropout), ("model.attention_dropout", self.attention_dropout)];
        if let Some((key, rate)) = rates.iter().find(|(_, rate)| !(0.0..1.0).contains(rate)) {
            return Err((key, format!("is {rate}; it must be at least 0 and below 1")));
        }
        if !(self.layer_norm_epsilon > 0.0 && self.init_std >= 0.0) {
            let positive = self.layer_norm_epsilon > 0.0;
            let key = if positive { "model.init_std" } else { "model.layer_norm_epsilon" };
            return Err((key, "must not be negative, and layer_norm_epsilon not 0".into()));
        }
        Ok(())
    }
}

impl ObjectiveSettings {
    fn check(&self, max_positions: usize) -> Result<(), (&'static str, String)> {
        if self.max_len as usize > max_positions {
            let reason =
                format!("is {}; it must not exceed model.max_positions = {max_positions}", self.max_len);
            return Err(("objective.max_len", reason));
        }
        if !(self.mask_rate > 0.0 && self.mask_rate <= 1.0) {
            return Err((
                "objective.mask_rate",
                format!("is {}; it must lie above 0 and not above 1", self.mask_rate),
            ));
        }
        let shares = [self.mask_share, self.random_share];
        if shares.iter().any(|share| !(0.0..=1.0).contains(share)) || shares.iter().sum::<f64>() > 1.0 + 1e-9
        {
            let reason =
                format!("is {}; with random_share = {} it must lie between 0 and 1", shares[0], shares[1]);
            return Err(("objective.mask_share", reason));
        }
        Ok(())
    }
}

impl Recipe for Roberta {
    fn pack_spec(&self) -> PackSpec {
        self.pack
    }

    fn example(&self, sample: &Sample, key: Key) -> Example {
        self.masked(sample, key)
    }

    fn collate(&self, examples: &[Example]) -> HostBatch {
        HostBatch::collate(examples, self.pack.max_len() as usize, self.specials.pad)
    }

    fn expected_targets(&self, sequences: u64) -> f64 {
        self.masking.rate * f64::from(self.pack.max_len()) * sequences as f64
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let (h, v) = (self.shape.hidden, self.vocab_size);
        let normal = |zero_row| Init::Normal { std: self.shape.init_std, zero_row };
        let padding = Some(self.specials.pad as usize);
        let at = |name: &str| format!("roberta.embeddings.{name}");
        let mut specs = vec![
            ParameterSpec::weight(at("word_embeddings.weight"), &[v, h], normal(padding)),
            ParameterSpec::weight(
                at("position_embeddings.weight"),
                &[self.position_rows(), h],
                normal(padding),
            ),
            // RoBERTa has no segments; the file format has a row for them, and what was trained with fairseq has
            // zeros there.
            ParameterSpec::weight(at("token_type_embeddings.weight"), &[1, h], Init::Zeros).frozen(),
        ];
        specs.extend(layer_norm("roberta.embeddings.LayerNorm", h));
        specs.extend(self.shape.parameters("roberta.encoder"));
        specs.extend([
            ParameterSpec::weight("lm_head.dense.weight", &[h, h], normal(None)),
            ParameterSpec::vector("lm_head.dense.bias", h, Init::Zeros),
        ]);
        specs.extend(layer_norm("lm_head.layer_norm", h));
        specs.push(ParameterSpec::vector("lm_head.bias", v, Init::Zeros));
        specs
    }

    fn hf_config(&self) -> serde_json::Value {
        json!({
            "architectures": ["RobertaForMaskedLM"],
            "model_type": "roberta",
            "attention_probs_dropout_prob": self.attention_dropout,
            "bos_token_id": self.specials.bos,
            "eos_token_id": self.specials.eos,
            "pad_token_id": self.specials.pad,
            "hidden_act": "gelu",
            "hidden_dropout_prob": self.dropout,
            "hidden_size": self.shape.hidden,
            "initializer_range": self.shape.init_std,
            "intermediate_size": self.shape.feed_forward,
            "layer_norm_eps": self.shape.layer_norm_epsilon,
            "max_position_embeddings": self.position_rows(),
            "num_attention_heads": self.shape.heads,
            "num_hidden_layers": self.shape.layers,
            "tie_word_embeddings": true,
            "torch_dtype": "float32",
            "type_vocab_size": 1,
            "vocab_size": self.vocab_size,
        })
    }

    fn hf_tokenizer_config(&self) -> serde_json::Value {
        json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": self.max_positions,
            "bos_token": "<s>",
            "cls_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "mask_token": "<mask>",
        })
    }

    #[cfg(feature = "torch")]
    fn build(&self, parameters: &crate::Parameters) -> Box<dyn crate::Network> {
        Box::new(super::net::Net::new(self, parameters))
    }
}
