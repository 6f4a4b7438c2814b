//! Operators of layers with their gradients; those that are no products take one pass over the memory. Knows no
//! network.
//!
//! They compute on CPU tensors of `Float` or `BFloat16`, in `f32` in between, and fall back to libtorch's operators for
//! tensors that lie elsewhere. None can be differentiated twice.

use std::ffi::c_void;
use std::ptr;

use tch::{TchError, Tensor};

use crate::ffi::{self, Status};

/// Which elements dropout drops: a function of the seed and of an element's place, and of nothing else.
///
/// The elements of a row (of attention weights; otherwise of the whole tensor) are taken in fours, and each four shares
/// a 64-bit word of SplitMix64 over a counter that begins at the seed. An element is dropped if its 16 bits of the word
/// are below the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drops {
    /// Where the counter begins.
    pub seed: u64,
    /// Of 65,536: the probability with which an element is dropped.
    pub threshold: u16,
}

impl Drops {
    /// Drops nothing.
    pub const NONE: Drops = Drops { seed: 0, threshold: 0 };
}

/// `x Wᵀ + b`: `x` [.., in], `weight` [out, in], `bias` [out] to [.., out].
///
/// Products of floats are oneDNN's where it is faster than MKL: see [`products_by_onednn`].
///
/// # Errors
/// What libtorch says of shapes and types that do not fit.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, TchError> {
    // SAFETY: live tensors, and null for none.
    returned(|out| unsafe { ffi::cloze_linear(handle(x), handle(weight), optional(bias), out) })
}

/// Whether [`linear`] multiplies floats with oneDNN: on processors with AVX-512 that are not Intel's, where MKL uses
/// half as wide vectors. A fact of the machine, and a part of the numerics.
pub fn products_by_onednn() -> bool {
    // SAFETY: asks the processor and libtorch's list of operators.
    unsafe { ffi::cloze_products_by_onednn() != 0 }
}

/// `residual + x` with elements of `x` dropped and the others scaled up, so that means are kept; any shape.
///
/// # Errors
/// If `residual` is of another shape or type than `x`.
pub fn dropout(x: &Tensor, residual: Option<&Tensor>, drops: Drops) -> Result<Tensor, TchError> {
    let Drops { seed, threshold } = drops;
    // SAFETY: live tensors, and null for none.
    returned(|out| unsafe {
        ffi::cloze_dropout(handle(x), optional(residual), seed, u32::from(threshold), out)
    })
}

/// `dropout(softmax(scale * scores + mask))` over the last dimension: `scores` [B, N, L, L], `mask` [B, L] `Float`, 0
/// or -∞ for keys that are not to be seen.
///
/// # Errors
/// What does not fit.
pub fn attention_weights(
    scores: &Tensor,
    mask: Option<&Tensor>,
    scale: f64,
    drops: Drops,
) -> Result<Tensor, TchError> {
    let Drops { seed, threshold } = drops;
    // SAFETY: live tensors, and null for none.
    returned(|out| unsafe {
        ffi::cloze_attention_weights(handle(scores), optional(mask), scale, seed, u32::from(threshold), out)
    })
}

/// The GELU of the original BERT, `0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))`; any shape.
///
/// # Errors
/// For types that are not `Float` or `BFloat16`.
pub fn gelu_tanh(x: &Tensor) -> Result<Tensor, TchError> {
    // SAFETY: a live tensor.
    returned(|out| unsafe { ffi::cloze_gelu_tanh(handle(x), out) })
}

/// What the shim sees of a tensor.
fn handle(tensor: &Tensor) -> *const c_void {
    tensor.as_ptr().cast()
}

fn optional(tensor: Option<&Tensor>) -> *const c_void {
    tensor.map_or(ptr::null(), handle)
}

/// The tensor that a call leaves in its argument.
fn returned(call: impl FnOnce(*mut *mut c_void) -> Status) -> Result<Tensor, TchError> {
    let mut out = ptr::null_mut();
    call(&mut out).into_result().map_err(|error| TchError::Torch(error.to_string()))?;
    // SAFETY: after a success `out` is an at::Tensor on the heap that is ours alone, as tch keeps them.
    Ok(unsafe { Tensor::from_ptr(out.cast()) })
}
