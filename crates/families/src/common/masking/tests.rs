//! What the tests of all rules share, and the tests of what the rules share.

use std::collections::BTreeSet;

use plan::Key;
use proptest::prelude::*;

use super::draws::Draws;
use super::ngrams::Ngrams;
use super::spans::{Scope, Spans};
use super::words::Words;
use super::*;

pub(super) const BOS: u32 = 0;
pub(super) const EOS: u32 = 1;
pub(super) const MASK: u32 = 4;
pub(super) const VOCABULARY: u32 = 1_000;

/// Ordinary tokens.
pub(super) fn is_text(id: u32) -> bool {
    id > MASK
}

/// Two tokens in three begin a word.
pub(super) fn word_start(id: u32) -> bool {
    is_text(id) && !id.is_multiple_of(3)
}

/// `[CLS] … [SEP] … [SEP]`: `len` tokens, three of them special if there is room for them.
pub(super) fn sequence(len: usize, seed: u64) -> Vec<u32> {
    let mut stream = Key::root(seed).named("sequence").stream();
    let draw = |_| MASK + 1 + stream.below(u64::from(VOCABULARY - MASK - 1)) as u32;
    let mut ids: Vec<u32> = (0..len).map(draw).collect();
    for (position, special) in [(0, BOS), (len / 2, EOS), (len.wrapping_sub(1), EOS)] {
        ids.get_mut(position).into_iter().for_each(|id| *id = special);
    }
    ids
}

pub(super) fn stream(row: u64) -> Stream {
    Key::root(1).index(row).stream()
}

/// 80 % masked, 10 % random of the whole vocabulary, 10 % kept.
pub(super) fn replacement() -> Replacement {
    let random = RandomIds::Uniform { vocabulary: VOCABULARY, excluded: Vec::new() };
    Replacement { mask_share: 0.8, random_share: 0.1, mask: MASK, random }
}

pub(super) fn near(found: f64, wanted: f64, tolerance: f64, what: &str) {
    assert!((found / wanted - 1.0).abs() < tolerance, "{what}: {found}, not {wanted}");
}

/// The words of the positions given, as ranges of indices into them: the slow way.
pub(super) fn words_of(ids: &[u32], positions: &[u32]) -> Vec<Vec<u32>> {
    let mut words: Vec<Vec<u32>> = Vec::new();
    for &position in positions {
        match words.last_mut() {
            Some(word) if !word_start(ids[position as usize]) => word.push(position),
            _ => words.push(vec![position]),
        }
    }
    words
}

/// Labels are the originals, all else is untouched, only text is a target, and positions ascend.
pub(super) fn check(original: &[u32], masked: &Masked, repeated: bool) -> Result<(), TestCaseError> {
    let mut restored = masked.input_ids.clone();
    prop_assert_eq!(masked.target_positions.len(), masked.target_ids.len());
    for (&position, &id) in masked.target_positions.iter().zip(&masked.target_ids) {
        prop_assert!(is_text(id), "position {} is special", position);
        prop_assert_eq!(id, original[position as usize]);
        restored[position as usize] = id;
    }
    prop_assert_eq!(&restored, original);
    let in_order = |a: &u32, b: &u32| if repeated { a <= b } else { a < b };
    prop_assert!(masked.target_positions.is_sorted_by(in_order), "{:?}", masked.target_positions);
    Ok(())
}

/// How many targets were masked, replaced by a random token, kept.
#[derive(Default)]
pub(super) struct Fates {
    pub(super) masked: f64,
    pub(super) random: f64,
    pub(super) kept: f64,
}

impl Fates {
    pub(super) fn count(&mut self, masked: &Masked) {
        for (&position, &id) in masked.target_positions.iter().zip(&masked.target_ids) {
            match masked.input_ids[position as usize] {
                now if now == id => self.kept += 1.0,
                MASK => self.masked += 1.0,
                _ => self.random += 1.0,
            }
        }
    }

    pub(super) fn all(&self) -> f64 {
        self.masked + self.random + self.kept
    }

    /// A random id is the target itself with probability `own`, and the mask token with probability `mask`.
    pub(super) fn check(&self, [masked, random, kept]: [f64; 3], own: f64, mask: f64, tolerance: f64) {
        near(self.masked / self.all(), masked + random * mask, tolerance, "mask share");
        near(self.random / self.all(), random * (1.0 - own - mask), tolerance, "random share");
        near(self.kept / self.all(), kept + random * own, tolerance, "kept share");
    }
}

/// That `counts` are a sample of the distribution `expected` over the same sets.
pub(super) fn check_distribution(counts: &[f64], expected: &[f64]) {
    assert_eq!(counts.len(), expected.len());
    let all: f64 = counts.iter().sum();
    let (mut chi, mut cells) = (0.0, 0.0);
    for (set, (&count, &probability)) in counts.iter().zip(expected).enumerate() {
        assert!(probability > 0.0 || count == 0.0, "{set:b} cannot be chosen");
        if probability > 0.0 {
            chi += (count - all * probability).powi(2) / (all * probability);
            cells += 1.0;
        }
    }
    // The 0.1 % point, by the normal approximation of the cube root (Wilson & Hilferty 1931).
    let freedom = cells - 1.0f64;
    let limit = freedom * (1.0 - 2.0 / (9.0 * freedom) + 3.09 * (2.0 / (9.0 * freedom)).sqrt()).powi(3);
    assert!(chi < limit, "chi-square {chi} with {freedom} degrees of freedom");
}

