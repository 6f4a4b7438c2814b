//! Masking of spans of words up to a budget (Joshi et al. 2020, §3.1; facebookresearch/SpanBERT,
//! `pretraining/fairseq/data/masking.py`). Knows which ids begin words only by asking.

use std::ops::Range;

use plan::Stream;

use super::{Bits, Candidates, Lengths, Masked, Replacement};

/// Masking of randomly placed spans.
#[derive(Clone, Debug, PartialEq)]
pub struct Spans {
    /// Share of the candidates that is to be predicted.
    pub rate: f64,
    /// The number of words in a span: [`Lengths::geometric`] in the original.
    pub lengths: Lengths,
    /// Whether spans begin where a word begins and are measured in words; otherwise every piece is a word.
    pub whole_words: bool,
    /// What shares a fate.
    pub scope: Scope,
    /// What stands in place of targets.
    pub replacement: Replacement,
}

/// What is masked, replaced by random tokens or kept together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All tokens of a span, spans that touch or overlap being one (`--replacement-method span`). Random
    /// tokens differ from position to position all the same.
    Span,
    /// Each token by itself (`--replacement-method word_piece`).
    Token,
}

impl Spans {
    /// Masks `input_ids` with `candidates` as the positions that may be chosen: in the original all but
    /// `[CLS]` and `[SEP]`. `word_start` says whether a word begins with an id; the original takes the
    /// unknown token for a word. `corpus` holds the tokens that [`super::RandomIds::Stream`] draws from.
    ///
    /// Each run of candidates without a gap is masked by itself, as the original masks the blocks of a pair
    /// before they are joined (`fairseq/data/span_bert_dataset.py`): spans do not leave it, and it has its
    /// own budget of `ceil(rate * n)` of its n tokens, which is always spent.
    ///
    /// # Panics
    /// If there is nothing to draw random tokens from.
    pub fn apply(
        &self,
        input_ids: Vec<u32>,
        candidates: Candidates,
        word_start: impl Fn(u32) -> bool,
        corpus: &[u32],
        stream: &mut Stream,
    ) -> Masked {
        let begins = |position: usize| !self.whole_words || word_start(input_ids[position]);
        let mut chosen = Bits::new(input_ids.len());
        for block in blocks(candidates, input_ids.len()) {
            self.choose(block, &begins, &mut chosen, stream);
        }
        self.replace(input_ids, &chosen, corpus, stream)
    }

    /// Chooses positions of `block` until its budget is spent.
    fn choose(
        &self,
        block: Range<usize>,
        begins: &impl Fn(usize) -> bool,
        chosen: &mut Bits,
        stream: &mut Stream,
    ) {
        let mut left = ((self.rate * block.len() as f64).ceil() as usize).min(block.len());
        while left > 0 {
            let anchor = block.start + stream.below(block.len() as u64) as usize;
            if chosen.contains(anchor) {
                continue;
            }
            // The first token of a block begins a word whatever it is.
            let start = (block.start + 1..=anchor).rev().find(|&at| begins(at)).unwrap_or(block.start);
            let mut words_left = self.lengths.draw(stream);
            // Words that are chosen already count for the length, not for the budget. Where the budget ends
            // so does the span, in the middle of a word if need be.
            for position in start..block.end {
                if position > start && begins(position) {
                    words_left -= 1;
                }
                if words_left == 0 || left == 0 {
                    break;
                }
                left -= usize::from(!chosen.contains(position));
                chosen.insert(position);
            }
        }
    }

    /// Makes targets of the chosen positions and spans of their runs: as every position of a span is chosen,
    /// merging the spans that touch or overlap gives just these runs.
    fn replace(&self, input_ids: Vec<u32>, chosen: &Bits, corpus: &[u32], stream: &mut Stream) -> Masked {
        let mut masked = Masked::with_capacity(input_ids, chosen.count());
        let mut fate = None;
        for position in chosen.ones() {
            match masked.spans.last_mut() {
                Some(span) if span.end as usize == position => span.end += 1,
                _ => {
                    masked.spans.push(position as u32..position as u32 + 1);
                    fate = None;
                }
            }
            masked.push(position, masked.input_ids[position]);
            let shared = fate.filter(|_| self.scope == Scope::Span);
            let now = shared.unwrap_or_else(|| self.replacement.fate(stream));
            fate = Some(now);
            self.replacement.apply(now, &mut masked.input_ids[position], corpus, stream);
        }
        masked
    }
}

