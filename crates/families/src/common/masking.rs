//! Which tokens are hidden, and what stands in their place. Knows token ids only; every draw comes from the stream
//! that is passed in.

use plan::Stream;

use crate::Example;

/// Independent masking of single tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Masking {
    /// Share of the candidates that is to be predicted.
    pub rate: f64,
    /// Share of these that is replaced by the mask token.
    pub mask_share: f64,
    /// Share of these that is replaced by a random token; the others stay as they are.
    pub random_share: f64,
    /// The mask token.
    pub mask: u32,
    /// Number of ids that random tokens are drawn from, before `excluded` is taken out.
    pub vocabulary: u32,
    /// Ids that are never drawn as random tokens, ascending.
    pub excluded: Vec<u32>,
}

impl Masking {
    /// Masks `input_ids` in place of every draw of `stream`, with `candidates` as the positions that may be chosen.
    ///
    /// The number of targets is `int(rate * n + U)` with U uniform in [0, 1) and n the number of candidates, drawn
    /// without replacement (fairseq, `data/mask_tokens_dataset.py`), so that short sequences have the right rate on
    /// average.
    pub fn apply(&self, mut input_ids: Vec<u32>, candidates: Candidates, stream: &mut Stream) -> Example {
        let n = candidates.len(input_ids.len());
        let wanted = (self.rate * n as f64 + stream.uniform()) as usize;
        let chosen = choose(n, wanted.min(n), stream);
        let mut target_positions = Vec::with_capacity(wanted);
        let mut target_ids = Vec::with_capacity(wanted);
        for index in chosen.ones() {
            let position = candidates.position(index);
            let id = &mut input_ids[position];
            target_positions.push(position as u32);
            target_ids.push(*id);
            let share = stream.uniform();
            if share < self.mask_share {
                *id = self.mask;
            } else if share < self.mask_share + self.random_share {
                *id = self.random_id(stream);
            }
        }
        Example { input_ids, target_positions, target_ids }
    }

    /// Uniform over the ids that are not excluded.
    fn random_id(&self, stream: &mut Stream) -> u32 {
        let drawn = stream.below(u64::from(self.vocabulary) - self.excluded.len() as u64) as u32;
        // Every excluded id at or below moves what was drawn up by one.
        self.excluded.iter().fold(drawn, |id, &excluded| id + u32::from(excluded <= id))
    }
}

/// The positions that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidates<'a> {
    /// Every position.
    All,
    /// These, ascending.
    Only(&'a [u32]),
}

impl Candidates<'_> {
    fn len(self, positions: usize) -> usize {
        match self {
            Candidates::All => positions,
            Candidates::Only(list) => list.len(),
        }
    }

    fn position(self, index: usize) -> usize {
        match self {
            Candidates::All => index,
            Candidates::Only(list) => list[index] as usize,
        }
    }
}

/// A subset of `0..n` as bits.
struct Bits(Vec<u64>);

impl Bits {
    fn contains(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }

    fn insert(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    /// The members, ascending.
    fn ones(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(word_index, &word)| {
            std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)))
                .take_while(|&rest| rest != 0)
                .map(move |rest| word_index * 64 + rest.trailing_zeros() as usize)
        })
    }
}

/// `k` of `0..n` without replacement, all subsets equally likely, in k draws (Floyd; Bentley 1987, CACM 30:754-757).
fn choose(n: usize, k: usize, stream: &mut Stream) -> Bits {
    let mut chosen = Bits(vec![0; n.div_ceil(64)]);
    for last in n - k..n {
        let drawn = stream.below(last as u64 + 1) as usize;
        chosen.insert(if chosen.contains(drawn) { last } else { drawn });
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::Key;
    use proptest::prelude::*;

    const MASK: u32 = 4;

    fn masking() -> Masking {
        let excluded = vec![0, 1, 2, 3, MASK];
        Masking { rate: 0.15, mask_share: 0.8, random_share: 0.1, mask: MASK, vocabulary: 1_000, excluded }
    }

    fn sequence(len: usize) -> Vec<u32> {
        (0..len as u32).map(|i| 5 + i % 995).collect()
    }

    proptest! {
        #[test]
        fn what_is_not_a_target_is_untouched_and_labels_are_the_originals(
            len in 0usize..700, seed: u64, rate in 0.0f64..=1.0, only_odd: bool,
        ) {
            let masking = Masking { rate, ..masking() };
            let odd: Vec<u32> = (0..len as u32).filter(|i| i % 2 == 1).collect();
            let candidates = if only_odd { Candidates::Only(&odd) } else { Candidates::All };
            let original = sequence(len);
            let example = masking.apply(original.clone(), candidates, &mut Key::root(seed).stream());
            prop_assert_eq!(&example, &masking.apply(original.clone(), candidates, &mut Key::root(seed).stream()));

            let mut restored = example.input_ids.clone();
            for (&position, &id) in example.target_positions.iter().zip(&example.target_ids) {
                restored[position as usize] = id;
                prop_assert!(!only_odd || position % 2 == 1);
            }
            prop_assert_eq!(restored, original);
            prop_assert!(example.target_positions.is_sorted_by(|a, b| a < b));
            let n = if only_odd { odd.len() } else { len };
            let exact = rate * n as f64;
            let targets = example.target_ids.len() as f64;
            prop_assert!(targets >= exact.floor() && targets <= exact.ceil(), "{targets} of {exact}");
        }
    }

    #[test]
    fn rates_are_those_asked_for() {
        // Over 2 M tokens of 79: the expected number of targets, 11.85, is no integer.
        let (masking, len, rows) = (masking(), 79, 26_000);
        let (mut masked, mut random, mut kept) = (0.0, 0.0, 0.0);
        let mut per_position = vec![0u32; len];
        let original = sequence(len);
        for row in 0..rows {
            let example =
                masking.apply(original.clone(), Candidates::All, &mut Key::root(1).index(row).stream());
            for (&position, &id) in example.target_positions.iter().zip(&example.target_ids) {
                per_position[position as usize] += 1;
                match example.input_ids[position as usize] {
                    MASK => masked += 1.0,
                    now if now == id => kept += 1.0,
                    now => {
                        assert!(now > MASK && now < 1_000, "{now} is no ordinary token");
                        random += 1.0;
                    }
                }
            }
        }
        let targets = masked + random + kept;
        let near = |found: f64, wanted: f64, what: &str| {
            assert!((found / wanted - 1.0).abs() < 0.02, "{what}: {found}, not {wanted}");
        };
        near(targets / (rows as f64 * len as f64), 0.15, "rate");
        near(masked / targets, 0.8, "mask share");
        near(random / targets, 0.1 * 994.0 / 995.0, "random share");
        near(kept / targets, 0.1 + 0.1 / 995.0, "kept share");
        // The standard deviation of a count is 1.5 %.
        for (position, &count) in per_position.iter().enumerate() {
            let share = f64::from(count) / (0.15 * rows as f64);
            assert!((share - 1.0).abs() < 0.075, "position {position}: {share}");
        }
    }

    #[test]
    fn random_ids_cover_exactly_what_is_not_excluded() {
        let masking = Masking { vocabulary: 12, excluded: vec![0, 1, 5, 11], ..masking() };
        let mut stream = Key::root(3).stream();
        let drawn: std::collections::BTreeSet<u32> =
            (0..500).map(|_| masking.random_id(&mut stream)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [2, 3, 4, 6, 7, 8, 9, 10]);
    }
}
