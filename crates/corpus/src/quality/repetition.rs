//! How much of a text repeats itself: lines, and sequences of words. Knows no thresholds.

use xxhash_rust::xxh3::xxh3_64;

/// How often 64-bit hashes were seen. Two different things with one hash are taken for one.
#[derive(Default)]
struct Seen {
    /// Hashes and their counts; the hash 0 is free.
    slots: Vec<(u64, u32)>,
}

impl Seen {
    /// Forgets everything, and makes room for so many hashes.
    fn reset(&mut self, count: usize) {
        self.slots.clear();
        self.slots.resize((2 * count).next_power_of_two(), (0, 0));
    }

    /// The slot of a hash, or the one where it will be.
    fn slot(&mut self, hash: u64) -> &mut (u64, u32) {
        let key = hash | 1;
        let mask = self.slots.len() - 1;
        let mut at = (hash >> 32) as usize & mask;
        while self.slots[at].0 != 0 && self.slots[at].0 != key {
            at = (at + 1) & mask;
        }
        &mut self.slots[at]
    }

    /// Counts a hash, and says how often it was seen by now.
    fn add(&mut self, hash: u64) -> u32 {
        let slot = self.slot(hash);
        *slot = (hash | 1, slot.1 + 1);
        slot.1
    }
}

/// The shares of lines, and of the bytes in lines, that were there before.
pub(super) fn duplicate_lines(text: &str) -> (f32, f32) {
    let lines = || text.split('\n').map(str::trim).filter(|line| !line.is_empty());
    let mut seen = Seen::default();
    seen.reset(lines().count());
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

/// A sequence of words: where it begins, and its hash.
type Gram = (u32, u64);

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
        let mut seen = Seen::default();
        let mut grams: Vec<Gram> = (0..).zip(self.hashes.iter().copied()).collect();
        for words in 2..=most {
            // Too few words for two of them that share no more than two.
            if 2 * words > self.len() + 2 {
                return None;
            }
            grams.truncate(grams.partition_point(|&(at, _)| at as usize + words <= self.len()));
            for (at, gram) in &mut grams {
                let next = self.hashes[*at as usize + words - 1];
                *gram = (gram.rotate_left(23) ^ next).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
            seen.reset(grams.len());
            let repeated = match words {
                ..=4 => self.commonest(&grams, words, &mut seen),
                _ => self.duplicates(&grams, words, &mut seen),
            };
            // A sequence comes again only where its beginning does: most need not be looked at in longer ones.
            grams.retain(|&(_, gram)| seen.slot(gram).1 > 1);
            if let Some(reason) = judge(words, share(repeated, total)) {
                return Some(reason);
            }
        }
        None
    }

    /// The bytes in all occurrences of the sequence that has most.
    fn commonest(&self, grams: &[Gram], words: usize, seen: &mut Seen) -> usize {
        let mut most = 0;
        for &(at, gram) in grams {
            let (at, count) = (at as usize, seen.add(gram));
            if count >= LEAST_COUNT {
                let len: usize = self.lens[at..at + words].iter().map(|&len| len as usize).sum();
                most = most.max(len * count as usize);
            }
        }
        most
    }

    /// The bytes in sequences that were seen before, none counted twice.
    fn duplicates(&self, grams: &[Gram], words: usize, seen: &mut Seen) -> usize {
        let (mut repeated, mut counted) = (0, 0);
        for &(at, gram) in grams {
            if seen.add(gram) > 1 {
                let at = at as usize;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// As [`Words::repeated`] has it, sequence by sequence.
    fn repeated(words: &[String], count: usize) -> usize {
        let (mut seen, mut most, mut all, mut counted) = (BTreeMap::new(), 0, 0, 0);
        for (at, gram) in words.windows(count).enumerate() {
            let times = seen.entry(gram).or_insert(0);
            *times += 1;
            if *times >= LEAST_COUNT {
                most = most.max(gram.concat().len() * *times as usize);
            }
            if *times > 1 {
                all += words[counted.max(at)..at + count].concat().len();
                counted = at + count;
            }
        }
        if count <= 4 { most } else { all }
    }

    proptest! {
        #[test]
        fn what_is_passed_over_repeats_nothing(list in prop::collection::vec("[a-c]{1,2}|d", 0..60)) {
            let mut words = Words::default();
            list.iter().for_each(|word| words.push(word));
            let mut shares = Vec::new();
            words.repeated(10, |count, found| { shares.push((count, found)); None::<()> });
            prop_assert_eq!(shares.len(), (2..=10).filter(|count| 2 * count <= list.len() + 2).count());
            for (count, found) in shares {
                prop_assert_eq!(found, share(repeated(&list, count), list.concat().len()), "{} words", count);
            }
        }
    }
}
