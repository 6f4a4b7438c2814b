//! Hashes of buffers, for comparing what should be equal on several machines. Knows bytes only; tells accidents apart,
//! not attacks.

use std::thread;

use tch::Tensor;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::Error;

/// Buffers are hashed in pieces of so many bytes, so that several threads can do it.
const PIECE: usize = 4 << 20;

/// XXH3, 128 bits, over the hashes of the tensors' pieces in order and then over the numbers. It is the same for any
/// number of threads.
pub(crate) fn digest(tensors: &[&Tensor], numbers: &[u64], threads: u32) -> Result<u128, Error> {
    let mut hasher = Xxh3::new();
    for tensor in tensors {
        for hash in hashes(aten::bytes(tensor)?, threads as usize) {
            hasher.update(&hash.to_le_bytes());
        }
    }
    for number in numbers {
        hasher.update(&number.to_le_bytes());
    }
    Ok(hasher.digest128())
}

/// The same of gradients as libtorch gives them, however they lie in memory.
pub(crate) fn gradient_digest(gradients: &[Tensor], threads: u32) -> Result<u128, Error> {
    let contiguous = gradients.iter().map(Tensor::f_contiguous).collect::<Result<Vec<_>, _>>()?;
    digest(&contiguous.iter().collect::<Vec<_>>(), &[], threads)
}

/// The hashes of the pieces of `bytes`.
fn hashes(bytes: &[u8], threads: usize) -> Vec<u128> {
    let pieces = bytes.len().div_ceil(PIECE);
    let share = pieces.div_ceil(threads.max(1)).max(1);
    let mut hashes = vec![0; pieces];
    thread::scope(|scope| {
        for (hashes, bytes) in hashes.chunks_mut(share).zip(bytes.chunks(share * PIECE)) {
            scope.spawn(move || {
                for (hash, piece) in hashes.iter_mut().zip(bytes.chunks(PIECE)) {
                    *hash = xxh3_128(piece);
                }
            });
        }
    });
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn every_byte_counts_and_threads_do_not() {
        let len = 3 * PIECE as i64 / 4 + 5;
        let values = Tensor::arange(len, (Kind::Float, Device::Cpu));
        let of = |threads| digest(&[&values], &[7], threads).unwrap();
        let before = of(1);
        assert_eq!([of(2), of(3), of(8)], [before; 3]);
        assert_ne!(digest(&[&values], &[8], 1).unwrap(), before);
        for place in [0, PIECE as i64 / 4, len - 1] {
            let _changed = values.get(place).fill_(-1.0);
            assert_ne!(of(2), before, "{place}");
            let _restored = values.get(place).fill_(place as f64);
            assert_eq!(of(2), before, "{place}");
        }
    }
}
