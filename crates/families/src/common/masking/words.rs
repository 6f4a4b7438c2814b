//! Masking of whole words, or of single pieces, up to an exact count (Devlin et al. 2019, §3.1 and appendix
//! A.1; google-research/bert, `create_pretraining_data.py`). Knows which ids begin words only by asking.

use plan::Stream;

use super::{Bits, Candidates, Masked, Replacement, Shuffled, predictions};

/// Masking of randomly chosen words.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    /// Share of all tokens, special ones counted, that is to be predicted.
    pub rate: f64,
    /// The most tokens to predict in a sequence.
    pub max_predictions: usize,
    /// Whether all pieces of a word are chosen together; otherwise every piece is a word.
    pub whole_words: bool,
    /// What stands in their place; decided for each piece, not for each word.
    pub replacement: Replacement,
}

impl Words {
    /// Masks `input_ids` with `candidates` as the positions that may be chosen: in the original all but
    /// `[CLS]` and `[SEP]`. `word_start` says whether a word begins with an id; the original takes the
    /// unknown token for a word.
    ///
    /// Words are taken in random order until the count is reached. A word that would exceed the count is
    /// skipped, so that there may be fewer targets if no short words are left.
    pub fn apply(
        &self,
        input_ids: Vec<u32>,
        candidates: Candidates,
        word_start: impl Fn(u32) -> bool,
        stream: &mut Stream,
    ) -> Masked {
        let bounds = candidates.words(&input_ids, |id| !self.whole_words || word_start(id));
        let mut chosen = Bits::new(candidates.len(input_ids.len()));
        let mut left = predictions(self.rate, input_ids.len(), self.max_predictions);
        let mut order = Shuffled::new(bounds.len() - 1);
        while left > 0 {
            let Some(word) = order.next(stream) else { break };
            let pieces = bounds[word] as usize..bounds[word + 1] as usize;
            if pieces.len() <= left {
                left -= pieces.len();
                pieces.for_each(|piece| chosen.insert(piece));
            }
        }
        self.replacement.replace(input_ids, candidates, &chosen, stream)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::tests::{
        Fates, check, is_text, near, replacement, sequence, stream, word_start, words_of,
    };
    use super::super::{positions, predictions};
    use super::*;

    fn rule(whole_words: bool) -> Words {
        Words { rate: 0.15, max_predictions: 20, whole_words, replacement: replacement() }
    }

    fn apply(rule: &Words, ids: &[u32], row: u64) -> Masked {
        rule.apply(ids.to_vec(), Candidates::Only(&positions(ids, is_text)), word_start, &mut stream(row))
    }

    proptest! {
        #[test]
        fn words_are_chosen_whole_and_up_to_the_count(
            len in 0usize..300, seed: u64, rate in 0.0f64..=1.0, max_predictions in 0usize..100,
        ) {
            let original = sequence(len, seed);
            let masked = apply(&Words { rate, max_predictions, ..rule(true) }, &original, seed);
            check(&original, &masked, false)?;
            let count = predictions(rate, len, max_predictions);
            prop_assert!(masked.target_ids.len() <= count);
            let left = count - masked.target_ids.len();
            let targets: BTreeSet<u32> = masked.target_positions.iter().copied().collect();
            for word in words_of(&original, &positions(&original, is_text)) {
                let hits = word.iter().filter(|&position| targets.contains(position)).count();
                prop_assert!(hits == 0 || hits == word.len(), "{word:?} is split");
                prop_assert!(hits > 0 || word.len() > left, "{word:?} had fitted");
            }
        }

        #[test]
        fn single_pieces_meet_the_count(
            len in 0usize..300, seed: u64, rate in 0.0f64..=1.0, max_predictions in 0usize..100,
        ) {
            let original = sequence(len, seed);
            let masked = apply(&Words { rate, max_predictions, ..rule(false) }, &original, seed);
            check(&original, &masked, false)?;
            let candidates = positions(&original, is_text).len();
            prop_assert_eq!(masked.target_ids.len(), predictions(rate, len, max_predictions).min(candidates));
        }
    }

    #[test]
    fn shares_are_those_asked_for() {
        // Over a million tokens; the random tokens are of the whole vocabulary, special ones included.
        let rows = 8_000;
        for whole_words in [false, true] {
            let (mut fates, mut drawn, mut per_position) = (Fates::default(), BTreeSet::new(), [0u32; 128]);
            for row in 0..rows {
                let original = sequence(128, row);
                let masked = apply(&rule(whole_words), &original, row);
                fates.count(&masked);
                masked.target_positions.iter().for_each(|&position| per_position[position as usize] += 1);
                let changed = masked.input_ids.iter().zip(&original).filter(|(now, id)| now != id);
                drawn.extend(changed.map(|(&now, _)| now));
            }
            // 19 of 125; a few whole words do not fit at the end.
            near(fates.all() / rows as f64, 19.0, 0.005, "targets");
            assert!(whole_words || fates.all() == 19.0 * rows as f64);
            fates.check([0.8, 0.1, 0.1], 0.001, 0.001, 0.02);
            assert_eq!(drawn.len(), 1000);
            // Without the specials. The standard deviation of a count is 2.6 %; whole words differ in length.
            for position in (1..127).filter(|&position| position != 64 && !whole_words) {
                let expected = rows as f64 * 19.0 / 125.0;
                near(f64::from(per_position[position]), expected, 0.13, &format!("targets at {position}"));
            }
        }
    }

    #[test]
    fn pieces_of_a_word_have_fates_of_their_own() {
        // One word of 10 pieces, all of them targets.
        let original = [[7, 9, 12, 15, 18, 21, 24, 27, 30, 33]].concat();
        let rule = Words { rate: 1.0, ..rule(true) };
        let (mut pairs, mut both) = (0.0, 0.0);
        for row in 0..100_000 {
            let masked = rule.apply(original.clone(), Candidates::All, word_start, &mut stream(row));
            assert_eq!(masked.target_ids, original);
            for pair in masked.input_ids.chunks_exact(2) {
                pairs += 1.0;
                both += f64::from(u8::from(pair == [4, 4]));
            }
        }
        near(both / pairs, 0.64, 0.01, "pairs that are masked");
    }
}
