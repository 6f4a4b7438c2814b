//! Counter-based randomness. A [`Key`] is derived from what a draw belongs to (seed, epoch, sample, …), so the
//! draw does not depend on who makes it or on what was drawn before. Knows nothing of what the draws are for.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The name of a random stream: a seed, narrowed step by step to the thing that the draws belong to.
///
/// ```
/// use plan::Key;
/// let masks = Key::root(42).named("mask").index(3).index(17);
/// assert_eq!(masks.stream().next_u64(), masks.stream().next_u64());
/// assert_ne!(masks, Key::root(42).named("mask").index(3).index(18));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    /// The root of all streams of a run.
    pub fn root(seed: u64) -> Self {
        Key(xxh3_64_with_seed(b"cloze", seed))
    }

    /// The stream's purpose: `"mask"`, `"dropout"`, `"order"`.
    pub fn named(self, purpose: &str) -> Self {
        Key(xxh3_64_with_seed(purpose.as_bytes(), self.0))
    }

    /// One of many streams with the same purpose: an epoch, a block, a sample.
    pub fn index(self, index: u64) -> Self {
        Key(xxh3_64_with_seed(&index.to_le_bytes(), self.0))
    }

    /// The key itself as a number, for generators that are seeded by one.
    pub fn value(self) -> u64 {
        self.0
    }

    /// The draws of this key, from the first.
    pub fn stream(self) -> Stream {
        Stream { key: self.0, counter: 0 }
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014) over a counter that starts at the key.
#[derive(Clone, Debug)]
pub struct Stream {
    key: u64,
    counter: u64,
}

/// The finaliser of SplitMix64: a bijection of 64-bit words with full avalanche.
pub(crate) fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl Stream {
    /// Uniform over all 64-bit words.
    pub fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.key.wrapping_add(self.counter))
    }

    /// Uniform over `0..bound` without bias (Lemire 2019).
    ///
    /// # Panics
    /// If `bound` is 0: there is nothing to choose from.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "cannot draw below 0");
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if (product as u64) >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// Uniform over `[0, 1)` with 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_uniform_enough() {
        let mut stream = Key::root(1).named("test").stream();
        let mut counts = [0u32; 10];
        for _ in 0..100_000 {
            counts[stream.below(10) as usize] += 1;
        }
        // Chi-square with 9 degrees of freedom: 27.9 is the 0.1 % point.
        let chi: f64 = counts.iter().map(|&c| (f64::from(c) - 1e4).powi(2) / 1e4).sum();
        assert!(chi < 27.9, "chi-square {chi}");
        let mean = (0..100_000).map(|_| stream.uniform()).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 0.005, "mean {mean}");
    }

    #[test]
    fn the_streams_are_pinned() {
        // A change here changes every run ever made: it must be on purpose.
        let mut stream = Key::root(42).named("mask").index(7).stream();
        let drawn: Vec<u64> = (0..3).map(|_| stream.next_u64()).collect();
        assert_eq!(drawn, PINNED, "the definition of a random stream has changed");
    }
    const PINNED: [u64; 3] =
        [12_570_666_782_957_534_454, 16_534_255_697_976_431_282, 9_143_807_761_953_580_568];
}
