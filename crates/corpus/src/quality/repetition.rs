//! How much of a text repeats itself: lines, and sequences of words. Knows no thresholds.

use xxhash_rust::xxh3::xxh3_64;

/// How often 64-bit hashes were seen. Two different things with one hash are taken for one.
struct Seen {
    /// 0 is free.
    keys: Vec<u64>,
    counts: Vec<u32>,
}

impl Seen {
    fn with_capacity(count: usize) -> Seen {
        let size = (2 * count).next_power_of_two();
        Seen { keys: vec![0; size], counts: vec![0; size] }
    }

    fn clear(&mut self) {
        self.keys.fill(0);
        self.counts.fill(0);
    }

    /// Counts a hash, and says how often it was seen by now.
    fn add(&mut self, hash: u64) -> u32 {
        let key = hash | 1;
        let mask = self.keys.len() - 1;
        let mut slot = (hash >> 32) as usize & mask;
        while self.keys[slot] != 0 && self.keys[slot] != key {
            slot = (slot + 1) & mask;
        }
        self.keys[slot] = key;
        self.counts[slot] += 1;
        self.counts[slot]
    }
}

/// The shares of lines, and of the bytes in lines, that were there before.
pub(super) fn duplicate_lines(text: &str) -> (f32, f32) {
    let lines = || text.split('\n').map(str::trim).filter(|line| !line.is_empty());
    let mut seen = Seen::with_capacity(lines().count());
    let (mut count, mut bytes, mut again, mut bytes_again) = (0usize, 0usize, 0usize, 0usize);
    for line in lines() {
        let repeated = usize::from(seen.add(xxh3_64(line.as_bytes())) > 1);
        (count, again) = (count + 1, again + repeated);
        (bytes, bytes_again) = (bytes + line.len(), bytes_again + repeated * line.len());
    }
    (share(again, count), share(bytes_again, bytes))
}

/// The words of a text, as hashes, and how long they are.
#[derive(Debug, Default)]
pub(super) struct Words {
    hashes: Vec<u64>,
    lens: Vec<u32>,
}

/// A sequence counts as the commonest only if it comes this often: in a short text, twice is chance.
const LEAST_COUNT: u32 = 3;

impl Words {
    pub fn push(&mut self, word: &str) {
        self.hashes.push(xxh3_64(word.as_bytes()));
        self.lens.push(u32::try_from(word.len()).unwrap_or(u32::MAX));
    }

    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// For sequences of 2 to `most` words, calls `judge` with their number of words and the share of the text that
    /// repeats: up to 4 words, that of the commonest sequence; from 5 on, that of all sequences seen before. Stops
    /// when it returns a reason.
    pub fn repeated<R>(&self, most: usize, mut judge: impl FnMut(usize, f32) -> Option<R>) -> Option<R> {
        let total: usize = self.lens.iter().map(|&len| len as usize).sum();
        let mut seen = Seen::with_capacity(self.len());
        let mut grams = self.hashes.clone();
        for words in 2..=most {
            if words > grams.len() {
                return None;
            }
            grams.truncate(self.len() + 1 - words);
            for (gram, next) in grams.iter_mut().zip(&self.hashes[words - 1..]) {
                *gram = (gram.rotate_left(23) ^ next).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
            seen.clear();
            let repeated = match words {
                ..=4 => self.commonest(&grams, words, &mut seen),
                _ => self.duplicates(&grams, words, &mut seen),
            };
            if let Some(reason) = judge(words, share(repeated, total)) {
                return Some(reason);
            }
        }
        None
    }

    /// The bytes in all occurrences of the sequence that has most.
    fn commonest(&self, grams: &[u64], words: usize, seen: &mut Seen) -> usize {
        let mut most = 0;
        for (at, &gram) in grams.iter().enumerate() {
            let count = seen.add(gram);
            if count >= LEAST_COUNT {
                let len: usize = self.lens[at..at + words].iter().map(|&len| len as usize).sum();
                most = most.max(len * count as usize);
            }
        }
        most
    }

    /// The bytes in sequences that were seen before, none counted twice.
    fn duplicates(&self, grams: &[u64], words: usize, seen: &mut Seen) -> usize {
        let (mut repeated, mut counted) = (0, 0);
        for (at, &gram) in grams.iter().enumerate() {
            if seen.add(gram) > 1 {
                let from = at.max(counted);
                repeated += self.lens[from..at + words].iter().map(|&len| len as usize).sum::<usize>();
                counted = at + words;
            }
        }
        repeated
    }
}

fn share(part: usize, whole: usize) -> f32 {
    if whole == 0 { 0.0 } else { part as f32 / whole as f32 }
}
