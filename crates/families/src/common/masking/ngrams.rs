//! Masking of n-grams of words up to an exact count (Lan et al. 2020, §4.1; google-research/albert,
//! `create_pretraining_data.py`). Knows which ids begin words only by asking.

use plan::Stream;

use super::{Bits, Candidates, Lengths, Masked, Replacement, Shuffled, predictions};

/// Masking of randomly chosen n-grams of words.
#[derive(Clone, Debug, PartialEq)]
pub struct Ngrams {
    /// Share of all tokens, special ones counted, that is to be predicted; 0 masks nothing at all.
    pub rate: f64,
    /// The most tokens to predict in a sequence.
    pub max_predictions: usize,
    /// The number of words in an n-gram: [`Lengths::harmonic`] in the original.
    pub lengths: Lengths,
    /// Whether all pieces of a word are chosen together; otherwise every piece is a word.
    pub whole_words: bool,
    /// What stands in their place; decided for each piece, not for each n-gram.
    pub replacement: Replacement,
}

impl Ngrams {
    /// Masks `input_ids` with `candidates` as the positions that may be chosen: in the original all but
    /// `[CLS]` and `[SEP]`. `word_start` says whether a word begins with an id; the original takes the
    /// unknown token for a word.
    ///
    /// The words are gone through in random order until the count is reached, each as the first of an n-gram
    /// whose length is drawn. An n-gram that would exceed the count loses words at its end until it fits, and
    /// is dropped if its first word alone is too long; one that meets a word already chosen is dropped whole,
    /// not shortened. N-grams reach over separators and end with the sequence.
    pub fn apply(
        &self,
        input_ids: Vec<u32>,
        candidates: Candidates,
        word_start: impl Fn(u32) -> bool,
        stream: &mut Stream,
    ) -> Masked {
        let mut chosen = Bits::new(candidates.len(input_ids.len()));
        if self.rate > 0.0 {
            let bounds = candidates.words(&input_ids, |id| !self.whole_words || word_start(id));
            let count = predictions(self.rate, input_ids.len(), self.max_predictions);
            self.choose(&bounds, count, &mut chosen, stream);
        }
        self.replacement.replace(input_ids, candidates, &chosen, stream)
    }

