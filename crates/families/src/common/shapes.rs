//! Names, shapes and first values of the tensors that the families share, as Hugging Face Transformers names them.
//! Knows no network: it says what there is, not what is done with it.

use serde::{Deserialize, Serialize};

use crate::{Init, ParameterSpec};

/// The sizes of a stack of post-norm encoder layers (Devlin et al. 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EncoderShape {
    /// Number of layers.
    pub layers: usize,
    /// H, the width of the hidden states.
    pub hidden: usize,
    /// Attention heads; H is a multiple of them.
    pub heads: usize,
    /// Width inside the feed-forward block.
    pub feed_forward: usize,
    /// The function inside the feed-forward block.
    pub activation: Activation,
    /// Dropout of hidden states.
    pub dropout: f64,
    /// Dropout of attention weights.
    pub attention_dropout: f64,
    /// What is added to the variance in a layer norm.
    pub layer_norm_epsilon: f64,
    /// The weights at first.
    pub init: Init,
}

/// The Gaussian error linear unit (Hendrycks & Gimpel 2016), which the originals compute in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// With the error function.
    Gelu,
    /// With tanh in its place, as today's google-research/bert has it.
    GeluTanh,
}

impl Activation {
    /// Its name in `hidden_act` of an exported `config.json`.
    pub fn hf_name(self) -> &'static str {
        match self {
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu_new",
        }
    }

    /// The activation of that name, if it is one of the two.
    pub fn of_hf(name: &str) -> Option<Self> {
        match name {
            "gelu" => Some(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Some(Activation::GeluTanh),
            _ => None,
        }
    }
}

/// Where the tensors of one layer are, without `.weight` and `.bias`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerNames {
    /// Projection of queries; keys and values lie behind it.
    pub query: String,
    /// Projection of keys.
    pub key: String,
    /// Projection of values.
    pub value: String,
    /// Projection of what attention has gathered.
    pub projection: String,
    /// The layer norm behind it.
    pub attention_norm: String,
    /// Into the feed-forward block.
    pub expand: String,
    /// Out of it.
    pub contract: String,
    /// The layer norm behind it.
    pub output_norm: String,
}

impl LayerNames {
    /// BERT's names, which RoBERTa, ELECTRA and SpanBERT keep.
    pub fn plain(at: &str) -> Self {
        let at = |part: &str| format!("{at}.{part}");
        LayerNames {
            query: at("attention.self.query"),
            key: at("attention.self.key"),
            value: at("attention.self.value"),
            projection: at("attention.output.dense"),
            attention_norm: at("attention.output.LayerNorm"),
            expand: at("intermediate.dense"),
            contract: at("output.dense"),
            output_norm: at("output.LayerNorm"),
        }
    }
}

impl EncoderShape {
    /// The names of layers that share nothing: `prefix.layer.0…`.
    pub fn plain_names(&self, prefix: &str) -> Vec<LayerNames> {
        (0..self.layers).map(|layer| LayerNames::plain(&format!("{prefix}.layer.{layer}"))).collect()
    }

    /// The tensors of layers with these names; a name that several layers share is listed once.
    ///
    /// The weights of query, key and value lie one behind the other, and so do their biases: the network multiplies
    /// with all three at once.
    pub fn parameters(&self, layers: &[LayerNames]) -> Vec<ParameterSpec> {
        let mut listed = std::collections::BTreeSet::new();
        let mut specs = Vec::new();
        for names in layers {
            let fresh = self.layer(names).into_iter().filter(|spec| listed.insert(spec.name.clone()));
            specs.extend(fresh);
        }
        specs
    }

    fn layer(&self, names: &LayerNames) -> Vec<ParameterSpec> {
        let (h, f) = (self.hidden, self.feed_forward);
        let weight =
            |at: &str, shape: [usize; 2]| ParameterSpec::weight(format!("{at}.weight"), &shape, self.init);
        let bias = |at: &str, len| ParameterSpec::vector(format!("{at}.bias"), len, Init::Zeros);
        let mut specs = vec![
            weight(&names.query, [h, h]),
            weight(&names.key, [h, h]).stacked(),
            weight(&names.value, [h, h]).stacked(),
            bias(&names.query, h),
            bias(&names.key, h).stacked(),
            bias(&names.value, h).stacked(),
            weight(&names.projection, [h, h]),
            bias(&names.projection, h),
        ];
        specs.extend(layer_norm(&names.attention_norm, h));
        specs.extend([
            weight(&names.expand, [f, h]),
            bias(&names.expand, f),
            weight(&names.contract, [h, f]),
            bias(&names.contract, h),
        ]);
        specs.extend(layer_norm(&names.output_norm, h));
        specs
    }
}

/// Weight and bias of a dense layer.
pub fn dense(at: &str, out: usize, width: usize, init: Init) -> [ParameterSpec; 2] {
    [
        ParameterSpec::weight(format!("{at}.weight"), &[out, width], init),
        ParameterSpec::vector(format!("{at}.bias"), out, Init::Zeros),
    ]
}

/// Scale and shift of a layer norm.
pub fn layer_norm(at: &str, width: usize) -> [ParameterSpec; 2] {
    [
        ParameterSpec::vector(format!("{at}.weight"), width, Init::Ones),
        ParameterSpec::vector(format!("{at}.bias"), width, Init::Zeros),
    ]
}
