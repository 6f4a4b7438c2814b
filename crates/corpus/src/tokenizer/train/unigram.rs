//! Training a Unigram model with ALBERT's special tokens and normaliser, as SentencePiece does (Kudo, 2018): many
//! pieces to begin with, then by turns how likely each is, and which ones the likelihood loses least by. Knows nothing
//! of other kinds.

mod seeds;

use std::collections::BTreeMap;

use tokenizers::models::unigram::Unigram;

use super::{TrainSpec, WordCounts, alphabet, hold};
use crate::tokenizer::dress::{self, UNIGRAM_SPECIALS, UnigramNormalizer, failed};
use crate::tokenizer::pieces::{Match, Pieces, Viterbi};
use crate::{CorpusError, Tokenizer};

/// SentencePiece's: how much of the vocabulary a round keeps, how often it estimates in between, and how many pieces
/// more than wanted are enough for the last round to choose from.
const KEPT: f64 = 0.75;
const ESTIMATES: u32 = 2;
const SPARE: f64 = 1.1;
/// SentencePiece's: pieces that are expected less often than this are taken away.
const EXPECTED: f64 = 0.5;

/// A piece and its logarithmic probability.
type Piece = (String, f64);

pub(super) fn train(counts: WordCounts, spec: TrainSpec) -> Result<Tokenizer, CorpusError> {
    let normalizer =
        UnigramNormalizer { lowercase: spec.lowercase, keep_accents: !spec.lowercase, charsmap: None };
    let mut words = counts.pieces(Some(&normalizer.build()?), &dress::unigram_pre_tokenizer())?;
    let alphabet = alphabet(&mut words);
    let what = format!("5 special tokens and {} characters", alphabet.len());
    hold(spec.vocab_size, UNIGRAM_SPECIALS.len() + alphabet.len(), &what)?;
    let wanted = spec.vocab_size as usize - UNIGRAM_SPECIALS.len();
    let mut pieces = seeds::seeds(&words, &alphabet);
    loop {
        for _ in 0..ESTIMATES {
            pieces = estimate(pieces, &words);
        }
        let enough = (SPARE * wanted as f64) as usize;
        if pieces.len() <= enough {
            break;
        }
        let kept = ((KEPT * pieces.len() as f64) as usize).max(enough);
        pieces = prune(pieces, &words, kept);
    }
    // Characters stay, whatever they score.
    pieces.sort_by(|(a, s), (b, t)| is_long(a).cmp(&is_long(b)).then(t.total_cmp(s)).then_with(|| a.cmp(b)));
    pieces.truncate(wanted);
    pieces.sort_by(|(a, s), (b, t)| t.total_cmp(s).then_with(|| a.cmp(b)));
    let vocabulary = UNIGRAM_SPECIALS.iter().map(|&token| (token.to_owned(), 0.0)).chain(pieces).collect();
    let model = Unigram::from(vocabulary, Some(1), false).map_err(failed)?;
    dress::unigram(model, &normalizer)
}

/// Whether a piece is more than a character. Characters are never taken away: all text must have a way to be cut.
fn is_long(piece: &str) -> bool {
    piece.chars().nth(1).is_some()
}

fn trie(pieces: &[Piece]) -> Pieces {
    Pieces::new(pieces.iter().map(|(piece, score)| (piece.as_str(), *score)))
}

/// One round of expectation and maximisation: how often each piece is expected, over all ways to cut the words, makes
/// its score. The digamma function in place of the logarithm is SentencePiece's prior for fewer pieces.
fn estimate(pieces: Vec<Piece>, words: &BTreeMap<String, u64>) -> Vec<Piece> {
    let trie = trie(&pieces);
    let mut expected = vec![0.0; pieces.len()];
    let mut lattice = Lattice::default();
    for (word, &count) in words {
        lattice.expect(&trie, word, count as f64, &mut expected);
    }
    let mut kept = Vec::new();
    for ((piece, _), count) in pieces.into_iter().zip(expected) {
        if is_long(&piece) && count < EXPECTED {
            continue;
        }
        kept.push((piece, count.max(EXPECTED)));
    }
    let sum = digamma(kept.iter().map(|(_, count)| count).sum());
    kept.into_iter().map(|(piece, count)| (piece, digamma(count) - sum)).collect()
}

/// All ways to cut a word.
#[derive(Default)]
struct Lattice {
    /// Where each piece begins, and the piece.
    edges: Vec<(usize, Match)>,
    /// Logarithms of the probability of the word up to a place, and from there on.
    before: Vec<f64>,
    behind: Vec<f64>,
}

