//! Checks of tensor arguments, before their memory is handed to C++. Knows no operation.

use tch::{Device, Kind, Tensor};

use crate::Error;

/// Dense, contiguous CPU memory.
pub(crate) fn dense(name: &str, tensor: &Tensor) -> Result<(), Error> {
    on_cpu(name, tensor)?;
    if !tensor.is_contiguous() {
        return Err(Error::Torch(format!("{name} must be contiguous: call contiguous() on it")));
    }
    Ok(())
}

/// Dense CPU memory of any strides.
pub(crate) fn on_cpu(name: &str, tensor: &Tensor) -> Result<(), Error> {
    if !tensor.defined() {
        return Err(Error::Torch(format!("{name} is an undefined tensor")));
    }
    let device = tensor.device();
    if device != Device::Cpu || tensor.is_sparse() || tensor.is_mkldnn() {
        return Err(Error::Torch(format!("{name} must be a dense CPU tensor, and is on {device:?}")));
    }
    Ok(())
}

/// One of the given element types.
pub(crate) fn kind(name: &str, tensor: &Tensor, wanted: &[Kind]) -> Result<(), Error> {
    let kind = tensor.f_kind()?;
    if !wanted.contains(&kind) {
        return Err(Error::Torch(format!("{name} must hold {wanted:?}, and holds {kind:?}")));
    }
    Ok(())
}

/// As many elements as `n`.
pub(crate) fn numel(name: &str, tensor: &Tensor, n: usize) -> Result<(), Error> {
    if tensor.numel() != n {
        return Err(Error::Torch(format!("{name} must hold {n} elements, and holds {}", tensor.numel())));
    }
    Ok(())
}
