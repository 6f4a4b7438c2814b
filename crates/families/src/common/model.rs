//! The keys of `[model]` that all families have, from a plan or from an exported `config.json`. Knows no family: what
//! a key is by default comes from the caller.

use plan::ConfigError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::shapes::{Activation, EncoderShape};
use crate::Init;

/// A key and what is wrong with it.
pub type Complaint = (&'static str, String);

/// `[model]`, as far as all families have it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// Number of layers.
    pub layers: usize,
    /// Width of the hidden states.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width inside the feed-forward block: four times the hidden width.
    pub feed_forward: Option<usize>,
    /// Longest sequence.
    #[serde(default = "max_positions")]
    pub max_positions: usize,
    /// Rows of the embedding table: as many as the tokenizer has tokens.
    pub vocab_size: Option<usize>,
    /// Dropout of hidden states.
    pub dropout: Option<f64>,
    /// Dropout of attention weights.
    pub attention_dropout: Option<f64>,
    /// What is added to the variance in a layer norm.
    pub layer_norm_epsilon: Option<f64>,
    /// Standard deviation of the weights at first.
    #[serde(default = "init_std")]
    pub init_std: f64,
    /// The function inside the feed-forward block.
    pub activation: Option<Activation>,
}

// All five papers.
fn max_positions() -> usize {
    512
}

// All five originals.
fn init_std() -> f64 {
    0.02
}

/// What a family takes where a configuration says nothing.
#[derive(Clone, Copy, Debug)]
pub struct ModelDefaults {
    /// Dropout of hidden states.
    pub dropout: f64,
    /// Dropout of attention weights.
    pub attention_dropout: f64,
    /// What is added to the variance in a layer norm.
    pub layer_norm_epsilon: f64,
    /// The function inside the feed-forward block.
    pub activation: Activation,
    /// Whether the first weights are drawn from a normal distribution whose tails are cut (TensorFlow's originals).
    pub truncated_init: bool,
}

impl ModelDefaults {
    /// What the weights hold at first.
    pub fn init(&self, std: f64) -> Init {
        match self.truncated_init {
            true => Init::TruncatedNormal { std },
            false => Init::Normal { std, zero_row: None },
        }
    }
}

impl ModelSettings {
    /// What an exported `config.json` says. `source` names it in messages.
    ///
    /// # Errors
    /// For a key that is missing, or an activation that is not known.
    pub fn of_hf(config: &Value, source: &str) -> Result<Self, ConfigError> {
        let hf = HfConfig::deserialize(config)
            .map_err(|error| ConfigError::Syntax { place: source.to_owned(), reason: error.to_string() })?;
        let activation = Activation::of_hf(&hf.hidden_act).ok_or_else(|| ConfigError::Invalid {
            place: source.to_owned(),
            key: "hidden_act".into(),
            reason: format!("is {}; what is known is gelu and gelu_new", hf.hidden_act),
        })?;
        Ok(ModelSettings {
            layers: hf.num_hidden_layers,
            hidden: hf.hidden_size,
            heads: hf.num_attention_heads,
            feed_forward: Some(hf.intermediate_size),
            max_positions: hf.max_position_embeddings,
            vocab_size: Some(hf.vocab_size),
            dropout: Some(hf.hidden_dropout_prob),
            attention_dropout: Some(hf.attention_probs_dropout_prob),
            layer_norm_epsilon: Some(hf.layer_norm_eps),
            init_std: hf.initializer_range,
            activation: Some(activation),
        })
    }

    /// The sizes of the encoder.
    ///
    /// # Errors
    /// Which key cannot be, and why.
    pub fn shape(&self, defaults: &ModelDefaults) -> Result<EncoderShape, Complaint> {
        let shape = EncoderShape {
            layers: self.layers,
            hidden: self.hidden,
            heads: self.heads,
            feed_forward: self.feed_forward.unwrap_or(4 * self.hidden),
            activation: self.activation.unwrap_or(defaults.activation),
            dropout: self.dropout.unwrap_or(defaults.dropout),
            attention_dropout: self.attention_dropout.unwrap_or(defaults.attention_dropout),
            layer_norm_epsilon: self.layer_norm_epsilon.unwrap_or(defaults.layer_norm_epsilon),
            init: defaults.init(self.init_std),
        };
        self.check(&shape)?;
        Ok(shape)
    }