    /// Chooses up to `left` candidates, `bounds` being where words begin and the last one ends.
    fn choose(&self, bounds: &[u32], mut left: usize, chosen: &mut Bits, stream: &mut Stream) {
        let words = bounds.len() - 1;
        let mut order = Shuffled::new(words);
        while left > 0 {
            let Some(first) = order.next(stream) else { break };
            // The original means to skip first words that are chosen already, but its `continue` leaves only
            // the loop over their pieces. It makes no difference: every n-gram from here has that word, and
            // is dropped below.
            if chosen.contains(bounds[first] as usize) {
                continue;
            }
            let drawn = self.lengths.draw(stream);
            let pieces = |n: usize| bounds[first] as usize..bounds[(first + n).min(words)] as usize;
            let fits = (1..=drawn).rev().map(pieces).find(|pieces| pieces.len() <= left);
            let Some(pieces) = fits else { continue };
            if !pieces.clone().any(|piece| chosen.contains(piece)) {
                left -= pieces.len();
                pieces.for_each(|piece| chosen.insert(piece));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::tests::{
        BOS, EOS, Fates, check, check_distribution, is_text, near, replacement, sequence, stream, word_start,
        words_of,
    };
    use super::super::{positions, predictions};
    use super::*;

    fn rule(lengths: Lengths) -> Ngrams {
        Ngrams { rate: 0.15, max_predictions: 20, lengths, whole_words: true, replacement: replacement() }
    }

    fn always(length: usize) -> Lengths {
        Lengths::of((1..=length).map(|n| if n == length { 1.0 } else { 0.0 }).collect())
    }

    fn apply(rule: &Ngrams, ids: &[u32], row: u64) -> Masked {
        rule.apply(ids.to_vec(), Candidates::Only(&positions(ids, is_text)), word_start, &mut stream(row))
    }

    /// Words of one piece each.
    fn single_pieces(words: u32) -> Vec<u32> {
        (0..words).map(|word| 7 + 3 * word).collect()
    }

    /// The lengths of the runs of ascending positions.
    fn runs(positions: &[u32]) -> Vec<usize> {
        positions.chunk_by(|a, b| a + 1 == *b).map(<[u32]>::len).collect()
    }

    proptest! {
        #[test]
        fn words_are_chosen_whole_and_up_to_the_count(
            len in 0usize..300, seed: u64, rate in 0.001f64..=1.0, max_predictions in 0usize..100,
            ngram in 0usize..6, favor_shorter: bool,
        ) {
            let original = sequence(len, seed);
            let lengths = Lengths::harmonic(ngram, favor_shorter);
            let masked = apply(&Ngrams { rate, max_predictions, ..rule(lengths) }, &original, seed);
            check(&original, &masked, false)?;
            prop_assert!(masked.target_ids.len() <= predictions(rate, len, max_predictions));
            let targets: BTreeSet<u32> = masked.target_positions.iter().copied().collect();
            for word in words_of(&original, &positions(&original, is_text)) {
                let hits = word.iter().filter(|&position| targets.contains(position)).count();
                prop_assert!(hits == 0 || hits == word.len(), "{word:?} is split");
            }
        }
    }

    #[test]
    fn shares_are_those_asked_for() {
        // Over a million tokens.
        let rows = 8_000;
        for whole_words in [false, true] {
            let rule = Ngrams { whole_words, ..rule(Lengths::harmonic(3, true)) };
            let mut fates = Fates::default();
            (0..rows).for_each(|row| fates.count(&apply(&rule, &sequence(128, row), row)));
            // 19, or less if what is left of the count suits no word.
            near(fates.all() / rows as f64, 19.0, 0.005, "targets");
            fates.check([0.8, 0.1, 0.1], 0.001, 0.001, 0.02);
        }
    }

    #[test]
    fn lengths_are_harmonic() {
        // Sequences so long, and so few targets, that n-grams hardly ever meet.
        for (favor_shorter, wanted) in [(true, [0.545, 0.273, 0.182]), (false, [0.182, 0.273, 0.545])] {
            let lengths = Lengths::harmonic(3, favor_shorter);
            let rule = Ngrams { rate: 0.002, max_predictions: usize::MAX, ..rule(lengths) };
            let mut counts = [0.0; 3];
            for row in 0..8 {
                let original = sequence(1_000_000, row);
                let chosen = apply(&rule, &original, row).target_positions;
                for run in chosen.chunk_by(|a, b| a + 1 == *b) {
                    let words = words_of(&original, run).len();
                    // Two that touch.
                    counts.get_mut(words - 1).into_iter().for_each(|count| *count += 1.0);
                }
            }
            let all: f64 = counts.iter().sum();
            for (n, share) in wanted.into_iter().enumerate() {
                near(counts[n] / all, share, 0.07, &format!("share of {} words", n + 1));
            }
        }
    }

    #[test]
    fn what_exceeds_the_count_is_shortened() {
        let rule = Ngrams { rate: 0.04, ..rule(always(3)) };
        let original = single_pieces(50);
        let chosen: Vec<Vec<usize>> =
            (0..2_000).map(|row| runs(&apply(&rule, &original, row).target_positions)).collect();
        assert!(chosen.iter().all(|runs| runs.iter().sum::<usize>() == 2), "always two targets");
        // But for an n-gram that begins with the last word.
        let apart = chosen.iter().filter(|runs| runs.len() == 2).count();
        assert!((10..100).contains(&apart), "{apart} of 2000 are apart");
    }

    #[test]
    fn what_meets_a_chosen_word_is_dropped_whole() {
        let rule = Ngrams { rate: 1.0, max_predictions: 100, ..rule(always(3)) };
        let original = single_pieces(100);
        let mut free = 0;
        for row in 0..500 {
            let targets: BTreeSet<u32> = apply(&rule, &original, row).target_positions.into_iter().collect();
            let gaps: Vec<u32> = (0..100).filter(|position| !targets.contains(position)).collect();
            assert!(runs(&gaps).iter().all(|&run| run < 3), "an n-gram had fitted: {gaps:?}");
            assert!(targets.contains(&99), "the n-gram of the last word has one word");
            free += gaps.len();
        }
        // The jamming limit of random sequential placement of trimers is 0.8237.
        near(free as f64 / 50_000.0, 1.0 - 0.8237, 0.05, "share of words left");
    }

    /// The probability of each set of words, `pieces` being their lengths, by going through all that may
    /// happen as the original has it: a length is drawn for words chosen already as well.
    fn exact(pieces: &[usize], lengths: &[f64], count: usize) -> Vec<f64> {
        let sets = 1usize << pieces.len();
        let size =
            |set: usize| (0..pieces.len()).filter(|word| set >> word & 1 == 1).map(|word| pieces[word]).sum();
        // By the words gone through and the words chosen; both only grow.
        let mut probabilities = vec![vec![0.0; sets]; sets];
        let mut ends = vec![0.0; sets];
        probabilities[0][0] = 1.0;
        for (seen, chosen) in (0..sets).flat_map(|seen| (0..sets).map(move |chosen| (seen, chosen))) {
            let probability = probabilities[seen][chosen];
            let unseen: Vec<usize> = (0..pieces.len()).filter(|word| seen >> word & 1 == 0).collect();
            let left = count - count.min(size(chosen));
            if left == 0 || unseen.is_empty() {
                ends[chosen] += probability;
                continue;
            }
            for &first in &unseen {
                for (drawn, share) in (1..).zip(lengths) {
                    let ngram =
                        |n: usize| (first..pieces.len().min(first + n)).map(|word| 1 << word).sum::<usize>();
                    let fits = (1..=drawn).rev().map(ngram).find(|&ngram| size(ngram) <= left);
                    let added = fits.filter(|ngram| ngram & chosen == 0).unwrap_or(0);
                    probabilities[seen | 1 << first][chosen | added] +=
                        probability * share / unseen.len() as f64;
                }
            }
        }
        ends
    }

    #[test]
    fn sets_are_as_likely_as_in_the_original() {
        let pieces = [2, 1, 1, 3, 1, 2];
        let original = [7, 9, 8, 10, 11, 12, 15, 13, 14, 18];
        for count in [1, 3, 5, 8] {
            for lengths in [vec![6.0 / 11.0, 3.0 / 11.0, 2.0 / 11.0], vec![0.0, 0.5, 0.5]] {
                let rate = count as f64 / 10.0;
                let rule = Ngrams { rate, ..rule(Lengths::of(lengths.clone())) };
                let mut counts = vec![0.0; 1 << pieces.len()];
                for row in 0..100_000 {
                    let chosen = apply(&rule, &original, row).target_positions;
                    let firsts = [0, 2, 3, 4, 7, 8].map(|first| usize::from(chosen.contains(&first)));
                    counts[(0..).zip(firsts).map(|(word, hit)| hit << word).sum::<usize>()] += 1.0;
                }
                check_distribution(&counts, &exact(&pieces, &lengths, count));
            }
        }
    }

    #[test]
    fn a_word_that_is_too_long_is_dropped() {
        // Words of 3, 1 and 3 pieces, and a count of 2 of 9.
        let original = [BOS, 7, 9, 12, 8, 10, 15, 18, EOS];
        let rule = Ngrams { rate: 0.2, ..rule(Lengths::harmonic(3, true)) };
        (0..200).for_each(|row| assert_eq!(apply(&rule, &original, row).target_positions, [4]));
    }

    #[test]
    fn ngrams_reach_over_separators() {
        let original = [BOS, 7, 10, EOS, 13, 16, EOS];
        let rule = Ngrams { rate: 0.3, ..rule(always(2)) };
        let over = (0..1_000).filter(|&row| apply(&rule, &original, row).target_positions == [2, 4]).count();
        assert!(over > 150, "{over} of 1000");
    }

    #[test]
    fn a_rate_of_zero_masks_nothing() {
        let original = sequence(128, 1);
        let masked = apply(&Ngrams { rate: 0.0, ..rule(Lengths::harmonic(3, true)) }, &original, 1);
        assert_eq!(masked, Masked { input_ids: original, ..Masked::default() });
    }
}
