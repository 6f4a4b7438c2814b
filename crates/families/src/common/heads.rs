//! What stands on top of an encoder, and the sums that a loss is made of. Knows hidden states and token ids, no
//! encoder.

use tch::{Kind, Reduction, TchError, Tensor, no_grad};

use super::encoder::{LayerNorm, Linear};
use crate::{LossSums, Parameters};

/// The head of masked language modelling: dense, GELU, layer norm, and a decoder that is the embedding table itself
/// with a bias of its own.
pub struct MaskedLmHead {
    dense: Linear,
    norm: LayerNorm,
    /// [V, H]
    table: Tensor,
    /// [V]
    bias: Tensor,
}

/// Where the tensors of a [`MaskedLmHead`] are.
pub struct MaskedLmNames {
    /// The dense layer, without `.weight`.
    pub dense: &'static str,
    /// The layer norm, without `.weight`.
    pub norm: &'static str,
    /// The embedding table, whole name.
    pub table: &'static str,
    /// The decoder's bias, whole name.
    pub bias: &'static str,
}

impl MaskedLmHead {
    /// The head on these parameters.
    pub fn new(parameters: &Parameters, names: &MaskedLmNames, layer_norm_epsilon: f64) -> Self {
        MaskedLmHead {
            dense: Linear::new(parameters, names.dense),
            norm: LayerNorm::new(parameters, names.norm, layer_norm_epsilon),
            table: parameters.get(names.table),
            bias: parameters.get(names.bias),
        }
    }

    /// [K, H] to [K, V].
    pub fn forward(&self, hidden: &Tensor) -> Result<Tensor, TchError> {
        let transformed = self.norm.forward(&self.dense.forward(hidden)?.f_gelu("none")?)?;
        transformed.f_linear(&self.table, Some(&self.bias))
    }
}

/// The cross entropy of `logits` [T, V] against `targets` [T], summed over the targets.
pub fn cross_entropy_sum(logits: &Tensor, targets: &Tensor) -> Result<LossSums, TchError> {
    // No target is ever left out, but libtorch wants to know which id would be.
    let loss = logits.f_cross_entropy_loss(targets, None::<&Tensor>, Reduction::Sum, -100, 0.0)?;
    // A guess is right if nothing scores higher than the target. (On CPUs, a maximum is several times cheaper than
    // the place of the maximum.)
    let correct = no_grad(|| {
        let of_target = logits.f_gather(1, &targets.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?;
        logits.f_amax([1], false)?.f_le_tensor(&of_target)?.f_sum(Kind::Int64)
    })?;
    Ok(LossSums { loss, correct })
}
