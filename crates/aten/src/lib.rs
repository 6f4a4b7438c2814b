//! The libtorch operators that `tch` does not expose: exact fixed-point accumulation, fused Adam, layers that are
//! faster than its own, byte views of tensors, switches of the runtime, and Gloo process groups. Knows no model, no plan
//! and no network protocol.
//!
//! Tensors are shared, mutable memory, in libtorch as in `tch`: the functions here write through `&Tensor`, and the
//! caller sees to it that nobody else uses the same storage meanwhile. All of it works on CPU
//! tensors, and [`layers`] on any.

#![allow(unsafe_code)] // The one crate whose purpose is to call C++.

pub mod adam;
mod check;
mod error;
mod ffi;
pub mod fixed;
pub mod gloo;
pub mod layers;
mod memory;
pub mod runtime;

pub use error::Error;
pub use memory::{bytes, copy_from_bytes};
