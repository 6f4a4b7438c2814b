//! What a preparation has seen of each source: sums, and a few samples of what was left out. Tallies of the parts of a
//! corpus are merged in the order of the corpus, so that the samples do not depend on who was first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Samples that are kept of each reason.
const SAMPLES: usize = 5;
/// Damaged places that are named; all are counted.
const NAMED: usize = 50;

/// What one source gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Documents that were found.
    pub found: u64,
    /// Documents that went on to the search for duplicates.
    pub kept: u64,
    /// Their bytes of clean text.
    pub bytes: u64,
    /// Documents that were not UTF-8, and were converted.
    pub converted: u64,
    /// Documents that were left out, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Kinds of markup that were left out of documents.
    pub markup: BTreeMap<String, u64>,
    /// Kept documents by language.
    pub languages: BTreeMap<String, u64>,
    /// Kept documents by the bits of their length in bytes: entry n counts those of 2^(n-1) to 2^n - 1 bytes.
    pub lengths: Vec<u64>,
    /// Some of the documents that were left out, by reason.
    pub samples: BTreeMap<String, Vec<Sample>>,
    /// Places that are damaged.
    pub damaged: u64,
    /// The first of them.
    pub damage: Vec<Damage>,
}

/// A document that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Where it is.
    pub place: String,
    /// What it begins with.
    pub text: String,
}

/// A damaged file, or a damaged part of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The file, and where in it.
    pub place: String,
    /// What is wrong.
    pub reason: String,
}

impl Tally {
    /// Counts a document that is left out.
    pub(crate) fn drop_one(&mut self, reason: &str, place: String, text: String) {
        *self.dropped.entry(reason.to_owned()).or_default() += 1;
        let samples = self.samples.entry(reason.to_owned()).or_default();
        if samples.len() < SAMPLES {
            samples.push(Sample { place, text });
        }
    }

    /// Counts a damaged place.
    pub(crate) fn damage_one(&mut self, place: String, reason: String) {
        self.damaged += 1;
        if self.damage.len() < NAMED {
            self.damage.push(Damage { place, reason });
        }
    }

    /// Counts a document that is kept.
    pub(crate) fn keep_one(&mut self, bytes: u64, language: Option<&str>) {
        self.kept += 1;
        self.bytes += bytes;
        *self.languages.entry(language.unwrap_or("unknown").to_owned()).or_default() += 1;
        let bits = (u64::BITS - bytes.leading_zeros()) as usize;
        self.lengths.resize(self.lengths.len().max(bits + 1), 0);
        self.lengths[bits] += 1;
    }

    /// Adds what comes behind it in the corpus.
    pub(crate) fn merge(&mut self, later: Tally) {
        self.found += later.found;
        self.kept += later.kept;
        self.bytes += later.bytes;
        self.converted += later.converted;
        self.damaged += later.damaged;
        for (mine, theirs) in [
            (&mut self.dropped, later.dropped),
            (&mut self.markup, later.markup),
            (&mut self.languages, later.languages),
        ] {
            for (name, count) in theirs {
                *mine.entry(name).or_default() += count;
            }
        }
        self.lengths.resize(self.lengths.len().max(later.lengths.len()), 0);
        for (sum, more) in self.lengths.iter_mut().zip(later.lengths) {
            *sum += more;
        }
        for (reason, more) in later.samples {
            let samples = self.samples.entry(reason).or_default();
            samples.extend(more);
            samples.truncate(SAMPLES);
        }
        self.damage.extend(later.damage);
        self.damage.truncate(NAMED);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tally(events: &[u8]) -> Tally {
        let mut tally = Tally::default();
        for (index, &event) in events.iter().enumerate() {
            let place = format!("{event} {index}");
            match event % 3 {
                0 => tally.drop_one(["a", "b"][usize::from(event) % 2], place, String::new()),
                1 => tally.damage_one(place, "broken".into()),
                _ => tally.keep_one(u64::from(event), (event > 99).then_some("en")),
            }
        }
        tally
    }

    proptest! {
        #[test]
        fn sums_do_not_depend_on_how_the_corpus_was_cut(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        ) {
            let mut merged = Tally::default();
            let mut one_by_one = Tally::default();
            for part in &parts {
                merged.merge(tally(part));
                // Associative, too: what is merged first does not matter.
                let mut nested = Tally::default();
                nested.merge(tally(part));
                one_by_one.merge(nested);
            }
            prop_assert_eq!(&merged, &one_by_one);
            prop_assert!(merged.damage.len() <= NAMED);
            let all: usize = parts.iter().map(Vec::len).sum();
            prop_assert_eq!(merged.kept + merged.damaged + merged.dropped.values().sum::<u64>(), all as u64);
        }
    }
}
