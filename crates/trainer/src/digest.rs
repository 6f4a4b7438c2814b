//! Hashes of buffers, for comparing what should be equal on several machines. Knows bytes only; tells accidents apart,
//! not attacks.

use tch::Tensor;
use xxhash_rust::xxh3::Xxh3;

use crate::Error;

/// XXH3, 128 bits, over the bytes of all tensors in order and then over the numbers.
pub(crate) fn digest(tensors: &[&Tensor], numbers: &[u64]) -> Result<u128, Error> {
    let mut hasher = Xxh3::new();
    for tensor in tensors {
        hasher.update(aten::bytes(tensor)?);
    }
    for number in numbers {
        hasher.update(&number.to_le_bytes());
    }
    Ok(hasher.digest128())
}
