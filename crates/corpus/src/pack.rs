//! Packing: which tokens of a block make which training sample. Samples are never stored; where they lie follows
//! from the lengths of the sentences alone, so they can be counted without reading a token. Special tokens are the
//! families' business: here only room is kept for them.
//!
//! Every choice is drawn from a stream of its own row, so that a block, a spec and a variant give the same samples
//! anywhere.

mod halves;
mod pairs;
mod runs;
mod spec;
mod table;
mod weights;

#[cfg(test)]
mod tests;

pub use spec::{LoneSentence, LongSentences, PackFormat, PackSpec, PackSwitches, PairTask};
pub use weights::Weights;

use plan::{Key, Permutation, Stream};

use crate::{Block, SentenceLens};
use halves::halves;
use pairs::PairPacker;
use runs::runs;
use table::{Others, Table};

/// Consecutive tokens of one row: a range of [`Block::ids`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The first token.
    pub start: u32,
    /// The token after the last.
    pub end: u32,
    /// Whether it belongs to one segment with the range before it, without a separator in between. Only ELECTRA's rule
    /// makes segments of several ranges.
    pub joined: bool,
}

impl Segment {
    fn new(start: u32, end: u32) -> Self {
        Segment { start, end, joined: false }
    }

    /// How many tokens it has.
    fn len(&self) -> u32 {
        self.end - self.start
    }
}

/// How the two segments of a sample stand to each other, where the model is asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The second goes on where the first ends (next sentence prediction).
    Next,
    /// The second is from another document, or from another place if the block has but one.
    Random,
    /// They stand as in the text (sentence order prediction).
    InOrder,
    /// The second comes before the first in the text.
    Swapped,
}

impl Relation {
    /// The class that the model shall answer: 0 if the segments stand as in the text, else 1. All originals and
    /// `transformers` agree on these numbers.
    pub fn label(self) -> u32 {
        match self {
            Relation::Next | Relation::InOrder => 0,
            Relation::Random | Relation::Swapped => 1,
        }
    }
}

/// Where one sample lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement<'a> {
    /// Its segments in order.
    pub segments: &'a [Segment],
    /// See [`Sample::relation`].
    pub relation: Option<Relation>,
}

/// Where the samples of a block lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    segments: Vec<Segment>,
    /// Where each sample ends in `segments`.
    ends: Vec<u32>,
    relations: Vec<Option<Relation>>,
}

impl Layout {
    /// How many samples the block gives.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the block gives none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Where sample `index` lies.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn sample(&self, index: usize) -> Placement<'_> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        let segments = &self.segments[start as usize..self.ends[index] as usize];
        Placement { segments, relation: self.relations[index] }
    }

    /// Where every sample lies, in order.
    pub fn samples(&self) -> impl Iterator<Item = Placement<'_>> {
        (0..self.len()).map(|index| self.sample(index))
    }

    /// Tokens in all samples together, without special ones. A token that lies in several samples counts in each.
    pub fn tokens(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.len())).sum()
    }

    /// How many tokens of the block lie in no sample, because a segment was cut to its length or a sentence left out.
    /// `lens` are those that the layout was made of.
    pub fn uncovered(&self, lens: &SentenceLens) -> u32 {
        let mut ranges: Vec<(u32, u32)> =
            self.segments.iter().map(|segment| (segment.start, segment.end)).collect();
        ranges.sort_unstable();
        let (mut covered, mut reached) = (0, 0);
        for (start, end) in ranges {
            covered += end.saturating_sub(start.max(reached));
            reached = reached.max(end);
        }
        lens.tokens().saturating_sub(covered)
    }

    /// Ends the sample of the segments that were added since the last.
    fn close(&mut self, relation: Option<Relation>) {
        self.ends.push(self.segments.len() as u32);
        self.relations.push(relation);
    }
}

