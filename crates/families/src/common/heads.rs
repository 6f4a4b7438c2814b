//! What stands on top of an encoder, and the sums that a loss is made of. Knows hidden states and token ids, no
//! encoder.
//!
//! In comments: T targets, B sequences, H width, E embedding width, V vocabulary.

use aten::layers;
use tch::{Kind, Reduction, TchError, Tensor, no_grad};

use super::encoder::{LayerNorm, Linear, activate};
use super::shapes::Activation;
use crate::{Parameters, Ratio, TermSum};

/// The head of masked language modelling: dense, GELU, layer norm, and a decoder that is the embedding table itself
/// with a bias of its own.
pub struct MaskedLmHead {
    dense: Linear,
    norm: LayerNorm,
    activation: Activation,
    /// [V, E]
    table: Tensor,
    /// [V]
    bias: Tensor,
}

/// Where the tensors of a [`MaskedLmHead`] are.
#[derive(Clone, Copy)]
pub struct MaskedLmNames<'a> {
    /// The dense layer, without `.weight`.
    pub dense: &'a str,
    /// The layer norm, without `.weight`.
    pub norm: &'a str,
    /// The embedding table, whole name.
    pub table: &'a str,
    /// The decoder's bias, whole name.
    pub bias: &'a str,
}

impl MaskedLmHead {
    /// The head on these parameters.
    pub fn new(
        parameters: &Parameters,
        names: &MaskedLmNames<'_>,
        activation: Activation,
        layer_norm_epsilon: f64,
    ) -> Self {
        MaskedLmHead {
            dense: Linear::new(parameters, names.dense),
            norm: LayerNorm::new(parameters, names.norm, layer_norm_epsilon),
            activation,
            table: parameters.get(names.table),
            bias: parameters.get(names.bias),
        }
    }

    /// [T, H] to [T, V].
    pub fn forward(&self, hidden: &Tensor) -> Result<Tensor, TchError> {
        let transformed = self.norm.forward(&activate(&self.dense.forward(hidden)?, self.activation)?)?;
        layers::linear(&transformed, &self.table, Some(&self.bias))
    }
}

/// The head that is asked about a pair of segments: the first token's hidden state through a dense layer with tanh (the
/// "pooler") to the scores of two classes.
pub struct PairHead {
    pooler: Linear,
    classifier: Linear,
}

impl PairHead {
    /// The head on `pooler` and `classifier`, without `.weight`.
    pub fn new(parameters: &Parameters, pooler: &str, classifier: &str) -> Self {
        PairHead { pooler: Linear::new(parameters, pooler), classifier: Linear::new(parameters, classifier) }
    }

    /// [B, H] to [B, 2].
    pub fn forward(&self, first: &Tensor) -> Result<Tensor, TchError> {
        self.classifier.forward(&self.pooler.forward(first)?.f_tanh()?)
    }
}

/// The cross entropy of `logits` [T, V] against `targets` [T], summed over the targets, and how many of them score
/// highest.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<(TermSum, Ratio), TchError> {
    let count = targets.numel() as u64;
    // No target is ever left out, but libtorch wants to know which id would be.
    let logits = logits.f_to_kind(Kind::Float)?;
    let sum = logits.f_cross_entropy_loss(targets, None::<&Tensor>, Reduction::Sum, -100, 0.0)?;
    if count == 0 {
        return Ok((TermSum { sum, targets: 0 }, Ratio { hits: integer(0)?, of: integer(0)? }));
    }
    // A guess is right if nothing scores higher than the target. (On CPUs, a maximum is several times cheaper than
    // the place of the maximum.)
    let hits = no_grad(|| {
        let of_target = logits.f_gather(1, &targets.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?;
        logits.f_amax([1], false)?.f_le_tensor(&of_target)?.f_sum(Kind::Int64)
    })?;
    Ok((TermSum { sum, targets: count }, Ratio { hits, of: integer(count as i64)? }))
}

/// A scalar `Int64`.
pub fn integer(value: i64) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(&[value])?.f_squeeze()
}
