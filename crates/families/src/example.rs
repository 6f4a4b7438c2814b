//! The nouns between objective and network: one masked sequence, and a micro-batch of them as flat arrays. Knows no
//! family and no tensors.

/// One sequence as the network will see it, and what it shall answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// Token ids after masking, without padding: [L].
    pub input_ids: Vec<u32>,
    /// Positions that are to be predicted, ascending: [T].
    pub target_positions: Vec<u32>,
    /// The original ids at these positions: [T].
    pub target_ids: Vec<u32>,
}

/// A micro-batch on the host: B sequences, padded to L, with T positions to predict in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostBatch {
    /// B, the number of sequences.
    pub rows: usize,
    /// L, the length that all sequences are padded to.
    pub len: usize,
    /// Token ids, row after row, padded at the end of each row: [B * L].
    pub input_ids: Vec<i64>,
    /// Tokens of each row that are not padding: [B].
    pub lengths: Vec<u32>,
    /// Positions to predict, as indices into the flattened batch (`row * L + position`), ascending: [T].
    pub target_positions: Vec<i64>,
    /// The original ids at these positions: [T].
    pub target_ids: Vec<i64>,
}

impl HostBatch {
    /// Lays examples out as rows of `len` tokens, filled up with `pad`.
    ///
    /// # Panics
    /// If an example is longer than `len`: the packer was asked for at most `len`.
    pub fn collate(examples: &[Example], len: usize, pad: u32) -> Self {
        let targets = examples.iter().map(|example| example.target_ids.len()).sum();
        let mut batch = HostBatch {
            rows: examples.len(),
            len,
            input_ids: Vec::with_capacity(examples.len() * len),
            lengths: Vec::with_capacity(examples.len()),
            target_positions: Vec::with_capacity(targets),
            target_ids: Vec::with_capacity(targets),
        };
        for example in examples {
            let tokens = example.input_ids.len();
            assert!(tokens <= len, "an example of {tokens} tokens in a batch of length {len}");
            let start = batch.input_ids.len();
            batch.lengths.push(tokens as u32);
            batch.input_ids.extend(example.input_ids.iter().map(|&id| i64::from(id)));
            batch.input_ids.resize(start + len, i64::from(pad));
            let flat = |&position: &u32| start as i64 + i64::from(position);
            batch.target_positions.extend(example.target_positions.iter().map(flat));
            batch.target_ids.extend(example.target_ids.iter().map(|&id| i64::from(id)));
        }
        batch
    }

    /// Tokens that are not padding.
    pub fn tokens(&self) -> u64 {
        self.lengths.iter().map(|&length| u64::from(length)).sum()
    }

    /// T, the number of positions to predict.
    pub fn targets(&self) -> u64 {
        self.target_ids.len() as u64
    }

    /// Whether any row is shorter than the batch, so that attention needs a mask.
    pub fn is_padded(&self) -> bool {
        self.lengths.iter().any(|&length| (length as usize) < self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_and_targets_flattened() {
        let row = |input_ids: &[u32], positions: &[u32], ids: &[u32]| Example {
            input_ids: input_ids.to_vec(),
            target_positions: positions.to_vec(),
            target_ids: ids.to_vec(),
        };
        let batch =
            HostBatch::collate(&[row(&[0, 9, 2], &[1], &[7]), row(&[0, 5, 4, 2], &[0, 2], &[0, 8])], 4, 1);
        assert_eq!(batch.input_ids, [0, 9, 2, 1, 0, 5, 4, 2]);
        assert_eq!(batch.target_positions, [1, 4, 6]);
        assert_eq!(batch.target_ids, [7, 0, 8]);
        assert_eq!((batch.tokens(), batch.targets(), batch.is_padded()), (7, 3, true));
        assert!(!HostBatch::collate(&[row(&[0, 2], &[], &[])], 2, 1).is_padded());
    }
}
