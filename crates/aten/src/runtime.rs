//! Switches and facts of the libtorch in this process. Knows no tensors. The switches are global: set them once, at
//! the start.

use crate::{Error, ffi};

/// Chooses deterministic algorithms (an operator without one then fails) or the fastest ones.
///
/// # Errors
/// [`Error::Torch`] if libtorch refuses.
pub fn set_deterministic(on: bool) -> Result<(), Error> {
    // SAFETY: takes a number and touches only libtorch's global context.
    unsafe { ffi::cloze_set_deterministic(i32::from(on)) }.into_result()
}

/// Uses `threads` threads inside an operator and one thread between operators. The number is part of the numerics.
///
/// It holds for the calling thread, and for others that have not computed anything yet: call it before they start.
///
/// # Errors
/// [`Error::Torch`] if `threads` is 0, or if the inter-operator pool is already running with more than one.
pub fn set_threads(threads: usize) -> Result<(), Error> {
    let Some(n) = i32::try_from(threads).ok().filter(|&n| n > 0) else {
        return Err(Error::Torch(format!("{threads} is no number of threads: use at least 1")));
    };
    tch::set_num_threads(n);
    // SAFETY: takes a number; the shim catches what libtorch throws.
    unsafe { ffi::cloze_set_interop_threads(1) }.into_result()
}

/// The instruction set that libtorch's CPU kernels use: `"AVX512"`, `"AVX2"`, `"DEFAULT"`, …
pub fn cpu_capability() -> String {
    // SAFETY: returns a text that take_message owns.
    ffi::take_message(unsafe { ffi::cloze_cpu_capability() })
}

/// The version of the libtorch that is loaded, such as `"2.11.0"`.
pub fn version() -> String {
    // SAFETY: returns a text that take_message owns.
    ffi::take_message(unsafe { ffi::cloze_version() })
}

/// Keeps the process's freed memory for what it allocates next, instead of giving it back to the system and having every
/// page cleared again: a fifth of a training step on a CPU was seen to go there. To be called once, early, before there
/// are threads; does nothing without glibc.
pub fn keep_freed_memory() {
    // SAFETY: changes settings of the allocator, under its own lock, and takes no arguments.
    unsafe { ffi::cloze_keep_freed_memory() }
}
