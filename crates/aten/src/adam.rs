//! One step of Adam as one pass over the memory, in the variants that the reference implementations differ in. Knows
//! no schedule and no parameter groups: the caller passes this step's learning rate and decay.

use std::ptr;

use tch::{Kind, Tensor};

use crate::{Error, check, ffi};

/// Whose Adam it is. In all of them `m = beta1 m + (1-beta1) g` and `v = beta2 v + (1-beta2) g²`, and `t` is the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdamVariant {
    /// fairseq: `p -= lr wd p`, then `p -= lr √(1-beta2^t)/(1-beta1^t) · m/(√v + eps)`; `eps` is not bias-corrected.
    Fairseq,
    /// PyTorch's AdamW: `p *= 1 - lr wd`, then `p -= lr/(1-beta1^t) · m/(√v/√(1-beta2^t) + eps)`.
    Torch,
    /// BERT's original: `p -= lr (m/(√v + eps) + wd p)`, without bias correction.
    NoBiasCorrection,
}

/// What a step needs to know besides the tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamArgs {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay rate of the first moment, in [0, 1).
    pub beta1: f64,
    /// Decay rate of the second moment, in [0, 1).
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay; 0 for parameters without.
    pub weight_decay: f64,
    /// Number of this update, from 1.
    pub step: u64,
    /// What gradients are multiplied by first, 1 for nothing: for clipping.
    pub grad_scale: f64,
    /// Which formulas.
    pub variant: AdamVariant,
}

impl AdamArgs {
    /// The scalars of the kernel: computed in `f64`, rounded once to `f32`, like PyTorch does.
    fn scalars(&self) -> ffi::Adam {
        let t = self.step as f64;
        let bias_correction1 = 1.0 - self.beta1.powf(t);
        let sqrt_bias_correction2 = (1.0 - self.beta2.powf(t)).sqrt();
        let (variant, step_size, decay) = match self.variant {
            AdamVariant::Fairseq => {
                (0, self.lr * sqrt_bias_correction2 / bias_correction1, self.lr * self.weight_decay)
            }
            AdamVariant::Torch => (1, self.lr / bias_correction1, 1.0 - self.lr * self.weight_decay),
            AdamVariant::NoBiasCorrection => (2, self.lr, self.weight_decay),
        };
        ffi::Adam {
            variant,
            beta1: self.beta1 as f32,
            one_minus_beta1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            one_minus_beta2: (1.0 - self.beta2) as f32,
            eps: self.eps as f32,
            step_size: step_size as f32,
            decay: decay as f32,
            sqrt_bias_correction2: sqrt_bias_correction2 as f32,
            grad_scale: self.grad_scale as f32,
        }
    }
}

/// Updates `param`, `exp_avg` (m) and `exp_avg_sq` (v) in place from `grad`.
///
/// All four are contiguous `Float` tensors with the same number of elements. `rounded` gets a copy of the new `param`:
/// contiguous `BFloat16`, equally long, rounded to nearest and ties to even. The arithmetic is `f32`, element by
/// element, and its bits depend neither on the number of threads nor on where an element lies.
///
/// # Errors
/// [`Error::Torch`] for tensors of another kind, device, layout or length, for `step` 0 and for a beta outside [0, 1).
pub fn step(
    param: &Tensor,
    grad: &Tensor,
    exp_avg: &Tensor,
    exp_avg_sq: &Tensor,
    rounded: Option<&Tensor>,
    args: &AdamArgs,
) -> Result<(), Error> {
    let n = checked(param, grad, exp_avg, exp_avg_sq, args)?;
    if let Some(rounded) = rounded {
        check::dense("rounded", rounded)?;
        check::kind("rounded", rounded, &[Kind::BFloat16])?;
        check::numel("rounded", rounded, n)?;
    }
    if n == 0 {
        return Ok(());
    }
    // SAFETY: four contiguous f32 buffers and, unless it is null, one of bfloat16, of n elements each, checked above;
    // the scalars live through the call.
    let status = unsafe {
        ffi::cloze_adam_step(
            param.data_ptr().cast::<f32>(),
            rounded.map_or(ptr::null_mut(), |rounded| rounded.data_ptr().cast::<u16>()),
            grad.data_ptr().cast::<f32>(),
            exp_avg.data_ptr().cast::<f32>(),
            exp_avg_sq.data_ptr().cast::<f32>(),
            n as i64,
            &args.scalars(),
        )
    };
    status.into_result()
}