/// The tokens of one training sample, without special tokens, in segments: one per document that it touches, or the
/// two of a pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The tokens of all segments, one after the other.
    pub ids: Vec<u32>,
    /// Where each segment ends in `ids`.
    pub ends: Vec<u32>,
    /// How the two segments of a pair stand to each other; `None` where the format asks no such question.
    pub relation: Option<Relation>,
}

impl Sample {
    /// A sample of these segments, without a relation.
    pub fn new<'a>(segments: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut sample = Sample::default();
        for segment in segments {
            sample.ids.extend_from_slice(segment);
            sample.ends.push(sample.ids.len() as u32);
        }
        sample
    }

    /// The segments in order.
    pub fn segments(&self) -> impl Iterator<Item = &[u32]> {
        self.ends.iter().scan(0, |start, &end| {
            let segment = &self.ids[*start as usize..end as usize];
            *start = end;
            Some(segment)
        })
    }
}

impl Block {
    /// The tokens of one sample of a [`layout`] of this block.
    pub fn sample(&self, placement: Placement<'_>) -> Sample {
        let mut sample = Sample { relation: placement.relation, ..Sample::default() };
        for segment in placement.segments {
            if segment.joined {
                sample.ends.pop();
            }
            sample.ids.extend_from_slice(&self.ids()[segment.start as usize..segment.end as usize]);
            sample.ends.push(sample.ids.len() as u32);
        }
        sample
    }
}

/// Where the samples of a block lie: a function of its sentences' lengths, the spec and the variant. Another variant
/// takes the rows in another order and draws everything anew.
///
/// A row is to the rules what a document was to the originals: no segment leaves it. "Another document" means another
/// one, though: not another row of the same. A row that is taken several times, because of its source's weight, is taken
/// at different places and with different draws.
pub fn layout(lens: &SentenceLens, spec: &PackSpec, variant: u32) -> Layout {
    let key = Key::root(0).named("pack").index(u64::from(variant));
    let times = |row| lens.weights().times(lens.source(row), lens.document(row), variant);
    let taken: Vec<(usize, u32)> =
        (0..lens.rows()).flat_map(|row| (0..times(row)).map(move |copy| (row, copy))).collect();
    let order = Permutation::new(taken.len() as u64, key);
    let rows = (0..order.len()).map(|position| taken[order.apply(position) as usize]);
    let rows = rows.map(|(row, copy)| (row, draws(lens, key, row, copy)));
    let table = Table::new(lens);
    match spec.format() {
        PackFormat::FullSentences | PackFormat::DocSentences | PackFormat::SpanBlocks => {
            runs(&table, rows, spec)
        }
        PackFormat::SentencePair | PackFormat::SegmentPair => {
            let others = Others::new(lens, &table);
            let mut packer = PairPacker::new(&table, &others, spec);
            rows.for_each(|(row, mut stream)| packer.row(row, &mut stream));
            packer.finish()
        }
        PackFormat::SegmentHalves => halves(&table, rows, spec),
    }
}

/// How many samples [`layout`] gives.
pub fn sample_count(lens: &SentenceLens, spec: &PackSpec, variant: u32) -> u32 {
    layout(lens, spec, variant).len() as u32
}

/// The draws of one row, taken for the `copy`-th time. The document is part of their name, or else the n-th rows of all
/// blocks would draw the same.
fn draws(lens: &SentenceLens, key: Key, row: usize, copy: u32) -> Stream {
    let document = u128::from_be_bytes(lens.document(row));
    let key = key.named("draws").index((document >> 64) as u64).index(document as u64);
    let key = key.index(row as u64);
    if copy == 0 { key.stream() } else { key.named("copy").index(u64::from(copy)).stream() }
}

/// `most`, or with the given probability any length from `least` on.
fn target_len(stream: &mut Stream, short_prob: f64, least: u32, most: u32) -> u32 {
    if stream.uniform() >= short_prob {
        return most;
    }
    let least = least.min(most);
    least + stream.below(u64::from(most - least) + 1) as u32
}
