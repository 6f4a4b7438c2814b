//! Numbers that look like chance and are the same everywhere: a counter, mixed.
//! Knows nothing of what is drawn.

/// A stream of numbers with a key; the n-th is a pure function of key and n.
#[derive(Clone, Debug)]
pub struct Prng {
    key: u64,
    counter: u64,
}

impl Prng {
    /// The stream of a seed and of what it is drawn for.
    pub fn new(seed: u64, stream: u64) -> Prng {
        Prng { key: mix(seed ^ mix(stream.wrapping_add(1))), counter: 0 }
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        mix(self.key.wrapping_add(self.counter.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    /// A number below the bound, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // The high half of the product: the bias is below one in 2^40 for any bound that we have.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Whether something happens that does so in this many cases of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of the items.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// The finaliser of splitmix64.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A checksum of bytes that needs no dependency: 64-bit FNV-1a.
#[cfg(test)]
pub fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_repeatable_and_differ() {
        let draw = |seed, stream| {
            let mut prng = Prng::new(seed, stream);
            (0..8).map(|_| prng.below(1 << 30)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(2, 1));
        assert_ne!(draw(0, 0), draw(0, 1));
    }

    #[test]
    fn every_item_comes_about_equally_often() {
        let mut prng = Prng::new(7, 7);
        let mut counts = [0; 10];
        for _ in 0..100_000 {
            counts[prng.below(10)] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(fnv(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv(b"a"), 0xAF63_DC4C_8601_EC8C);
    }
}
