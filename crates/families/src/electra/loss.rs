//! ELECTRA's losses: the generator's cross entropy at the masked positions, and the discriminator's binary cross entropy
//! at every token (Clark et al. 2020, §3.1). Sums are made here; divided and weighted they are elsewhere.

use tch::{Kind, Reduction, TchError, Tensor, no_grad};

use crate::common::heads::{cross_entropy, integer};
use crate::{Losses, Ratio, TermSum};

/// `logits` [T, V] at the masked positions and the original ids `targets` [T].
pub fn generator(logits: &Tensor, targets: &Tensor, losses: &mut Losses) -> Result<(), TchError> {
    losses.push(cross_entropy(logits, targets)?);
    Ok(())
}

/// `logits` [K] and whether each token was replaced, `Bool` [K].
///
/// Accuracy counts all tokens; precision those that the discriminator takes for replaced, recall those that are.
pub fn discriminator(logits: &Tensor, replaced: &Tensor, losses: &mut Losses) -> Result<(), TchError> {
    let targets = logits.numel() as i64;
    let logits = logits.f_to_kind(Kind::Float)?;
    let labels = replaced.f_to_kind(Kind::Float)?;
    let sum = logits.f_binary_cross_entropy_with_logits::<Tensor>(&labels, None, None, Reduction::Sum)?;
    losses.terms.push(TermSum { sum, targets: targets as u64 });
    no_grad(|| {
        let count = |truth: &Tensor| truth.f_sum(Kind::Int64);
        let taken = logits.f_gt(0.0)?;
        let found = count(&taken.f_logical_and(replaced)?)?;
        let right = count(&taken.f_eq_tensor(replaced)?)?;
        losses.ratios.extend([
            Ratio { hits: right, of: integer(targets)? },
            Ratio { hits: found.shallow_clone(), of: count(&taken)? },
            Ratio { hits: found, of: count(replaced)? },
        ]);
        Ok(())
    })
}
