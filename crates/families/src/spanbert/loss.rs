//! SpanBERT's losses: the cross entropy of the masked tokens, seen from their own position, and of the tokens of spans,
//! seen from the ends of the span (Joshi et al. 2020, §3.2). Sums are made here, and divided elsewhere.

use tch::{TchError, Tensor};

use crate::Losses;
use crate::common::heads::cross_entropy;

/// `logits` [T, V] at the masked positions and the original ids `targets` [T].
pub fn masked_lm(logits: &Tensor, targets: &Tensor, losses: &mut Losses) -> Result<(), TchError> {
    losses.push(cross_entropy(logits, targets)?);
    Ok(())
}

/// `logits` [S, V] and the original ids `targets` [S].
pub fn span_boundary(logits: &Tensor, targets: &Tensor, losses: &mut Losses) -> Result<(), TchError> {
    losses.push(cross_entropy(logits, targets)?);
    Ok(())
}