fn independent() -> Independent {
    let random = RandomIds::Uniform { vocabulary: VOCABULARY, excluded: vec![0, 1, 2, 3, MASK] };
    Independent { rate: 0.15, replacement: Replacement { random, ..replacement() } }
}

/// All rules, with the settings given, on one sequence.
fn all_rules(rate: f64, whole_words: bool, ids: &[u32], seed: u64) -> Vec<Masked> {
    let text = positions(ids, is_text);
    let (candidates, max_predictions) = (Candidates::Only(&text), 77);
    let stream = || Key::root(seed).stream();
    let independent = Independent { rate, ..independent() };
    let words = Words { rate, max_predictions, whole_words, replacement: replacement() };
    let lengths = Lengths::harmonic(3, true);
    let ngrams = Ngrams { rate, max_predictions, lengths, whole_words, replacement: replacement() };
    let draws = Draws { rate, max_predictions, with_replacement: false, replacement: replacement() };
    let lengths = Lengths::geometric(0.2, 10);
    let spans = Spans { rate, lengths, whole_words, scope: Scope::Span, replacement: replacement() };
    let repeated = Draws { with_replacement: true, ..draws.clone() };
    vec![
        repeated.apply(ids.to_vec(), candidates, &mut stream()),
        independent.apply(ids.to_vec(), candidates, &mut stream()),
        words.apply(ids.to_vec(), candidates, word_start, &mut stream()),
        ngrams.apply(ids.to_vec(), candidates, word_start, &mut stream()),
        draws.apply(ids.to_vec(), candidates, &mut stream()),
        spans.apply(ids.to_vec(), candidates, word_start, &[], &mut stream()),
    ]
}

proptest! {
    #[test]
    fn every_rule_labels_with_the_originals_and_leaves_the_rest_untouched(
        len in 0usize..600, seed: u64, rate in 0.0f64..=1.0, whole_words: bool,
    ) {
        let original = sequence(len, seed);
        let masked = all_rules(rate, whole_words, &original, seed);
        prop_assert_eq!(&masked, &all_rules(rate, whole_words, &original, seed));
        for (rule, masked) in masked.iter().enumerate() {
            check(&original, masked, rule == 0)?;
            prop_assert!(rule == 5 || masked.spans.is_empty());
        }
    }

    #[test]
    fn independent_tokens_have_the_rate_on_average(
        len in 0usize..700, seed: u64, rate in 0.0f64..=1.0, only_text: bool,
    ) {
        let original = sequence(len, seed);
        let text = positions(&original, is_text);
        let candidates = if only_text { Candidates::Only(&text) } else { Candidates::All };
        let rule = Independent { rate, ..independent() };
        let masked = rule.apply(original, candidates, &mut Key::root(seed).stream());
        let exact = rate * if only_text { text.len() } else { len } as f64;
        let targets = masked.target_ids.len() as f64;
        prop_assert!(targets >= exact.floor() && targets <= exact.ceil(), "{targets} of {exact}");
    }
}

#[test]
fn other_streams_mask_otherwise() {
    let original = sequence(300, 1);
    let (one, other) = (all_rules(0.15, true, &original, 1), all_rules(0.15, true, &original, 2));
    assert!(one.iter().zip(&other).all(|(one, other)| one != other));
}

#[test]
fn independent_tokens_have_the_shares_asked_for() {
    // Over 2 M tokens of 79: the expected number of targets, 11.85, is no integer.
    let (rule, len, rows) = (independent(), 79, 26_000);
    let (mut fates, mut per_position) = (Fates::default(), vec![0u32; len]);
    let original: Vec<u32> = (0..len as u32).map(|i| MASK + 1 + i).collect();
    for row in 0..rows {
        let masked = rule.apply(original.clone(), Candidates::All, &mut stream(row));
        masked.target_positions.iter().for_each(|&position| per_position[position as usize] += 1);
        assert!(masked.input_ids.iter().all(|&id| (MASK..VOCABULARY).contains(&id)));
        fates.count(&masked);
    }
    near(fates.all() / (rows as f64 * len as f64), 0.15, 0.005, "rate");
    fates.check([0.8, 0.1, 0.1], 1.0 / 995.0, 0.0, 0.02);
    // The standard deviation of a count is 1.5 %.
    for (position, &count) in per_position.iter().enumerate() {
        near(f64::from(count), 0.15 * rows as f64, 0.075, &format!("targets at {position}"));
    }
}

