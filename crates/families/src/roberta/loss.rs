//! RoBERTa's loss: the cross entropy of the masked tokens, and nothing else. It is summed here and divided by the
//! number of masked tokens of the whole step, over all workers, elsewhere (fairseq, `trainer.py`).

use tch::{TchError, Tensor};

use crate::LossSums;
use crate::common::heads::cross_entropy_sum;

/// `logits` [T, V] at the masked positions and the original ids `targets` [T].
pub fn masked_lm(logits: &Tensor, targets: &Tensor) -> Result<LossSums, TchError> {
    cross_entropy_sum(logits, targets)
}
