//! Which of many documents are the same: pure. Documents are numbered in the order of the corpus, and of several that
//! are the same the first one stays. Hashes are looked at in ranges, one pass over all documents for each, so that
//! memory is bounded whatever the size of the corpus.

use std::collections::BTreeMap;

use crate::part::Entry;

/// Samples of each kind.
const SAMPLES: usize = 5;
/// A hash, the document that has it, and which of its paragraphs.
type Found = (u128, u64, u32);
/// Bytes that a hash takes while its pass is under way.
const FOUND_BYTES: u64 = size_of::<Found>() as u64;

/// Why a document is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It was reached on another way, too: a dump as a whole and in parts.
    Again = 1,
    /// Another document has the same text.
    Exact = 2,
    /// Another document has most of its n-grams.
    Near = 3,
}

impl Kind {
    /// How people call it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Again => "document was read before",
            Kind::Exact => "exact duplicate",
            Kind::Near => "near duplicate",
        }
    }
}

/// Hands all documents to a function, with their numbers. Called once per pass.
pub(crate) type Each<'a, E> = &'a dyn Fn(&mut dyn FnMut(u64, &Entry)) -> Result<(), E>;
/// The hashes of a document, with what they are numbered with.
type Hashes = fn(&Entry, &mut dyn FnMut(u128, u32));

/// What has been found so far.
pub(crate) struct Same<'a, E> {
    each: Each<'a, E>,
    /// Bytes that a pass may take.
    memory: u64,
    /// By document: nothing, or why it is left out.
    fates: Vec<Option<Kind>>,
    /// For some documents that are left out, the one that stays.
    samples: BTreeMap<Kind, BTreeMap<u64, u64>>,
}

impl<'a, E> Same<'a, E> {
    /// All of `documents` documents stay, so far.
    pub fn new(documents: u64, memory: u64, each: Each<'a, E>) -> Self {
        Same { each, memory, fates: vec![None; documents as usize], samples: BTreeMap::new() }
    }

    /// Why a document is left out.
    pub fn fate(&self, document: u64) -> Option<Kind> {
        self.fates[document as usize]
    }

    /// For the first documents of each kind that are left out, those that stay.
    pub fn samples(&self) -> &BTreeMap<Kind, BTreeMap<u64, u64>> {
        &self.samples
    }

    /// Leaves out those that have been reached before.
    pub fn again(&mut self) -> Result<(), E> {
        self.equal(Kind::Again, |entry, take| take(u128::from_le_bytes(entry.doc_id), 0))
    }

    /// Leaves out those whose text has been seen before.
    pub fn exact(&mut self) -> Result<(), E> {
        self.equal(Kind::Exact, |entry, take| take(u128::from_le_bytes(entry.text), 0))
    }

    fn equal(&mut self, kind: Kind, hashes: Hashes) -> Result<(), E> {
        let hashes_of_all = self.fates.len() as u64;
        let mut pairs = Vec::new();
        self.passes(hashes_of_all, hashes, |group| {
            pairs.extend(group[1..].iter().map(|&(_, document, _)| (document, group[0].1)));
        })?;
        for (document, first) in pairs {
            self.leave_out(kind, document, first);
        }
        Ok(())
    }

    /// Leaves out all but the first of those that are connected by common bands, of which there are `bands` in all.
    pub fn near(&mut self, bands: u64) -> Result<(), E> {
        let mut forest = Forest((0..self.fates.len() as u64).collect());
        let hashes: Hashes =
            |entry, take| entry.bands.iter().for_each(|&band| take(u128::from(band) << 64, 0));
        self.passes(bands, hashes, |group| {
            group[1..].iter().for_each(|&(_, document, _)| forest.join(group[0].1, document));
        })?;
        for document in 0..self.fates.len() as u64 {
            let first = forest.root(document);
            if first != document {
                self.leave_out(Kind::Near, document, first);
            }
        }
        Ok(())
    }

    /// Document and number of the paragraphs that have been seen before, of `paragraphs` in all; ascending.
    pub fn paragraphs(&self, paragraphs: u64) -> Result<Vec<(u64, u32)>, E> {
        let hashes: Hashes = |entry, take| {
            entry
                .paragraphs
                .iter()
                .for_each(|&(number, paragraph)| take(u128::from(paragraph) << 64, number));
        };
        let mut again = Vec::new();
        self.passes(paragraphs, hashes, |group| {
            again.extend(group[1..].iter().map(|&(_, document, number)| (document, number)));
        })?;
        again.sort_unstable();
        Ok(again)
    }

    fn leave_out(&mut self, kind: Kind, document: u64, first: u64) {
        self.fates[document as usize] = Some(kind);
        let samples = self.samples.entry(kind).or_default();
        samples.insert(document, first);
        if samples.len() > SAMPLES {
            samples.pop_last();
        }
    }

