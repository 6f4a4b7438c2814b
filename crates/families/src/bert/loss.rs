//! BERT's loss: the mean cross entropy of the masked tokens plus the mean cross entropy of the pairs (Devlin et al.
//! 2019, appendix A.2). Sums are made here, and divided elsewhere.

use tch::{TchError, Tensor};

use crate::Losses;
use crate::common::heads::cross_entropy;

/// `logits` [T, V] at the masked positions and the original ids `targets` [T].
pub fn masked_lm(logits: &Tensor, targets: &Tensor, losses: &mut Losses) -> Result<(), TchError> {
    losses.push(cross_entropy(logits, targets)?);
    Ok(())
}

/// `logits` [B, 2] and the classes of the pairs [B].
pub fn next_sentence(logits: &Tensor, relations: &Tensor, losses: &mut Losses) -> Result<(), TchError> {
    losses.push(cross_entropy(logits, relations)?);
    Ok(())
}
