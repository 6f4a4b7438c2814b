//! The declarations of `cpp/shim.h`, and the way back from its statuses. Knows nothing of what the calls mean.

use std::ffi::{CStr, c_char, c_void};

use crate::Error;

const OK: i32 = 0;
const PEER_LOST: i32 = 2;

/// `cloze_status`: owns its message.
#[repr(C)]
#[must_use]
pub(crate) struct Status {
    kind: i32,
    message: *mut c_char,
}

impl Status {
    /// The status as a result; frees the message.
    pub(crate) fn into_result(self) -> Result<(), Error> {
        if self.kind == OK {
            return Ok(());
        }
        let message = take_message(self.message);
        Err(if self.kind == PEER_LOST { Error::PeerLost(message) } else { Error::Torch(message) })
    }
}

/// Copies a text that the shim allocated, and frees it.
pub(crate) fn take_message(message: *mut c_char) -> String {
    if message.is_null() {
        return String::new();
    }
    // SAFETY: not null, so it is a NUL-terminated text that the shim allocated for us.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    // SAFETY: allocated by the shim, and nobody uses it after this.
    unsafe { cloze_message_free(message) };
    text
}

/// `cloze_bytes`: lent for the length of a call.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Bytes {
    pub(crate) data: *const u8,
    pub(crate) len: usize,
}

/// `cloze_gradient`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Gradient {
    pub(crate) bfloat16: i32,
    pub(crate) first: i32,
}

/// `cloze_adam`.
#[repr(C)]
pub(crate) struct Adam {
    pub(crate) variant: i32,
    pub(crate) beta1: f32,
    pub(crate) one_minus_beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) one_minus_beta2: f32,
    pub(crate) eps: f32,
    pub(crate) step_size: f32,
    pub(crate) decay: f32,
    pub(crate) sqrt_bias_correction2: f32,
    pub(crate) grad_scale: f32,
}

/// `cloze_store`.
#[repr(C)]
pub(crate) struct Store {
    pub(crate) context: *mut c_void,
    pub(crate) set: extern "C" fn(*mut c_void, Bytes, Bytes, *mut c_void) -> i32,
    pub(crate) get: extern "C" fn(*mut c_void, Bytes, i64, *mut c_void) -> i32,
    pub(crate) add: extern "C" fn(*mut c_void, Bytes, i64, *mut i64, *mut c_void) -> i32,
    pub(crate) contains: extern "C" fn(*mut c_void, *const Bytes, usize, *mut i32, *mut c_void) -> i32,
    pub(crate) release: extern "C" fn(*mut c_void),
}

/// `cloze_gloo`: opaque.
#[repr(C)]
pub(crate) struct Gloo {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    pub(crate) fn cloze_message_free(message: *mut c_char);
    pub(crate) fn cloze_buffer_assign(buffer: *mut c_void, content: Bytes);

    pub(crate) fn cloze_fixed_accumulate(
        acc: *mut i64,
        grad: *const c_void,
        n: i64,
        kind: Gradient,
        overflowed: *mut i32,
    ) -> Status;
    pub(crate) fn cloze_fixed_restore(
        acc: *const i64,
        out: *mut f32,
        n: i64,
        factor: f64,
        norm: *mut f64,
    ) -> Status;
    pub(crate) fn cloze_adam_step(
        param: *mut f32,
        rounded: *mut u16,
        grad: *const f32,
        exp_avg: *mut f32,
        exp_avg_sq: *mut f32,
        n: i64,
        args: *const Adam,
    ) -> Status;

    pub(crate) fn cloze_adam_direction(
        param: *const f32,
        grad: *mut f32,
        exp_avg: *mut f32,
        exp_avg_sq: *mut f32,
        n: i64,
        args: *const Adam,
    ) -> Status;
    pub(crate) fn cloze_norm(values: *const f32, n: i64, out: *mut f64) -> Status;

    pub(crate) fn cloze_products_by_onednn() -> i32;
    pub(crate) fn cloze_linear(
        x: *const c_void,
        weight: *const c_void,
        bias: *const c_void,
        out: *mut *mut c_void,
    ) -> Status;
    pub(crate) fn cloze_dropout(
        x: *const c_void,
        residual: *const c_void,
        seed: u64,
        threshold: u32,
        out: *mut *mut c_void,
    ) -> Status;
    pub(crate) fn cloze_attention_weights(
        scores: *const c_void,
        mask: *const c_void,
        scale: f64,
        seed: u64,
        threshold: u32,
        out: *mut *mut c_void,
    ) -> Status;
    pub(crate) fn cloze_gelu_tanh(x: *const c_void, out: *mut *mut c_void) -> Status;

    pub(crate) fn cloze_set_deterministic(on: i32) -> Status;
    pub(crate) fn cloze_set_interop_threads(n: i32) -> Status;
    pub(crate) fn cloze_keep_freed_memory();
    pub(crate) fn cloze_cpu_capability() -> *mut c_char;
    pub(crate) fn cloze_version() -> *mut c_char;

    pub(crate) fn cloze_gloo_connect(
        store: Store,
        rank: i32,
        world: i32,
        address: *const c_char,
        timeout_ms: i64,
        out: *mut *mut Gloo,
    ) -> Status;
    pub(crate) fn cloze_gloo_all_reduce_sum(group: *mut Gloo, tensor: *const c_void) -> Status;
    pub(crate) fn cloze_gloo_broadcast(group: *mut Gloo, tensor: *const c_void, root: i32) -> Status;
    pub(crate) fn cloze_gloo_abort(group: *mut Gloo);
    pub(crate) fn cloze_gloo_free(group: *mut Gloo);
}