/// The runs of candidates without a gap, ascending.
fn blocks(candidates: Candidates, positions: usize) -> impl Iterator<Item = Range<usize>> {
    let n = candidates.len(positions);
    let mut next = 0;
    std::iter::from_fn(move || {
        let first = next;
        if first == n {
            return None;
        }
        let start = candidates.position(first);
        next += 1;
        while next < n && candidates.position(next) == start + next - first {
            next += 1;
        }
        Some(start..start + next - first)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{
        EOS, Fates, MASK, check, check_distribution, is_text, near, replacement, sequence, stream,
        word_start, words_of,
    };
    use super::super::{RandomIds, positions};
    use super::*;

    /// What random tokens are drawn from: none of them is in [`sequence`].
    const CORPUS: [u32; 4] = [2_000, 2_001, 2_001, 2_001];

    fn rule(whole_words: bool, scope: Scope) -> Spans {
        let replacement = Replacement { random: RandomIds::Stream, ..replacement() };
        Spans { rate: 0.15, lengths: Lengths::geometric(0.2, 10), whole_words, scope, replacement }
    }

    fn apply(rule: &Spans, ids: &[u32], row: u64) -> Masked {
        let text = positions(ids, is_text);
        rule.apply(ids.to_vec(), Candidates::Only(&text), word_start, &CORPUS, &mut stream(row))
    }

    proptest! {
        #[test]
        fn every_block_spends_its_budget(
            len in 0usize..300, seed: u64, rate in 0.0f64..=1.0, whole_words: bool, clipped: bool,
        ) {
            let original = sequence(len, seed);
            let lengths =
                if clipped { Lengths::clipped_geometric(0.2, 10) } else { Lengths::geometric(0.2, 10) };
            let masked = apply(&Spans { rate, lengths, ..rule(whole_words, Scope::Span) }, &original, seed);
            check(&original, &masked, false)?;
            let text = positions(&original, is_text);
            for block in text.chunk_by(|a, b| a + 1 == *b) {
                let chosen = masked.target_positions.iter().filter(|position| block.contains(position));
                prop_assert_eq!(chosen.count(), (rate * block.len() as f64).ceil() as usize);
                // A span begins with a word, and ends with one but where the budget ends.
                let inside = |span: &&Range<u32>| block.contains(&span.start);
                let is_inner = |at: u32| block[1..].contains(&at) && !word_start(original[at as usize]);
                let spans: Vec<&Range<u32>> = masked.spans.iter().filter(inside).collect();
                if whole_words {
                    prop_assert!(!spans.iter().any(|span| is_inner(span.start)), "{spans:?} of {block:?}");
                    prop_assert!(spans.iter().filter(|span| is_inner(span.end)).count() <= 1);
                }
            }
            // Spans are the runs of targets.
            let runs = masked.target_positions.chunk_by(|a, b| a + 1 == *b);
            let runs: Vec<Range<u32>> = runs.map(|run| run[0]..run[0] + run.len() as u32).collect();
            prop_assert_eq!(&masked.spans, &runs);
        }

        #[test]
        fn a_span_has_one_fate(len in 0usize..300, seed: u64, rate in 0.0f64..=1.0) {
            let original = sequence(len, seed);
            let masked = apply(&Spans { rate, ..rule(true, Scope::Span) }, &original, seed);
            for span in &masked.spans {
                let span = span.start as usize..span.end as usize;
                let (now, was) = (&masked.input_ids[span.clone()], &original[span]);
                let is_one = now == was
                    || now.iter().all(|&id| id == MASK)
                    || now.iter().all(|id| CORPUS.contains(id));
                prop_assert!(is_one, "{now:?} for {was:?}");
            }
        }
    }

    #[test]
    fn shares_are_those_asked_for() {
        // Over a million tokens in two blocks of 63 and 62: ceil(9.45) + ceil(9.3) targets.
        let rows = 8_000;
        for (scope, whole_words) in [(Scope::Span, true), (Scope::Token, true), (Scope::Token, false)] {
            let (mut fates, mut joint, mut pairs) = (Fates::default(), 0.0, 0.0);
            for row in 0..rows {
                let masked = apply(&rule(whole_words, scope), &sequence(128, row), row);
                assert_eq!(masked.target_ids.len(), 20);
                fates.count(&masked);
                for span in masked.spans.iter().filter(|span| span.len() > 1) {
                    let first = span.start as usize;
                    pairs += 1.0;
                    joint += f64::from(u8::from(masked.input_ids[first..first + 2] == [MASK, MASK]));
                }
            }
            // No random token is the target itself.
            fates.check([0.8, 0.1, 0.1], 0.0, 0.0, 0.06);
            let expected = if scope == Scope::Span { 0.8 } else { 0.64 };
            near(joint / pairs, expected, 0.02, "spans that begin with two masks");
        }
    }

    #[test]
    fn spans_have_fates_of_their_own() {
        let rows = 8_000;
        let both = (0..rows).filter(|&row| {
            let masked = apply(&rule(true, Scope::Span), &sequence(128, row), row);
            let first_of = |span: usize| masked.input_ids[masked.spans[span].start as usize];
            first_of(0) == MASK && first_of(1) == MASK
        });
        near(both.count() as f64 / rows as f64, 0.64, 0.03, "pairs of spans that are masked");
    }

    #[test]
    fn random_tokens_of_a_span_differ() {
        let never_else =
            Replacement { mask_share: 0.0, random_share: 1.0, ..rule(true, Scope::Span).replacement };
        let rule = Spans { rate: 1.0, replacement: never_else, ..rule(true, Scope::Span) };
        let masked = apply(&rule, &sequence(100_001, 1), 1);
        let frequent = masked.input_ids.iter().filter(|&&id| id == 2_001).count();
        near(frequent as f64 / 1e5, 0.75, 0.01, "share of the frequent token");
        assert!(masked.spans.len() <= 2, "all that touches is one span");
    }

    #[test]
    fn lengths_in_words_are_geometric() {
        // So few targets that spans hardly ever meet; a block of half a million tokens each.
        let mean = |lengths: Lengths, whole_words: bool| {
            let rule = Spans { rate: 0.002, lengths, ..rule(whole_words, Scope::Span) };
            let (mut words, mut spans, mut longest) = (0, 0, 0);
            for row in 0..8 {
                let original = sequence(1_000_000, row);
                for span in apply(&rule, &original, row).spans {
                    let positions: Vec<u32> = span.collect();
                    let length =
                        if whole_words { words_of(&original, &positions).len() } else { positions.len() };
                    (words, spans, longest) = (words + length, spans + 1, longest.max(length));
                }
            }
            assert!((10..25).contains(&longest), "{longest}");
            words as f64 / f64::from(spans)
        };
        // The standard deviation of the mean is 1.3 %, and the few spans that meet lengthen it.
        near(mean(Lengths::geometric(0.2, 10), true), 3.797, 0.05, "mean length");
        near(mean(Lengths::geometric(0.2, 10), false), 3.797, 0.05, "mean length in pieces");
        near(mean(Lengths::clipped_geometric(0.2, 10), true), 4.463, 0.05, "clipped mean length");
    }

    #[test]
    fn anchors_are_uniform_over_tokens() {
        // Words of 1 and 3 pieces, spans of one word, a budget of one token: the longer word is hit 3 times
        // as often.
        let original = [7, 8, 9, 12];
        let rule = Spans { rate: 0.1, lengths: Lengths::geometric(1.0, 10), ..rule(true, Scope::Span) };
        let hits: Vec<Vec<u32>> =
            (0..40_000).map(|row| apply(&rule, &original, row).target_positions).collect();
        assert!(hits.iter().all(|hit| hit == &[0] || hit == &[1]), "the budget ends inside the longer word");
        near(hits.iter().filter(|hit| hit == &&[1]).count() as f64 / 40_000.0, 0.75, 0.015, "longer word");
    }

    /// The probability of each set of positions, of a single block, by going through all that may happen.
    fn exact(ids: &[u32], lengths: &[f64], budget: u32) -> Vec<f64> {
        let begins = |at: usize| at == 0 || word_start(ids[at]);
        let mut probabilities = vec![0.0; 1 << ids.len()];
        probabilities[0] = 1.0;
        // Whatever is added makes the number larger.
        for set in (0..1usize << ids.len()).filter(|set| set.count_ones() < budget) {
            let probability = std::mem::take(&mut probabilities[set]);
            let free: Vec<usize> = (0..ids.len()).filter(|at| set >> at & 1 == 0).collect();
            for &anchor in &free {
                for (words, share) in (1..).zip(lengths) {
                    let (mut next, mut begun) = (set, 0);
                    let mut at = (0..=anchor).rev().find(|&at| begins(at)).unwrap();
                    while at < ids.len() && next.count_ones() < budget {
                        begun += u32::from(begins(at));
                        if begun > words {
                            break;
                        }
                        next |= 1 << at;
                        at += 1;
                    }
                    probabilities[next] += probability * share / free.len() as f64;
                }
            }
        }
        probabilities
    }

    #[test]
    fn sets_are_as_likely_as_in_the_original() {
        // Words of 2 (the first a continuation), 1, 3, 1 and 2 pieces.
        let original = [9, 12, 7, 8, 15, 18, 10, 11, 21];
        for (rate, budget) in [(0.2, 2), (0.4, 4), (0.6, 6)] {
            for lengths in [vec![0.5, 0.3, 0.2], vec![0.0, 0.0, 1.0]] {
                let rule = Spans { rate, lengths: Lengths::of(lengths.clone()), ..rule(true, Scope::Span) };
                let mut counts = vec![0.0; 1 << original.len()];
                for row in 0..100_000 {
                    let chosen = apply(&rule, &original, row).target_positions;
                    counts[chosen.iter().map(|position| 1 << position).sum::<usize>()] += 1.0;
                }
                check_distribution(&counts, &exact(&original, &lengths, budget));
            }
        }
    }

    #[test]
    fn blocks_are_runs_of_candidates() {
        let found = |candidates, positions| blocks(candidates, positions).collect::<Vec<_>>();
        assert_eq!(blocks(Candidates::All, 5).next(), Some(0..5));
        assert!(found(Candidates::All, 0).is_empty());
        assert_eq!(found(Candidates::Only(&[1, 2, 3, 5, 7, 8]), 10), [1..4, 5..6, 7..9]);
        let ids = [7, EOS, EOS, 8];
        assert_eq!(found(Candidates::Only(&positions(&ids, is_text)), 4), [0..1, 3..4]);
    }
}
