//! Masking of single tokens that are drawn with replacement (Clark et al. 2020, §2 and §3.1;
//! google-research/electra, `pretrain/pretrain_helpers.py`). Knows token ids only.

use plan::Stream;

use super::{Candidates, Masked, Replacement, choose};

/// Masking of tokens that are drawn one by one.
#[derive(Clone, Debug, PartialEq)]
pub struct Draws {
    /// Share of all tokens, special ones counted, that is to be predicted.
    pub rate: f64,
    /// The most tokens to predict in a sequence.
    pub max_predictions: usize,
    /// Whether a token may be drawn more than once. It is then a target as often as it was drawn, so that the
    /// loss counts it as often, and has as many chances of being replaced.
    pub with_replacement: bool,
    /// What stands in their place; decided for each draw.
    pub replacement: Replacement,
}

impl Draws {
    /// Masks `input_ids` with `candidates` as the positions that may be drawn: in the original all but
    /// `[CLS]`, `[SEP]` and `[MASK]`.
    ///
    /// The number of draws is exact, at least 1 and at most `max_predictions`. There is none if there are no
    /// candidates, and without replacement there are no more than candidates.
    pub fn apply(&self, input_ids: Vec<u32>, candidates: Candidates, stream: &mut Stream) -> Masked {
        let drawn = self.draw(input_ids.len(), candidates.len(input_ids.len()), stream);
        let mut masked = Masked::with_capacity(input_ids, drawn.len());
        let mut last = None;
        for index in drawn {
            let position = candidates.position(index as usize);
            // Draws are sorted, and one that repeats the last may find it replaced.
            let id = match last {
                Some((seen, id)) if seen == position => id,
                _ => masked.input_ids[position],
            };
            last = Some((position, id));
            masked.push(position, id);
            let fate = self.replacement.fate(stream);
            self.replacement.apply(fate, &mut masked.input_ids[position], &[], stream);
        }
        masked
    }

    /// What is drawn, as indices into `candidates` candidates of a sequence of `tokens`, ascending.
    fn draw(&self, tokens: usize, candidates: usize, stream: &mut Stream) -> Vec<u32> {
        // In single precision and with halves to the even number, as TensorFlow computes it.
        let wanted = (tokens as f32 * self.rate as f32).round_ties_even() as usize;
        let count = wanted.max(1).min(self.max_predictions);
        if !self.with_replacement {
            return choose(candidates, count.min(candidates), stream)
                .ones()
                .map(|index| index as u32)
                .collect();
        }
        if candidates == 0 {
            return Vec::new();
        }
        let mut drawn: Vec<u32> = (0..count).map(|_| stream.below(candidates as u64) as u32).collect();
        drawn.sort_unstable();
        drawn
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::tests::{check, is_text, near, replacement, sequence, stream};
    use super::super::{Replacement, positions};
    use super::*;

    /// As `configure_pretraining.py` has it for sequences of 128: 85 % masked, the others kept.
    fn rule(with_replacement: bool) -> Draws {
        let replacement = Replacement { mask_share: 0.85, random_share: 0.0, ..replacement() };
        Draws { rate: 0.15, max_predictions: 19, with_replacement, replacement }
    }

    fn apply(rule: &Draws, ids: &[u32], row: u64) -> Masked {
        rule.apply(ids.to_vec(), Candidates::Only(&positions(ids, is_text)), &mut stream(row))
    }

    /// Whether it was masked and how often it was drawn, of each target.
    fn distinct(masked: &Masked) -> BTreeMap<u32, (bool, u32)> {
        let mut distinct = BTreeMap::new();
        for &position in &masked.target_positions {
            let is_masked = masked.input_ids[position as usize] == 4;
            distinct.entry(position).or_insert((is_masked, 0)).1 += 1;
        }
        distinct
    }

    proptest! {
        #[test]
        fn the_number_of_draws_is_exact(
            len in 4usize..300, seed: u64, rate in 0.0f64..=1.0,
            max_predictions in 1usize..100, repeated: bool,
        ) {
            let original = sequence(len, seed);
            let masked = apply(&Draws { rate, max_predictions, ..rule(repeated) }, &original, seed);
            check(&original, &masked, repeated)?;
            let wanted = 1.max(max_predictions.min((len as f32 * rate as f32).round_ties_even() as usize));
            let limit = if repeated { usize::MAX } else { positions(&original, is_text).len() };
            prop_assert_eq!(masked.target_ids.len(), wanted.min(limit));
            let kept_or_masked = |(&now, &id): (&u32, &u32)| now == id || now == 4;
            prop_assert!(masked.input_ids.iter().zip(&original).all(kept_or_masked));
        }
    }

    #[test]
    fn tokens_are_drawn_with_replacement() {
        // Over a million tokens: 125 candidates of 128, 19 draws.
        let rows = 8_000;
        let (mut all, mut masked, mut per_position) = ([0.0; 4], [0.0; 4], [0u32; 128]);
        for row in 0..rows {
            let result = apply(&rule(true), &sequence(128, row), row);
            assert_eq!(result.target_ids.len(), 19);
            for (position, (is_masked, times)) in distinct(&result) {
                per_position[position as usize] += times;
                all[times.min(3) as usize] += 1.0;
                masked[times.min(3) as usize] += f64::from(u8::from(is_masked));
            }
        }
        let expected = 125.0 * (1.0 - (124.0f64 / 125.0).powi(19));
        near(all.iter().sum::<f64>() / rows as f64, expected, 0.002, "distinct targets");
        near(expected, 17.7, 0.001, "distinct targets");
        // Each draw masks with the same probability.
        near(masked[1] / all[1], 0.85, 0.01, "mask share of what is drawn once");
        near(masked[2] / all[2], 1.0 - 0.15f64.powi(2), 0.01, "mask share of what is drawn twice");
        // The standard deviation of a count is 2.9 %.
        for position in (1..127).filter(|&position| position != 64) {
            let count = f64::from(per_position[position]);
            near(count, rows as f64 * 19.0 / 125.0, 0.15, &format!("draws at {position}"));
        }
    }

    #[test]
    fn tokens_are_drawn_without_replacement() {
        let rows = 8_000;
        let mut masked = 0.0;
        for row in 0..rows {
            let targets = distinct(&apply(&rule(false), &sequence(128, row), row));
            assert_eq!(targets.len(), 19);
            masked += targets.values().filter(|(is_masked, _)| *is_masked).count() as f64;
        }
        near(masked / (19.0 * rows as f64), 0.85, 0.01, "mask share");
    }

    #[test]
    fn counts_are_rounded_as_tensorflow_rounds() {
        let count = |tokens, rate| {
            let rule = Draws { rate, max_predictions: 100, ..rule(true) };
            rule.draw(tokens, tokens, &mut stream(1)).len()
        };
        // 4.5 and 10.5 go to the even number; 28.5 is a little more in single precision.
        assert_eq!([2, 30, 70, 128, 190, 512].map(|tokens| count(tokens, 0.15)), [1, 4, 10, 19, 29, 77]);
        assert_eq!(count(130, 0.25), 32);
    }

    #[test]
    fn without_candidates_nothing_is_drawn() {
        for with_replacement in [true, false] {
            let masked = rule(with_replacement).apply(vec![0, 1], Candidates::Only(&[]), &mut stream(1));
            assert_eq!(masked, Masked { input_ids: vec![0, 1], ..Masked::default() });
        }
    }
}
