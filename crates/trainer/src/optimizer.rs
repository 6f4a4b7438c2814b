//! The update rules: a gradient to new weights. Knows the plan's numbers and where tensors lie; neither steps nor
//! schedules.

use aten::adam::{AdamArgs, AdamVariant};
use plan::{Optimizer, OptimizerKind};
use tch::{Tensor, no_grad};

use crate::Error;
use crate::layout::Layout;

/// The buffers of an update: `Float` [N] each, but for `rounded`.
pub(crate) struct Buffers<'a> {
    pub weights: &'a Tensor,
    /// A copy of the weights, `BFloat16`, if the network computes with one.
    pub rounded: Option<&'a Tensor>,
    pub gradient: &'a Tensor,
    pub exp_avg: &'a Tensor,
    pub exp_avg_sq: &'a Tensor,
}

impl Buffers<'_> {
    fn part(&self, start: usize, len: usize) -> Result<[Tensor; 4], Error> {
        let part = |buffer: &Tensor| buffer.f_narrow(0, start as i64, len as i64);
        let Buffers { weights, gradient, exp_avg, exp_avg_sq, .. } = self;
        Ok([part(weights)?, part(gradient)?, part(exp_avg)?, part(exp_avg_sq)?])
    }
}

/// What to multiply the gradient by, so that its norm is `clip_norm` at most; 0 for no limit.
pub(crate) fn clip(clip_norm: f64, grad_norm: f64) -> f64 {
    // The constant keeps PyTorch's (`clip_grad_norm_`) and fairseq's arithmetic.
    let factor = clip_norm / (grad_norm + 1e-6);
    if clip_norm > 0.0 && factor < 1.0 { factor } else { 1.0 }
}

/// A step of the optimizer.
pub(crate) struct Step {
    /// Its number, from 1.
    pub number: u64,
    pub learning_rate: f64,
    /// What the gradient is multiplied by first.
    pub grad_scale: f64,
}

/// Updates weights and moments. LAMB leaves its direction in the gradient's buffer.
pub(crate) fn update(
    optimizer: &Optimizer,
    layout: &Layout,
    buffers: &Buffers<'_>,
    step: &Step,
) -> Result<(), Error> {
    let Step { number: step, learning_rate: lr, grad_scale } = *step;
    let ([beta1, beta2], eps) = (optimizer.betas, optimizer.epsilon);
    let (variant, is_lamb) = match optimizer.kind {
        OptimizerKind::FairseqAdam => (AdamVariant::Fairseq, false),
        OptimizerKind::AdamW => (AdamVariant::Torch, false),
        OptimizerKind::BertAdam => (AdamVariant::NoBiasCorrection, false),
        OptimizerKind::Lamb if optimizer.bias_correction => (AdamVariant::Torch, true),
        OptimizerKind::Lamb => (AdamVariant::NoBiasCorrection, true),
    };
    for span in layout.spans(optimizer.decay_exempts_bias_and_norm) {
        let weight_decay = if span.decay { optimizer.weight_decay } else { 0.0 };
        let [weights, gradient, exp_avg, exp_avg_sq] = buffers.part(span.start, span.len)?;
        let args = AdamArgs { lr, beta1, beta2, eps, weight_decay, step, grad_scale, variant };
        if is_lamb {
            aten::adam::direction(&weights, &gradient, &exp_avg, &exp_avg_sq, &args)?;
        } else {
            let rounded = buffers.rounded.map(|copy| copy.f_narrow(0, span.start as i64, span.len as i64));
            let rounded = rounded.transpose()?;
            aten::adam::step(&weights, &gradient, &exp_avg, &exp_avg_sq, rounded.as_ref(), &args)?;
        }
    }
    if is_lamb { walk(layout, buffers, lr, optimizer.decay_exempts_bias_and_norm) } else { Ok(()) }
}

/// The second half of LAMB (You et al. 2020, algorithm 2): every tensor goes in its direction, by the learning rate times
/// the norm of its weights. Tensors without decay go by the learning rate alone (google-research/albert,
/// `lamb_optimizer.py`), and so does one whose weights or direction are 0.
fn walk(layout: &Layout, buffers: &Buffers<'_>, lr: f64, exempt: bool) -> Result<(), Error> {
    for slot in layout.slots.iter().filter(|slot| slot.spec.trained) {
        let [mut weights, direction, ..] = buffers.part(slot.start, slot.spec.len())?;
        let norms = match slot.spec.decay || !exempt {
            true => [aten::adam::norm(&weights)?, aten::adam::norm(&direction)?],
            false => [0.0; 2],
        };
        let trust = if norms.iter().all(|&norm| norm > 0.0) { norms[0] / norms[1] } else { 1.0 };
        let _moved = weights.f_sub_(&direction.f_mul_scalar(lr * trust)?)?;
    }
    if let Some(rounded) = buffers.rounded {
        no_grad(|| rounded.shallow_clone().f_copy_(buffers.weights))?;
    }
    Ok(())
}
