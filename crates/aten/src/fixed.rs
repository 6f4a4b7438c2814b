//! Sums that do not depend on their order: gradients as 64-bit fixed point. Knows no parameters and no steps.
//!
//! A value `g` with `|g| < 2^11` is stored as `round(g * 2^52)`, to nearest and ties to even. The sum of such integers
//! is exact and associative, so it does not matter which worker added which micro-batch. The sum itself wraps around:
//! whoever adds many values near the limit must watch the total, not only the parts.

use tch::{Kind, Tensor};

use crate::{Error, check, ffi};

/// Fractional bits of the fixed-point format.
pub const SCALE_BITS: u32 = 52;

/// Values must be smaller than this in magnitude.
const LIMIT: f64 = (1u64 << (63 - SCALE_BITS)) as f64;
const SCALE: f64 = (1u64 << SCALE_BITS) as f64;

/// `value` in fixed point, or `None` if it is not finite or not within ±2^11.
pub fn encode(value: f64) -> Option<i64> {
    // The comparison is false for NaN; the product is exact, so the rounding is the only one.
    (value.abs() < LIMIT).then(|| (value * SCALE).round_ties_even() as i64)
}

/// The nearest `f64` to a fixed-point number.
pub fn decode(fixed: i64) -> f64 {
    fixed as f64 / SCALE
}

/// Adds a gradient to a fixed-point accumulator: `acc[offset + i] += round(grad[i] * 2^52)`, in one pass.
///
/// `acc` is a contiguous `Int64` tensor; `grad` is a `Float` or `BFloat16` tensor of any shape, taken in row-major
/// order, whose elements fall into `acc[offset..offset + n]`. Returns true if any element was not finite or not within
/// ±2^11: such elements add 0, so the sum stays defined and the step can be called off by everyone alike.
///
/// # Errors
/// [`Error::Torch`] for tensors of another kind or device, and for a range outside of `acc`.
pub fn accumulate(acc: &Tensor, offset: i64, grad: &Tensor) -> Result<bool, Error> {
    write(acc, offset, grad, false)
}

/// The same into an accumulator in which nothing counts yet: `acc[offset + i] = round(grad[i] * 2^52)`, which saves
/// clearing and reading it.
///
/// # Errors
/// As [`accumulate`].
pub fn begin(acc: &Tensor, offset: i64, grad: &Tensor) -> Result<bool, Error> {
    write(acc, offset, grad, true)
}

fn write(acc: &Tensor, offset: i64, grad: &Tensor, first: bool) -> Result<bool, Error> {
    check::dense("acc", acc)?;
    check::kind("acc", acc, &[Kind::Int64])?;
    check::on_cpu("grad", grad)?;
    check::kind("grad", grad, &[Kind::Float, Kind::BFloat16])?;
    let grad = grad.f_contiguous()?;
    let bfloat16 = i32::from(grad.f_kind()? == Kind::BFloat16);
    let kind = ffi::Gradient { bfloat16, first: i32::from(first) };
    let (total, n) = (acc.numel(), grad.numel());
    let start =
        usize::try_from(offset).ok().filter(|start| start.checked_add(n).is_some_and(|end| end <= total));
    let Some(start) = start else {
        return Err(Error::Torch(format!("acc holds {total} elements, {n} do not fit at offset {offset}")));
    };
    if n == 0 {
        return Ok(false);
    }
    let mut overflowed = 0;
    // SAFETY: acc is contiguous i64 memory and start + n lies within it; grad is contiguous memory of n elements of the
    // type that is named, and lives until the end of this function.
    let status = unsafe {
        let acc = acc.data_ptr().cast::<i64>().add(start);
        ffi::cloze_fixed_accumulate(acc, grad.data_ptr(), n as i64, kind, &mut overflowed)
    };
    status.into_result()?;
    Ok(overflowed != 0)
}

/// Converts an accumulator back: `out[i] = acc[i] * 2^-52 * factor`, in one pass. Returns the L2 norm of `out`, summed in
/// double precision, with the same bits for any number of threads.
///
/// To be exact about the rounding: `acc[i]` is converted to `f64`, multiplied by the `f64` `2^-52 * factor`, and the
/// product converted to `f32`, each to nearest. `acc` is contiguous `Int64`, `out` contiguous `Float`, equally long.
///
/// # Errors
/// [`Error::Torch`] for tensors of another kind, device or length.
pub fn restore(acc: &Tensor, out: &Tensor, factor: f64) -> Result<f64, Error> {
    check::dense("acc", acc)?;
    check::kind("acc", acc, &[Kind::Int64])?;
    check::dense("out", out)?;
    check::kind("out", out, &[Kind::Float])?;
    let n = acc.numel();
    check::numel("out", out, n)?;
    if n == 0 {
        return Ok(0.0);
    }
    let (acc, out) = (acc.data_ptr().cast::<i64>(), out.data_ptr().cast::<f32>());
    let mut norm = 0.0;
    // SAFETY: both are contiguous memory of n elements of the types checked above.
    unsafe { ffi::cloze_fixed_restore(acc, out, n as i64, factor, &mut norm) }.into_result()?;
    Ok(norm)
}
