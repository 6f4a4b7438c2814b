//! The run's store: what is there is whole, what fails may have been stored all the same. Knows names and hashes.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{Record, Stored};

/// A checkpoint's manifest.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    /// The ledger's chain when it was decided.
    pub(crate) head: String,
    /// The weights, as a hash.
    pub(crate) state: u64,
    /// Parts.
    pub(crate) of: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Storage {
    /// Terms that were taken.
    pub(crate) terms: u64,
    /// Parts by step, number of parts and index: the hash of the weights that they are from.
    parts: BTreeMap<(u64, u32, u32), u64>,
    manifests: BTreeMap<u64, Manifest>,
    /// Steps whose checkpoints are not as they were written.
    damaged: BTreeSet<u64>,
    /// Records with the terms of their segments, in order.
    ledger: Vec<(u64, Record)>,
    segments: u64,
}

impl Storage {
    /// The highest step with a manifest.
    pub(crate) fn newest(&self) -> Option<(u64, &Manifest)> {
        self.manifests.last_key_value().map(|(&step, manifest)| (step, manifest))
    }

    /// All manifests, in order of their steps.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = (u64, &Manifest)> {
        self.manifests.iter().map(|(&step, manifest)| (step, manifest))
    }

    /// The weights in a checkpoint, if it is there and whole.
    pub(crate) fn whole(&self, step: u64) -> Option<u64> {
        self.manifests.get(&step).filter(|_| !self.is_damaged(step)).map(|manifest| manifest.state)
    }

    /// A bit of a checkpoint flips.
    pub(crate) fn damage(&mut self, step: u64) {
        self.damaged.insert(step);
    }

    pub(crate) fn is_damaged(&self, step: u64) -> bool {
        self.damaged.contains(&step)
    }

    pub(crate) fn put_part(&mut self, step: u64, of: u32, index: u32, state: u64) {
        self.parts.insert((step, of, index), state);
    }

    /// The hashes of a checkpoint's parts; none if one is missing.
    pub(crate) fn parts(&self, step: u64, of: u32) -> Option<Vec<u64>> {
        (0..of).map(|index| self.parts.get(&(step, of, index)).copied()).collect()
    }

    /// Creates a manifest unless there is one. Says whether it did. If it names the same parts, those were written anew.
    pub(crate) fn put_manifest(&mut self, step: u64, manifest: Manifest) -> bool {
        let new = !self.manifests.contains_key(&step);
        let of = manifest.of;
        if self.manifests.entry(step).or_insert(manifest).of == of {
            self.damaged.remove(&step);
        }
        new
    }

    /// A checkpoint was found to be damaged.
    pub(crate) fn set_aside(&mut self, step: u64) {
        self.damaged.remove(&step);
        self.manifests.remove(&step);
    }

    /// The segment that comes next.
    pub(crate) fn next_segment(&self) -> u64 {
        self.segments
    }

    /// Appends a segment, if it is the next one. Says whether it did. Nothing else stops a writer whose term ended while
    /// its request was on its way.
    pub(crate) fn append(&mut self, term: u64, segment: u64, records: &[Record]) -> bool {
        if segment != self.segments {
            return false;
        }
        self.segments += 1;
        self.ledger.extend(records.iter().map(|record| (term, record.clone())));
        true
    }

    pub(crate) fn ledger(&self) -> impl Iterator<Item = &Record> {
        self.ledger.iter().map(|(_, record)| record)
    }

    /// What a new coordinator finds.
    pub(crate) fn stored(&self) -> Stored {
        let mut stored = Stored::default();
        self.ledger.iter().for_each(|(term, record)| stored.append(*term, record));
        stored
    }
}
