//! The nouns between objective and network: one masked sequence, and a micro-batch of them as flat arrays. Knows no
//! family and no tensors.

/// One sequence as the network will see it, and what it shall answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// Token ids after masking, without padding: [L].
    pub input_ids: Vec<u32>,
    /// Where the second segment begins, for networks that tell segments apart; none if there is but one.
    pub second_segment: Option<u32>,
    /// Positions that are to be predicted, ascending; a rule that draws with replacement may name one twice: [T].
    pub target_positions: Vec<u32>,
    /// The original ids at these positions: [T].
    pub target_ids: Vec<u32>,
    /// The class of the pair of segments, where the network is asked about it.
    pub relation: Option<u32>,
    /// Tokens that are to be predicted from the ends of their span.
    pub span_targets: Vec<SpanTarget>,
}

/// A token to be predicted from the two tokens around its span and from its place in the span (Joshi et al. 2020, §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanTarget {
    /// The position before the span.
    pub left: u32,
    /// The position behind the span.
    pub right: u32,
    /// Its place in the span, from 1.
    pub offset: u32,
    /// Its original id.
    pub id: u32,
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
    /// The segment of each token, 0 or 1: [B * L]; empty if no row has a second segment.
    pub segment_ids: Vec<i64>,
    /// Positions to predict, as indices into the flattened batch (`row * L + position`), ascending: [T].
    pub target_positions: Vec<i64>,
    /// The original ids at these positions: [T].
    pub target_ids: Vec<i64>,
    /// The class of each row's pair: [B]; empty if the network is not asked.
    pub relations: Vec<i64>,
    /// Tokens to predict from the ends of their span: S of them.
    pub spans: SpanTargets,
}

/// The [`SpanTarget`]s of a micro-batch, one array per field; positions are indices into the flattened batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanTargets {
    /// [S]
    pub left: Vec<i64>,
    /// [S]
    pub right: Vec<i64>,
    /// From 1: [S].
    pub offset: Vec<i64>,
    /// [S]
    pub ids: Vec<i64>,
}

impl HostBatch {
    /// Lays examples out as rows of `len` tokens, filled up with `pad`.
    ///
    /// # Panics
    /// If an example is longer than `len`: the packer was asked for at most `len`.
    pub fn collate(examples: &[Example], len: usize, pad: u32) -> Self {
        let targets = examples.iter().map(|example| example.target_ids.len()).sum();
        let segments = examples.iter().any(|example| example.second_segment.is_some());
        let mut batch = HostBatch {
            rows: examples.len(),
            len,
            input_ids: Vec::with_capacity(examples.len() * len),
            lengths: Vec::with_capacity(examples.len()),
            segment_ids: vec![0; if segments { examples.len() * len } else { 0 }],
            target_positions: Vec::with_capacity(targets),
            target_ids: Vec::with_capacity(targets),
            relations: examples.iter().filter_map(|example| example.relation.map(i64::from)).collect(),
            spans: SpanTargets::default(),
        };
        examples.iter().for_each(|example| batch.push(example, pad));
        batch
    }

    fn push(&mut self, example: &Example, pad: u32) {
        let (tokens, len) = (example.input_ids.len(), self.len);
        assert!(tokens <= len, "an example of {tokens} tokens in a batch of length {len}");
        let start = self.input_ids.len();
        self.lengths.push(tokens as u32);
        self.input_ids.extend(example.input_ids.iter().map(|&id| i64::from(id)));
        self.input_ids.resize(start + len, i64::from(pad));
        if let Some(second) = example.second_segment {
            self.segment_ids[start + second as usize..start + tokens].fill(1);
        }
        let flat = |position: u32| start as i64 + i64::from(position);
        self.target_positions.extend(example.target_positions.iter().map(|&position| flat(position)));
        self.target_ids.extend(example.target_ids.iter().map(|&id| i64::from(id)));
        for target in &example.span_targets {
            self.spans.left.push(flat(target.left));
            self.spans.right.push(flat(target.right));
            self.spans.offset.push(i64::from(target.offset));
            self.spans.ids.push(i64::from(target.id));
        }
    }

    /// Tokens that are not padding.
    pub fn tokens(&self) -> u64 {
        self.lengths.iter().map(|&length| u64::from(length)).sum()
    }

    /// Whether any row is shorter than the batch, so that attention needs a mask.
    pub fn is_padded(&self) -> bool {
        self.lengths.iter().any(|&length| (length as usize) < self.len)
    }

    /// The positions that are not padding, as indices into the flattened batch, ascending.
    pub fn token_positions(&self) -> Vec<i64> {
        let row = |(row, &length): (usize, &u32)| {
            let start = (row * self.len) as i64;
            start..start + i64::from(length)
        };
        self.lengths.iter().enumerate().flat_map(row).collect()
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
            ..Example::default()
        };
        let first = Example { second_segment: Some(2), relation: Some(1), ..row(&[0, 9, 2], &[1], &[7]) };
        let span = SpanTarget { left: 0, right: 3, offset: 2, id: 8 };
        let second =
            Example { relation: Some(0), span_targets: vec![span], ..row(&[0, 5, 4, 2], &[0, 2], &[0, 8]) };
        let batch = HostBatch::collate(&[first, second], 4, 1);
        assert_eq!(batch.input_ids, [0, 9, 2, 1, 0, 5, 4, 2]);
        assert_eq!(batch.segment_ids, [0, 0, 1, 0, 0, 0, 0, 0]);
        assert_eq!(batch.target_positions, [1, 4, 6]);
        assert_eq!(batch.target_ids, [7, 0, 8]);
        assert_eq!(batch.relations, [1, 0]);
        let spans = SpanTargets { left: vec![4], right: vec![7], offset: vec![2], ids: vec![8] };
        assert_eq!(batch.spans, spans);
        assert_eq!((batch.tokens(), batch.is_padded()), (7, true));
        assert_eq!(batch.token_positions(), [0, 1, 2, 4, 5, 6, 7]);
        let plain = HostBatch::collate(&[row(&[0, 2], &[], &[])], 2, 1);
        assert!(!plain.is_padded() && plain.segment_ids.is_empty() && plain.relations.is_empty());
    }
}
