//! The pieces that training a Unigram model begins with: what repeats in the words.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Piece;

/// SentencePiece's: how many pieces to begin with, at most.
const SEEDS: usize = 1_000_000;
/// SentencePiece's: the longest piece, in characters.
const LONGEST: usize = 16;

/// The characters, and the parts of words that stand in several places and are followed by different characters there;
/// those that cover most text first. As in SentencePiece, each word is looked at once, however often it occurs, but
/// for the characters. Scores are logarithms of shares.
pub(super) fn seeds(words: &BTreeMap<String, u64>, alphabet: &[char]) -> Vec<Piece> {
    let mut counts: BTreeMap<char, u64> = alphabet.iter().map(|&c| (c, 0)).collect();
    for (word, count) in words {
        for c in word.chars() {
            *counts.entry(c).or_default() += count;
        }
    }
    let mut pieces: Vec<(String, f64)> =
        counts.into_iter().map(|(c, count)| (c.to_string(), count as f64)).collect();
    let mut repeats = repeats(words);
    repeats.sort_unstable_by_key(|&(part, score)| (Reverse(score), part));
    repeats.truncate(SEEDS.saturating_sub(pieces.len()));
    pieces.extend(repeats.into_iter().map(|(part, score)| (part.to_owned(), score as f64)));
    let sum = pieces.iter().map(|(_, score)| score).sum::<f64>().ln();
    for (_, score) in &mut pieces {
        *score = score.ln() - sum;
    }
    pieces
}

/// SentencePiece's rule that a piece is of one script, as far as it matters here: letters do not go together with
/// digits and punctuation, so that "now" and "now." share their piece. The mark that begins a word goes with all.
fn is_pure(part: &str) -> bool {
    let bare = part.strip_prefix('▁').unwrap_or(part);
    bare.chars().all(char::is_alphabetic) || !bare.contains(char::is_alphabetic)
}

/// Parts of two characters or more, with how many characters of the words they cover. In the sorted list of all ends
/// of words, the places of a part lie next to each other; a part is found where neighbours have it in common, and no
/// more than it.
fn repeats(words: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let mut ends: Vec<&str> =
        words.keys().flat_map(|word| word.char_indices().map(move |(at, _)| &word[at..])).collect();
    ends.sort_unstable();
    let mut found = Vec::new();
    // Parts that begin somewhere above and go on here: their length, and where they begin.
    let mut open: Vec<(usize, usize)> = Vec::new();
    for at in 1..=ends.len() {
        let length = ends.get(at).map_or(0, |end| common(ends[at - 1], end));
        let mut from = at - 1;
        while let Some(&(known, begin)) = open.last().filter(|(known, _)| *known > length) {
            let part = &ends[begin][..known];
            let characters = part.chars().count();
            if (2..=LONGEST).contains(&characters) && is_pure(part) {
                found.push((part, ((at - begin) * characters) as u64));
            }
            from = begin;
            open.pop();
        }
        if length > open.last().map_or(0, |(known, _)| *known) {
            open.push((length, from));
        }
    }
    found
}

/// How many bytes two texts begin alike with, in whole characters.
fn common(a: &str, b: &str) -> usize {
    let mut same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    while !a.is_char_boundary(same) {
        same -= 1;
    }
    same
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_repeats_is_found_and_counted() {
        let words = ["▁singing", "▁ring"].map(|word| (word.to_owned(), 1)).into();
        let mut found = repeats(&words);
        found.sort();
        // "in" is always followed by "g", so it is no part of its own.
        assert_eq!(found, [("ing", 9), ("ng", 6)]);
        let words = ["▁now.", "▁now.)", "▁now", "▁no"].map(|word| (word.to_owned(), 1)).into();
        assert!(repeats(&words).iter().all(|(part, _)| !part.contains('.')), "{:?}", repeats(&words));
    }

    proptest! {
        #[test]
        fn repeats_are_right(words in proptest::collection::btree_map("[abé]{1,7}", 1u64..9, 1..6)) {
            for (part, score) in repeats(&words) {
                let places: usize =
                    words.keys().map(|word| (0..word.len()).filter(|&at| word.as_bytes()[at..].starts_with(part.as_bytes())).count()).sum();
                prop_assert!(places >= 2);
                prop_assert_eq!(score, (places * part.chars().count()) as u64);
            }
        }
    }
}