    fn check(&self, shape: &EncoderShape) -> Result<(), Complaint> {
        let sizes = [
            ("model.layers", shape.layers),
            ("model.hidden", shape.hidden),
            ("model.heads", shape.heads),
            ("model.feed_forward", shape.feed_forward),
            ("model.max_positions", self.max_positions),
        ];
        if let Some((key, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err((key, "must be at least 1".into()));
        }
        if !shape.hidden.is_multiple_of(shape.heads) {
            let reason =
                format!("is {}; it must be a multiple of model.heads = {}", shape.hidden, shape.heads);
            return Err(("model.hidden", reason));
        }
        let rates = [("model.dropout", shape.dropout), ("model.attention_dropout", shape.attention_dropout)];
        if let Some((key, rate)) = rates.iter().find(|(_, rate)| !(0.0..1.0).contains(rate)) {
            return Err((key, format!("is {rate}; it must be at least 0 and below 1")));
        }
        let (epsilon, std) = (shape.layer_norm_epsilon, self.init_std);
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            return Err(("model.layer_norm_epsilon", format!("is {epsilon}; it must be a positive number")));
        }
        if !(std >= 0.0 && std.is_finite()) {
            return Err(("model.init_std", format!("is {std}; it must be 0 or a positive number")));
        }
        Ok(())
    }

    /// V, the rows of the embedding table, for a tokenizer of that many tokens.
    ///
    /// # Errors
    /// If the tokens do not fit.
    pub fn rows(&self, tokens: u32) -> Result<usize, Complaint> {
        let rows = self.vocab_size.unwrap_or(tokens as usize);
        if rows < tokens as usize {
            let reason =
                format!("is {rows}, but the tokenizer has {tokens} tokens; leave the key out, or use more");
            return Err(("model.vocab_size", reason));
        }
        Ok(rows)
    }
}

/// What is read from an exported `config.json`; what is optional there has the default of Transformers.
#[derive(Debug, Deserialize)]
struct HfConfig {
    num_hidden_layers: usize,
    hidden_size: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    vocab_size: usize,
    #[serde(default = "hf::layer_norm_eps")]
    layer_norm_eps: f64,
    #[serde(default = "hf::hidden_act")]
    hidden_act: String,
    #[serde(default = "hf::dropout")]
    hidden_dropout_prob: f64,
    #[serde(default = "hf::dropout")]
    attention_probs_dropout_prob: f64,
    #[serde(default = "init_std")]
    initializer_range: f64,
}

mod hf {
    pub fn layer_norm_eps() -> f64 {
        1e-12
    }
    pub fn hidden_act() -> String {
        "gelu".into()
    }
    pub fn dropout() -> f64 {
        0.1
    }
}

/// The part of an exported `config.json` that all families have.
pub fn hf_config(shape: &EncoderShape, vocab_size: usize, positions: usize, init_std: f64) -> Value {
    json!({
        "attention_probs_dropout_prob": shape.attention_dropout,
        "hidden_act": shape.activation.hf_name(),
        "hidden_dropout_prob": shape.dropout,
        "hidden_size": shape.hidden,
        "initializer_range": init_std,
        "intermediate_size": shape.feed_forward,
        "layer_norm_eps": shape.layer_norm_epsilon,
        "max_position_embeddings": positions,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "tie_word_embeddings": true,
        "torch_dtype": "float32",
        "vocab_size": vocab_size,
    })
}

/// `base` with the entries of `more` added or replaced.
pub fn with(mut base: Value, more: Value) -> Value {
    if let (Value::Object(base), Value::Object(more)) = (&mut base, more) {
        base.extend(more);
    }
    base
}
