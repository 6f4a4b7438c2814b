//! Tensors as plain bytes, for hashing, storing and loading without a copy in between. Knows no file format.

use std::slice;

use tch::Tensor;

use crate::{Error, check};

/// The memory of a contiguous CPU tensor, in row-major order and the machine's byte order.
///
/// The view borrows the tensor handle, but other handles may share the storage: do not write to it through any of them
/// while the view is alive.
///
/// # Errors
/// [`Error::Torch`] if the tensor is not contiguous or not on the CPU.
pub fn bytes(tensor: &Tensor) -> Result<&[u8], Error> {
    let len = size_in_bytes(tensor)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: a contiguous CPU tensor is `len` bytes of initialised memory, kept alive by the borrowed handle.
    Ok(unsafe { slice::from_raw_parts(tensor.data_ptr().cast::<u8>(), len) })
}

/// Overwrites a part of a contiguous CPU tensor's memory, from byte `offset_bytes` on.
///
/// # Errors
/// [`Error::Torch`] if the tensor is not contiguous or not on the CPU, or if the bytes do not fit.
pub fn copy_from_bytes(tensor: &Tensor, offset_bytes: usize, source: &[u8]) -> Result<(), Error> {
    let len = size_in_bytes(tensor)?;
    if offset_bytes.checked_add(source.len()).is_none_or(|end| end > len) {
        let n = source.len();
        return Err(Error::Torch(format!(
            "{n} bytes do not fit at {offset_bytes} in a tensor of {len} bytes"
        )));
    }
    if source.is_empty() {
        return Ok(());
    }
    // SAFETY: the range was checked to lie within the tensor's memory. `copy` allows for overlap, so a source that is
    // a view of the same tensor does no harm.
    unsafe {
        let target = tensor.data_ptr().cast::<u8>().add(offset_bytes);
        std::ptr::copy(source.as_ptr(), target, source.len());
    }
    Ok(())
}

fn size_in_bytes(tensor: &Tensor) -> Result<usize, Error> {
    check::dense("tensor", tensor)?;
    Ok(tensor.numel() * tensor.f_kind()?.elt_size_in_bytes())
}