/// The first half of LAMB (You et al. 2020): updates the moments, and turns `grad` into the direction
/// `m/(√v + eps) + wd p`, which the caller scales tensor by tensor ([`norm`]). The variant says whether the moments are
/// corrected for their bias ([`AdamVariant::Torch`]) or not ([`AdamVariant::NoBiasCorrection`], as in ALBERT's
/// `lamb_optimizer.py`); the learning rate plays no part.
///
/// # Errors
/// As [`step`]; [`Error::Torch`] for the fairseq variant, which no LAMB has.
pub fn direction(
    param: &Tensor,
    grad: &Tensor,
    exp_avg: &Tensor,
    exp_avg_sq: &Tensor,
    args: &AdamArgs,
) -> Result<(), Error> {
    let n = checked(param, grad, exp_avg, exp_avg_sq, args)?;
    let mut scalars = AdamArgs { lr: 1.0, ..*args }.scalars();
    match args.variant {
        AdamVariant::Fairseq => return Err(Error::Torch("LAMB has no fairseq variant".into())),
        AdamVariant::Torch => {}
        AdamVariant::NoBiasCorrection => scalars.sqrt_bias_correction2 = 1.0,
    }
    scalars.decay = args.weight_decay as f32;
    if n == 0 {
        return Ok(());
    }
    // SAFETY: four contiguous f32 buffers of n elements each, checked above; the scalars live through the call.
    let status = unsafe {
        ffi::cloze_adam_direction(
            param.data_ptr().cast::<f32>(),
            grad.data_ptr().cast::<f32>(),
            exp_avg.data_ptr().cast::<f32>(),
            exp_avg_sq.data_ptr().cast::<f32>(),
            n as i64,
            &scalars,
        )
    };
    status.into_result()
}

/// The L2 norm of a contiguous `Float` tensor, summed in `f64`, with the same bits for any number of threads.
///
/// # Errors
/// [`Error::Torch`] for a tensor of another kind, device or layout.
pub fn norm(values: &Tensor) -> Result<f64, Error> {
    check::dense("values", values)?;
    check::kind("values", values, &[Kind::Float])?;
    let mut norm = 0.0;
    if values.numel() == 0 {
        return Ok(norm);
    }
    // SAFETY: contiguous f32 memory of that many elements, and a place for one f64.
    let status =
        unsafe { ffi::cloze_norm(values.data_ptr().cast::<f32>(), values.numel() as i64, &mut norm) };
    status.into_result()?;
    Ok(norm)
}

/// The number of elements of four buffers that fit together.
fn checked(
    param: &Tensor,
    grad: &Tensor,
    exp_avg: &Tensor,
    exp_avg_sq: &Tensor,
    args: &AdamArgs,
) -> Result<usize, Error> {
    let n = param.numel();
    for (name, tensor) in [("param", param), ("grad", grad), ("exp_avg", exp_avg), ("exp_avg_sq", exp_avg_sq)]
    {
        check::dense(name, tensor)?;
        check::kind(name, tensor, &[Kind::Float])?;
        check::numel(name, tensor, n)?;
    }
    if args.step == 0 || !(0.0..1.0).contains(&args.beta1) || !(0.0..1.0).contains(&args.beta2) {
        return Err(Error::Torch(format!("steps count from 1 and betas lie in [0, 1): {args:?}")));
    }
    Ok(n)
}