    /// Hands on all groups of equal hashes, each sorted by document, of the documents that stay. `count`: how many
    /// hashes there are.
    fn passes(&self, count: u64, hashes: Hashes, mut with: impl FnMut(&[Found])) -> Result<(), E> {
        let passes = u128::from((count * FOUND_BYTES).div_ceil(self.memory.max(1)).max(1));
        for pass in 0..passes {
            let mut found: Vec<Found> = Vec::new();
            (self.each)(&mut |document, entry| {
                if self.fates[document as usize].is_some() {
                    return;
                }
                hashes(entry, &mut |hash, number| {
                    if ((hash >> 64) * passes) >> 64 == pass {
                        found.push((hash, document, number));
                    }
                });
            })?;
            found.sort_unstable();
            found.chunk_by(|one, other| one.0 == other.0).filter(|group| group.len() > 1).for_each(&mut with);
        }
        Ok(())
    }
}

/// Disjoint sets; the root of each is its smallest member.
struct Forest(Vec<u64>);

impl Forest {
    fn root(&mut self, mut member: u64) -> u64 {
        while self.0[member as usize] != member {
            let above = self.0[member as usize];
            self.0[member as usize] = self.0[above as usize];
            member = above;
        }
        member
    }

    fn join(&mut self, one: u64, other: u64) {
        let (one, other) = (self.root(one), self.root(other));
        let (first, second) = (one.min(other), one.max(other));
        self.0[second as usize] = first;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn entry(doc_id: u8, text: u8, bands: &[u64]) -> Entry {
        let paragraphs = vec![(0, u64::from(text % 3) << 60), (1, 1 << 40)];
        Entry {
            doc_id: [doc_id; 16],
            text: [text; 16],
            bands: bands.to_vec(),
            paragraphs,
            ..Entry::default()
        }
    }

    type Outcome = (Vec<Option<Kind>>, Vec<(u64, u32)>, BTreeMap<Kind, BTreeMap<u64, u64>>);

    fn outcome(entries: &[Entry], memory: u64) -> Outcome {
        let each = |take: &mut dyn FnMut(u64, &Entry)| -> Result<(), Infallible> {
            entries.iter().enumerate().for_each(|(index, entry)| take(index as u64, entry));
            Ok(())
        };
        let mut same = Same::new(entries.len() as u64, memory, &each);
        same.again().unwrap();
        same.exact().unwrap();
        same.near(entries.iter().map(|entry| entry.bands.len() as u64).sum()).unwrap();
        let paragraphs = same.paragraphs(2 * entries.len() as u64).unwrap();
        (same.fates.clone(), paragraphs, same.samples.clone())
    }

    #[test]
    fn the_first_one_stays() {
        let high = |band: u64| band << 56;
        let entries = [
            entry(1, 1, &[high(1), high(2)]),
            entry(2, 1, &[high(1), high(2)]),
            entry(1, 9, &[]),
            entry(3, 3, &[high(7), high(2)]),
            // Connected with the first one through the one before.
            entry(4, 4, &[high(7), high(5)]),
            entry(5, 5, &[high(9)]),
        ];
        let (fates, paragraphs, samples) = outcome(&entries, 1 << 20);
        let near = Some(Kind::Near);
        assert_eq!(fates, [None, Some(Kind::Exact), Some(Kind::Again), near, near, None]);
        assert_eq!(paragraphs, [(5, 1)]);
        assert_eq!(samples[&Kind::Near], BTreeMap::from([(3, 0), (4, 0)]));
    }

    proptest! {
        #[test]
        fn many_passes_find_what_one_finds(
            entries in prop::collection::vec((0u8..20, 0u8..20, prop::collection::vec(any::<u64>(), 0..3)), 0..60),
            memory in 1u64..2_000,
        ) {
            let entries: Vec<Entry> = entries
                .iter()
                .map(|(doc_id, text, bands)| {
                    // Few different bands, spread over all passes.
                    let bands: Vec<u64> = bands.iter().map(|band| (band % 25) << 58).collect();
                    entry(*doc_id, *text, &bands)
                })
                .collect();
            prop_assert_eq!(outcome(&entries, memory), outcome(&entries, 1 << 30));
            let (fates, _, _) = outcome(&entries, memory);
            // Of the documents that stay, no two are the same.
            let stays: Vec<&Entry> = entries.iter().zip(&fates).filter(|(_, fate)| fate.is_none()).map(|(entry, _)| entry).collect();
            for (index, one) in stays.iter().enumerate() {
                for other in &stays[..index] {
                    prop_assert!(one.doc_id != other.doc_id && one.text != other.text);
                    prop_assert!(!one.bands.iter().any(|band| other.bands.contains(band)));
                }
            }
        }
    }
}
