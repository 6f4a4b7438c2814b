//! Names, shapes and first values of the tensors that the families share, as Hugging Face Transformers names them.
//! Knows no network: it says what there is, not what is done with it.

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
    /// What is added to the variance in a layer norm.
    pub layer_norm_epsilon: f64,
    /// Standard deviation of the weights at first.
    pub init_std: f64,
}

impl EncoderShape {
    /// The tensors of all layers; the names begin with `prefix`, as in `prefix.layer.0.attention…`.
    ///
    /// The weights of query, key and value lie one behind the other, and so do their biases: the network multiplies
    /// with all three at once.
    pub fn parameters(&self, prefix: &str) -> Vec<ParameterSpec> {
        (0..self.layers).flat_map(|layer| self.layer(&format!("{prefix}.layer.{layer}"))).collect()
    }

    fn layer(&self, at: &str) -> Vec<ParameterSpec> {
        let (h, f) = (self.hidden, self.feed_forward);
        let weight = |name: &str, shape: [usize; 2]| {
            let init = Init::Normal { std: self.init_std, zero_row: None };
            ParameterSpec::weight(format!("{at}.{name}.weight"), &shape, init)
        };
        let bias = |name: &str, len| ParameterSpec::vector(format!("{at}.{name}.bias"), len, Init::Zeros);
        let mut specs = vec![
            weight("attention.self.query", [h, h]),
            weight("attention.self.key", [h, h]).stacked(),
            weight("attention.self.value", [h, h]).stacked(),
            bias("attention.self.query", h),
            bias("attention.self.key", h).stacked(),
            bias("attention.self.value", h).stacked(),
            weight("attention.output.dense", [h, h]),
            bias("attention.output.dense", h),
        ];
        specs.extend(layer_norm(&format!("{at}.attention.output.LayerNorm"), h));
        specs.extend([
            weight("intermediate.dense", [f, h]),
            bias("intermediate.dense", f),
            weight("output.dense", [h, f]),
            bias("output.dense", h),
        ]);
        specs.extend(layer_norm(&format!("{at}.output.LayerNorm"), h));
        specs
    }
}

/// Scale and shift of a layer norm.
pub fn layer_norm(at: &str, width: usize) -> [ParameterSpec; 2] {
    [
        ParameterSpec::vector(format!("{at}.weight"), width, Init::Ones),
        ParameterSpec::vector(format!("{at}.bias"), width, Init::Zeros),
    ]
}
