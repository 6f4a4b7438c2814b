//! Pairs that the model is asked about: BERT's and ALBERT's segments (`create_pretraining_data.py` of both), and
//! RoBERTa's pairs of natural sentences, which are the same with two sentences instead of a length.

use std::ops::Range;

use plan::Stream;

use super::{
    Layout, LoneSentence, Others, PackFormat, PackSpec, PairTask, Relation, Segment, Table, target_len,
};

/// Makes the pairs of one row after the other.
pub(super) struct PairPacker<'a> {
    table: &'a Table,
    others: &'a Others,
    spec: &'a PackSpec,
    layout: Layout,
}

/// How much text a pair is made of.
#[derive(Clone, Copy)]
enum Amount {
    /// Sentences until they have that many tokens.
    Tokens(u32),
    /// One sentence to each side.
    Sentences,
}

impl<'a> PairPacker<'a> {
    pub(super) fn new(table: &'a Table, others: &'a Others, spec: &'a PackSpec) -> Self {
        PairPacker { table, others, spec, layout: Layout::default() }
    }

    pub(super) fn finish(self) -> Layout {
        self.layout
    }

    /// Tokens that fit between the special ones.
    fn room(&self) -> u32 {
        self.spec.max_len() - self.spec.switches().pair_specials.unwrap_or_default()
    }

    pub(super) fn row(&mut self, row: usize, stream: &mut Stream) {
        let short_prob = self.spec.switches().short_seq_prob.unwrap_or_default();
        let amount = match self.spec.format() {
            PackFormat::SentencePair => Amount::Sentences,
            _ => Amount::Tokens(target_len(stream, short_prob, 2, self.room())),
        };
        let Range { start: mut at, end: last } = self.table.row(row);
        while at < last {
            let chunk = match amount {
                Amount::Tokens(target) => self.table.take(at..last, target),
                Amount::Sentences => at..(at + 2).min(last),
            };
            at = self.pair(row, chunk, amount, stream);
        }
    }

    /// Makes a pair of a chunk of sentences, and says where the next chunk begins.
    fn pair(&mut self, row: usize, chunk: Range<usize>, amount: Amount, stream: &mut Stream) -> usize {
        let switches = *self.spec.switches();
        let lone = chunk.len() == 1;
        if lone && switches.lone_sentence == Some(LoneSentence::Drop) {
            return chunk.end;
        }
        let cut =
            if lone { chunk.end } else { chunk.start + 1 + stream.below(chunk.len() as u64 - 1) as usize };
        let negative = lone || stream.uniform() < switches.negative_prob.unwrap_or_default();
        let sop = switches.pair_task == Some(PairTask::Sop);
        let first = self.table.tokens(chunk.start..cut);
        if lone || (negative && !sop) {
            let second = self.elsewhere(row, first, amount, stream);
            self.add(first, second, Relation::Random, stream);
            // The sentences behind A were not used: the next chunk begins with them.
            return cut;
        }
        let second = self.table.tokens(cut..chunk.end);
        match (sop, negative) {
            (true, true) => self.add(second, first, Relation::Swapped, stream),
            (true, false) => self.add(first, second, Relation::InOrder, stream),
            (false, _) => self.add(first, second, Relation::Next, stream),
        }
        chunk.end
    }

    /// Sentences of another document, from a random one on, to fill what `first` leaves.
    fn elsewhere(&self, row: usize, first: Segment, amount: Amount, stream: &mut Stream) -> Segment {
        let all = self.table.row(self.others.draw(row, stream));
        let start = all.start + stream.below(all.len() as u64) as usize;
        let taken = match amount {
            Amount::Tokens(target) => self.table.take(start..all.end, target.saturating_sub(first.len())),
            Amount::Sentences => start..start + 1,
        };
        self.table.tokens(taken)
    }

    fn add(&mut self, mut first: Segment, mut second: Segment, relation: Relation, stream: &mut Stream) {
        let (from_first, from_second) = excess(first.len(), second.len(), self.room());
        truncate(&mut first, from_first, stream);
        truncate(&mut second, from_second, stream);
        self.layout.segments.extend([first, second]);
        self.layout.close(Some(relation));
    }
}

/// How many tokens each of two lengths loses if the longer one loses one after the other until both fit, the second
/// where they are equal.
fn excess(first: u32, second: u32, room: u32) -> (u32, u32) {
    let excess = (first + second).saturating_sub(room);
    let level = excess.min(first.abs_diff(second));
    let (rest_first, rest_second) = ((excess - level) / 2, (excess - level).div_ceil(2));
    if first > second { (level + rest_first, rest_second) } else { (rest_first, level + rest_second) }
}

/// Takes `count` tokens away, each from the front or the back as a coin falls. The coins are the bits of the draws.
fn truncate(segment: &mut Segment, count: u32, stream: &mut Stream) {
    let mut left = count;
    while left > 0 {
        let coins = left.min(u64::BITS);
        let front = (stream.next_u64() >> (u64::BITS - coins)).count_ones();
        segment.start += front;
        segment.end -= coins - front;
        left -= coins;
    }
}