#[test]
fn random_ids_cover_exactly_what_is_not_excluded() {
    let drawn = |random: &RandomIds, corpus: &[u32]| -> Vec<u32> {
        let mut stream = Key::root(3).stream();
        let ids: BTreeSet<u32> = (0..500).map(|_| random.draw(corpus, &mut stream)).collect();
        ids.into_iter().collect()
    };
    let some = RandomIds::Uniform { vocabulary: 12, excluded: vec![0, 1, 5, 11] };
    assert_eq!(drawn(&some, &[]), [2, 3, 4, 6, 7, 8, 9, 10]);
    let all = RandomIds::Uniform { vocabulary: 6, excluded: Vec::new() };
    assert_eq!(drawn(&all, &[]), [0, 1, 2, 3, 4, 5]);
    assert_eq!(drawn(&RandomIds::Stream, &[9, 7, 7, 30]), [7, 9, 30]);
}

#[test]
fn random_ids_of_a_corpus_are_as_likely_as_they_are_frequent() {
    let mut stream = Key::root(4).stream();
    let corpus = [9, 7, 7, 30, 7, 9, 30, 7, 7, 7];
    let drawn: Vec<u32> = (0..100_000).map(|_| RandomIds::Stream.draw(&corpus, &mut stream)).collect();
    for (id, share) in [(7, 0.6), (9, 0.2), (30, 0.2)] {
        let found = drawn.iter().filter(|&&found| found == id).count();
        near(found as f64 / 1e5, share, 0.03, "share of an id");
    }
}

#[test]
fn lengths_have_the_distributions_of_the_papers() {
    let shares = |lengths: Lengths| -> Vec<f64> {
        let mut stream = Key::root(5).stream();
        let mut counts = vec![0.0; lengths.cumulative.len() + 1];
        (0..1_000_000).for_each(|_| counts[lengths.draw(&mut stream) - 1] += 1e-6);
        counts
    };
    let compare = |found: &[f64], wanted: &[f64]| {
        assert_eq!(found.len(), wanted.len());
        found.iter().zip(wanted).for_each(|(&found, &wanted)| near(found, wanted, 0.02, "share of a length"));
    };
    let mean = |shares: &[f64]| (1..).zip(shares).map(|(n, share)| f64::from(n) * share).sum::<f64>();
    compare(&shares(Lengths::harmonic(3, true)), &[0.545, 0.273, 0.182]);
    compare(&shares(Lengths::harmonic(3, false)), &[0.182, 0.273, 0.545]);
    compare(&shares(Lengths::harmonic(1, true)), &[1.0]);
    compare(&shares(Lengths::harmonic(0, true)), &[1.0]);
    let renormalised = shares(Lengths::geometric(0.2, 10));
    near(mean(&renormalised), 3.797, 0.003, "mean length");
    let geometric: Vec<f64> = (0..10).map(|n| 0.2 * 0.8f64.powi(n)).collect();
    let total: f64 = geometric.iter().sum();
    compare(&renormalised, &geometric.iter().map(|share| share / total).collect::<Vec<_>>());
    let clipped = shares(Lengths::clipped_geometric(0.2, 10));
    near(mean(&clipped), 4.463, 0.003, "mean length");
    compare(&clipped[..9], &geometric[..9]);
    compare(&clipped[9..], &[0.8f64.powi(9)]);
    compare(&shares(Lengths::geometric(1.0, 3))[..1], &[1.0]);
}

#[test]
fn counts_are_rounded_as_python_3_rounds() {
    // 4.5 and 7.5 go to the even number.
    let counts: Vec<usize> = [1, 3, 10, 30, 50, 128, 512].map(|tokens| predictions(0.15, tokens, 100)).into();
    assert_eq!(counts, [1, 1, 2, 4, 8, 19, 77]);
    assert_eq!(
        (predictions(0.15, 512, 20), predictions(0.0, 512, 20), predictions(0.15, 512, 0)),
        (20, 1, 0)
    );
}

#[test]
fn a_word_goes_on_behind_a_separator() {
    // 7 and 8 begin words, 9 and 12 do not.
    let ids = [BOS, 9, 7, 12, EOS, 9, 8, EOS];
    let text = positions(&ids, is_text);
    assert_eq!(text, [1, 2, 3, 5, 6]);
    assert_eq!(Candidates::Only(&text).words(&ids, word_start), [0, 1, 4, 5]);
    assert_eq!(Candidates::Only(&[]).words(&ids, word_start), [0]);
}

#[test]
fn every_order_is_equally_likely() {
    let mut counts = std::collections::BTreeMap::new();
    for row in 0..60_000 {
        let (mut shuffled, mut stream) = (Shuffled::new(4), stream(row));
        let order: Vec<usize> = std::iter::from_fn(|| shuffled.next(&mut stream)).collect();
        *counts.entry(order).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), 24);
    // Chi-square with 23 degrees of freedom: 49.7 is the 0.1 % point.
    let chi: f64 = counts.values().map(|&count| (f64::from(count) - 2500.0).powi(2) / 2500.0).sum();
    assert!(chi < 49.7, "chi-square {chi}");
}
