//! ALBERT's loss: the mean cross entropy of the masked tokens plus the mean cross entropy of the order of segments (Lan
//! et al. 2020, §3.1). Sums are made here, and divided elsewhere.

use tch::{TchError, Tensor};

use crate::Losses;
use crate::common::heads::cross_entropy;

/// `logits` [T, V] at the masked positions and the original ids `targets` [T].
pub fn masked_lm(logits: &Tensor, targets: &Tensor, losses: &mut Losses) -> Result<(), TchError> {
    losses.push(cross_entropy(logits, targets)?);
    Ok(())
}

/// `logits` [B, 2] and the classes of the pairs [B].
pub fn sentence_order(logits: &Tensor, relations: &Tensor, losses: &mut Losses) -> Result<(), TchError> {
    losses.push(cross_entropy(logits, relations)?);
    Ok(())
}
