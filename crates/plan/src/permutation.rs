//! A keyed permutation of `0..n` that needs no memory: a balanced Feistel network with cycle walking
//! (Black & Rogaway 2002). Knows nothing of what it permutes.

use crate::Key;
use crate::key::mix;

/// Rounds of the network. Four make a pseudo-random permutation (Luby & Rackoff 1988); six leave a margin for the
/// very short halves of small domains.
const ROUNDS: usize = 6;

/// A permutation of `0..len`, fixed by its key.
///
/// ```
/// use plan::{Key, Permutation};
/// let shuffle = Permutation::new(5, Key::root(1));
/// let mut image: Vec<u64> = (0..5).map(|i| shuffle.apply(i)).collect();
/// image.sort();
/// assert_eq!(image, [0, 1, 2, 3, 4]);
/// ```
#[derive(Clone, Debug)]
pub struct Permutation {
    len: u64,
    half_bits: u32,
    round_keys: [u64; ROUNDS],
}

impl Permutation {
    /// The permutation of `0..len` that `key` names.
    pub fn new(len: u64, key: Key) -> Self {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        let mut stream = key.named("feistel").stream();
        let round_keys = std::array::from_fn(|_| stream.next_u64());
        Permutation { len, half_bits: bits.div_ceil(2).max(1), round_keys }
    }

    /// How many elements are permuted.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing to permute.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where `index` goes.
    ///
    /// # Panics
    /// If `index` is outside the domain.
    pub fn apply(&self, index: u64) -> u64 {
        assert!(index < self.len, "index {index} outside a permutation of {}", self.len);
        // The network permutes a power of four that is less than four times `len`: few steps lead back inside.
        let mut walked = self.network(index);
        while walked >= self.len {
            walked = self.network(walked);
        }
        walked
    }

    fn network(&self, word: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (word >> self.half_bits, word & mask);
        for round_key in self.round_keys {
            (left, right) = (right, left ^ (mix(right ^ round_key) & mask));
        }
        (left << self.half_bits) | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_small_domain_is_permuted() {
        for len in 0..=600 {
            let permutation = Permutation::new(len, Key::root(len));
            let mut seen = vec![false; len as usize];
            for index in 0..len {
                let image = permutation.apply(index) as usize;
                assert!(!std::mem::replace(&mut seen[image], true), "{len}: {image} twice");
            }
        }
    }

    #[test]
    fn positions_are_uniform() {
        // Where element 0 of 8 lands, over many keys: chi-square with 7 degrees of freedom, 0.1 % point 24.3.
        let mut counts = [0u32; 8];
        for seed in 0..8_000 {
            counts[Permutation::new(8, Key::root(seed)).apply(0) as usize] += 1;
        }
        let chi: f64 = counts.iter().map(|&c| (f64::from(c) - 1e3).powi(2) / 1e3).sum();
        assert!(chi < 24.3, "chi-square {chi}: {counts:?}");
    }

    #[test]
    fn large_domains_stay_inside() {
        let permutation = Permutation::new((1 << 40) + 7, Key::root(3));
        for index in 0..1_000 {
            assert!(permutation.apply(index * 1_000_003) < permutation.len());
        }
    }
}
