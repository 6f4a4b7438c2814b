//! The sentences of a block as one list, empty ones left out as in all originals, and which rows a "random other
//! document" is drawn from. Knows no format.

use std::ops::Range;

use plan::Stream;

use super::Segment;
use crate::SentenceLens;

/// All sentences that have tokens. A sentence is its number in this list.
pub(super) struct Table {
    /// Where each sentence begins among the block's tokens; one more entry than sentences.
    bounds: Vec<u32>,
    /// The first sentence of each row; one more entry than rows.
    rows: Vec<usize>,
}

impl Table {
    pub(super) fn new(lens: &SentenceLens) -> Self {
        let mut table = Table { bounds: vec![0], rows: vec![0] };
        let mut at = 0;
        for row in 0..lens.rows() {
            for &len in lens.row(row).iter().filter(|&&len| len > 0) {
                at += u32::from(len);
                table.bounds.push(at);
            }
            table.rows.push(table.bounds.len() - 1);
        }
        table
    }

    /// The sentences of a row.
    pub(super) fn row(&self, row: usize) -> Range<usize> {
        self.rows[row]..self.rows[row + 1]
    }

    /// The tokens of consecutive sentences of one row.
    pub(super) fn tokens(&self, sentences: Range<usize>) -> Segment {
        Segment::new(self.bounds[sentences.start], self.bounds[sentences.end])
    }

    /// The first of these sentences, at least one, until they have `target` tokens or there are no more.
    pub(super) fn take(&self, sentences: Range<usize>, target: u32) -> Range<usize> {
        let start = self.bounds[sentences.start];
        let ends = &self.bounds[sentences.start + 1..=sentences.end];
        let short = ends.partition_point(|&end| end - start < target);
        sentences.start..(sentences.start + short + 1).min(sentences.end)
    }
}

/// The rows that have tokens and are of sources that are taken, document by document.
pub(super) struct Others {
    rows: Vec<usize>,
    /// For each row of the block, where the rows of its document lie in `rows`.
    own: Vec<Range<usize>>,
}

impl Others {
    pub(super) fn new(lens: &SentenceLens, table: &Table) -> Self {
        let weight = |row| lens.weights().of(lens.source(row));
        let mut rows: Vec<usize> =
            (0..lens.rows()).filter(|&row| !table.row(row).is_empty() && weight(row) > 0.0).collect();
        rows.sort_by_key(|&row| lens.document(row));
        let mut own = vec![0..0; lens.rows()];
        let mut start = 0;
        for document in rows.chunk_by(|&one, &two| lens.document(one) == lens.document(two)) {
            let end = start + document.len();
            for &row in document {
                own[row] = start..end;
            }
            start = end;
        }
        Others { rows, own }
    }

    /// A row of another document than that of `row`, which has tokens. Where there is no other document it may be any
    /// row: BERT's code gives up looking for another one after ten tries.
    pub(super) fn draw(&self, row: usize, stream: &mut Stream) -> usize {
        let own = &self.own[row];
        let others = self.rows.len() - own.len();
        if others == 0 {
            return self.rows[stream.below(self.rows.len() as u64) as usize];
        }
        let drawn = stream.below(others as u64) as usize;
        self.rows[if drawn < own.start { drawn } else { drawn + own.len() }]
    }
}
