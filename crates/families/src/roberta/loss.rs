//! RoBERTa's loss: the cross entropy of the masked tokens, and nothing else but in the ablation with pairs. It is
//! summed here and divided by the number of masked tokens of the whole step, over all workers, elsewhere (fairseq,
//! `trainer.py`).

use tch::{TchError, Tensor};

use crate::Losses;
use crate::common::heads::cross_entropy;

/// `logits` [T, V] at the masked positions and the original ids `targets` [T].
pub fn masked_lm(logits: &Tensor, targets: &Tensor, losses: &mut Losses) -> Result<(), TchError> {
    losses.push(cross_entropy(logits, targets)?);
    Ok(())
}

/// `logits` [B, 2] and the classes of the pairs [B] (Liu et al. 2019, §4.2).
pub fn next_sentence(logits: &Tensor, relations: &Tensor, losses: &mut Losses) -> Result<(), TchError> {
    losses.push(cross_entropy(logits, relations)?);
    Ok(())
}