impl Lattice {
    /// Adds how often each piece is expected in a word that occurs `count` times.
    fn expect(&mut self, trie: &Pieces, word: &str, count: f64, expected: &mut [f64]) {
        let Lattice { edges, before, behind } = self;
        edges.clear();
        for list in [&mut *before, &mut *behind] {
            list.clear();
            list.resize(word.len() + 1, f64::NEG_INFINITY);
        }
        (before[0], behind[word.len()]) = (0.0, 0.0);
        for (at, _) in word.char_indices() {
            for found in trie.matches(word.as_bytes(), at) {
                before[found.end] = log_sum(before[found.end], before[at] + found.score);
                edges.push((at, found));
            }
        }
        for (at, found) in edges.iter().rev() {
            behind[*at] = log_sum(behind[*at], behind[found.end] + found.score);
        }
        let all = before[word.len()];
        for (at, found) in edges.iter() {
            let share = (before[*at] + found.score + behind[found.end] - all).exp();
            expected[found.piece as usize] += count * share;
        }
    }
}

/// The logarithm of the sum of two numbers, from their logarithms.
fn log_sum(a: f64, b: f64) -> f64 {
    let (small, great) = if a < b { (a, b) } else { (b, a) };
    if small == f64::NEG_INFINITY { great } else { great + (small - great).exp().ln_1p() }
}

/// Keeps the characters, and of the other pieces those that the likelihood loses most by, if each occurrence is cut
/// into the next best pieces instead. At most `kept`, in their old order.
fn prune(pieces: Vec<Piece>, words: &BTreeMap<String, u64>, kept: usize) -> Vec<Piece> {
    let trie = trie(&pieces);
    let mut viterbi = Viterbi::default();
    let mut used = vec![0.0; pieces.len()];
    for (word, &count) in words {
        for &piece in viterbi.cut(&trie, word, None, true).unwrap_or_default().iter().flatten() {
            used[piece as usize] += count as f64;
        }
    }
    let sum: f64 = used.iter().sum();
    let mut losses = Vec::new();
    for (id, (piece, _)) in
        pieces.iter().enumerate().filter(|(id, (piece, _))| is_long(piece) && used[*id] > 0.0)
    {
        let others = viterbi.cut(&trie, piece, None, false).unwrap_or_default();
        let sum_without = (sum + used[id] * (others.len() as f64 - 1.0)).ln();
        let without: f64 =
            others.iter().flatten().map(|&other| (used[other as usize] + used[id]).ln() - sum_without).sum();
        losses.push((id, used[id] * (used[id].ln() - sum.ln() - without)));
    }
    losses.sort_by(|(a, loss), (b, other)| other.total_cmp(loss).then(a.cmp(b)));
    let characters = pieces.iter().filter(|(piece, _)| !is_long(piece)).count();
    losses.truncate(kept.saturating_sub(characters));
    let mut stays: Vec<bool> = pieces.iter().map(|(piece, _)| !is_long(piece)).collect();
    for (id, _) in losses {
        stays[id] = true;
    }
    pieces.into_iter().zip(stays).filter_map(|(piece, stays)| stays.then_some(piece)).collect()
}

/// The digamma function, for positive numbers: by its recurrence and its asymptotic series (Abramowitz and Stegun,
/// 6.3.5 and 6.3.18).
fn digamma(mut x: f64) -> f64 {
    let mut less = 0.0;
    while x < 10.0 {
        less += 1.0 / x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = square * (1.0 / 12.0 - square * (1.0 / 120.0 - square * (1.0 / 252.0 - square / 240.0)));
    x.ln() - 0.5 / x - series - less
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digamma_is_right() {
        // Minus Euler's constant; minus that and twice the logarithm of 2; and by the recurrence.
        for (x, value) in
            [(1.0, -0.577_215_664_901_532_9), (0.5, -1.963_510_026_021_423_5), (2.0, 0.422_784_335_098_467_1)]
        {
            assert!((digamma(x) - value).abs() < 1e-12, "{x}: {}", digamma(x));
        }
    }

    #[test]
    fn expectations_are_those_of_all_ways() {
        // "aa" is a·a or aa: 0.25 and 0.5, so a third and two thirds.
        let pieces = vec![("a".to_owned(), 0.5f64.ln()), ("aa".to_owned(), 0.5f64.ln())];
        let mut expected = vec![0.0; 2];
        Lattice::default().expect(&trie(&pieces), "aa", 3.0, &mut expected);
        assert!((expected[0] - 2.0).abs() < 1e-12 && (expected[1] - 2.0).abs() < 1e-12, "{expected:?}");
    }

    #[test]
    fn a_frequent_piece_outlives_a_rare_one() {
        let words = BTreeMap::from([("abab".to_owned(), 50), ("cd".to_owned(), 1)]);
        let pieces = ["a", "b", "c", "d", "ab", "cd"].map(|piece| (piece.to_owned(), -2.0)).to_vec();
        let kept: Vec<String> = prune(pieces, &words, 5).into_iter().map(|(piece, _)| piece).collect();
        assert_eq!(kept, ["a", "b", "c", "d", "ab"]);
    }
}
