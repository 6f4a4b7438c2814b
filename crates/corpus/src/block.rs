//! A block in memory: the rows of one row group, flat. A block that exists keeps the rules of the format. Knows
//! neither Arrow nor Parquet.

use crate::{CorpusError, Weights};

/// The lengths of the sentences of every row, and where rows are from: all that packing needs to know of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct SentenceLens {
    documents: Vec<[u8; 16]>,
    sources: Vec<u16>,
    /// How often documents are packed, by their source.
    weights: Weights,
    lens: Vec<u16>,
    /// Where each row begins in `lens`; one more entry than rows.
    rows: Vec<u32>,
    /// Where each row begins among the block's tokens; one more entry than rows.
    starts: Vec<u32>,
}

impl Default for SentenceLens {
    fn default() -> Self {
        SentenceLens {
            documents: Vec::new(),
            sources: Vec::new(),
            weights: Weights::default(),
            lens: Vec::new(),
            rows: vec![0],
            starts: vec![0],
        }
    }
}

impl SentenceLens {
    /// Adds a row of a document, which is from a source.
    ///
    /// # Errors
    /// [`CorpusError::Row`] if the block becomes greater than 32-bit positions can tell.
    pub fn push(&mut self, document: [u8; 16], source: u16, lens: &[u16]) -> Result<(), CorpusError> {
        let row = self.rows();
        let tokens: u64 = lens.iter().map(|&len| u64::from(len)).sum();
        let end = u32::try_from(u64::from(self.starts[row]) + tokens)
            .map_err(|_| CorpusError::Row { row, reason: "the block exceeds 2^32 tokens".into() })?;
        self.documents.push(document);
        self.sources.push(source);
        self.lens.extend_from_slice(lens);
        self.rows.push(self.lens.len() as u32);
        self.starts.push(end);
        Ok(())
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows.len() - 1
    }

    /// How many tokens all rows have together.
    pub fn tokens(&self) -> u32 {
        self.starts[self.rows()]
    }

    /// The document that a row belongs to. The rows of one document can lie anywhere in the block.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn document(&self, row: usize) -> [u8; 16] {
        self.documents[row]
    }

    /// The number of the source that a row is from.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn source(&self, row: usize) -> u16 {
        self.sources[row]
    }

    /// Says how often documents are packed; without it, once.
    pub fn weigh(&mut self, weights: Weights) {
        self.weights = weights;
    }

    /// How often documents are packed.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The lengths of the sentences of one row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &[u16] {
        &self.lens[self.rows[row] as usize..self.rows[row + 1] as usize]
    }

    /// The first token of a row among the tokens of the block (`row == rows()`: the end of the last).
    ///
    /// # Panics
    /// If there is no such row.
    pub fn start(&self, row: usize) -> u32 {
        self.starts[row]
    }
}

/// The rows of one row group, decoded and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    ids: Vec<u32>,
    lens: SentenceLens,
    chunks: Vec<u32>,
}

impl Block {
    /// An empty block, to which rows with ids below `vocab_size` can be added.
    pub fn builder(vocab_size: u32) -> BlockBuilder {
        let block = Block { ids: Vec::new(), lens: SentenceLens::default(), chunks: Vec::new() };
        BlockBuilder { block, vocab_size }
    }

    /// How many rows (document chunks) the block has.
    pub fn rows(&self) -> usize {
        self.lens.rows()
    }

    /// The block with its documents packed as often as these say.
    pub fn weighed(mut self, weights: Weights) -> Self {
        self.lens.weigh(weights);
        self
    }

    /// The tokens of all rows, one row after the other.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The tokens of one row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &[u32] {
        &self.ids[self.lens.start(row) as usize..self.lens.start(row + 1) as usize]
    }

    /// The lengths of the sentences of every row.
    pub fn sentence_lens(&self) -> &SentenceLens {
        &self.lens
    }

    /// The document that a row belongs to.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn doc_id(&self, row: usize) -> [u8; 16] {
        self.lens.document(row)
    }

    /// Which chunk of its document a row is.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn chunk(&self, row: usize) -> u32 {
        self.chunks[row]
    }
}

/// Takes rows one by one and refuses those that break the rules.
#[derive(Debug)]
pub struct BlockBuilder {
    block: Block,
    vocab_size: u32,
}

impl BlockBuilder {
    /// Adds a row.
    ///
    /// # Errors
    /// [`CorpusError::Row`] if the sentences do not add up to the row, or an id is outside the vocabulary.
    pub fn push(
        &mut self,
        doc_id: [u8; 16],
        source: u16,
        chunk: u32,
        ids: &[u32],
        sent_len: &[u16],
    ) -> Result<(), CorpusError> {
        let row = self.block.rows();
        let tokens: usize = sent_len.iter().map(|&len| usize::from(len)).sum();
        if tokens != ids.len() {
            let reason = format!("its sentences have {tokens} tokens, the row has {}", ids.len());
            return Err(CorpusError::Row { row, reason });
        }
        if let Some(id) = ids.iter().find(|&&id| id >= self.vocab_size) {
            let reason = format!("id {id} is outside the vocabulary of {}", self.vocab_size);
            return Err(CorpusError::Row { row, reason });
        }
        self.block.lens.push(doc_id, source, sent_len)?;
        self.block.ids.extend_from_slice(ids);
        self.block.chunks.push(chunk);
        Ok(())
    }

    /// The block of all rows that were added.
    pub fn finish(self) -> Block {
        self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_break_the_rules_are_named() {
        let mut builder = Block::builder(10);
        builder.push([0; 16], 0, 0, &[1, 2, 3], &[1, 2]).unwrap();
        let wrong_sum = builder.push([0; 16], 0, 1, &[1, 2, 3], &[1, 1]).unwrap_err();
        assert_eq!(wrong_sum.to_string(), "row 1: its sentences have 2 tokens, the row has 3");
        let wrong_id = builder.push([0; 16], 0, 1, &[1, 10], &[2]).unwrap_err();
        assert_eq!(wrong_id.to_string(), "row 1: id 10 is outside the vocabulary of 10");
        builder.push([7; 16], 0, 1, &[9], &[1]).unwrap();
        let block = builder.finish();
        assert_eq!((block.rows(), block.row(0), block.row(1)), (2, &[1, 2, 3][..], &[9][..]));
        assert_eq!((block.doc_id(1), block.chunk(1)), ([7; 16], 1));
        let lens = block.sentence_lens();
        assert_eq!((lens.row(0), lens.document(0), lens.document(1)), (&[1, 2][..], [0; 16], [7; 16]));
    }
}
