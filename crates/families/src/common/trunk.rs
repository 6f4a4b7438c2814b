//! Embeddings and encoder together: ids to hidden states. Knows no loss.
//!
//! In comments: B sequences, L positions, H width, K positions that are kept.

use std::rc::Rc;

use tch::{Device, TchError, Tensor, no_grad};

use super::attention::Sequences;
use super::dropout::Noise;
use super::embeddings::Embeddings;
use super::encoder::Encoder;
use crate::{HostBatch, Tape};

/// What all heads stand on.
pub struct Trunk {
    /// Ids to the first hidden states.
    pub embeddings: Embeddings,
    /// The layers.
    pub encoder: Encoder,
    /// Where the parameters are.
    pub device: Device,
}

impl Trunk {
    /// The last hidden states of a batch at the positions `keep` (indices into B * L), or at all of them: [K, H].
    ///
    /// `ids` [B * L] may differ from the batch's own; their lengths and segments are the batch's.
    pub fn forward<'n>(
        &'n self,
        ids: &Tensor,
        batch: &HostBatch,
        keep: Option<&Tensor>,
        noise: Option<&Noise>,
        tape: Option<&Tape<'n>>,
    ) -> Result<Tensor, TchError> {
        let sequences = Rc::new(Sequences::new(&batch.lengths, batch.len, self.device)?);
        let embedded = self.embeddings.forward(ids, &batch.segment_ids, &sequences, noise)?;
        self.encoder.forward(embedded, &sequences, keep, noise, tape)
    }

    /// The last hidden states of one sequence of a single segment, without dropout: [L, H].
    pub fn sequence(&self, ids: &[i64]) -> Result<Tensor, TchError> {
        let batch =
            HostBatch { rows: 1, len: ids.len(), lengths: vec![ids.len() as u32], ..HostBatch::default() };
        no_grad(|| self.forward(&self.upload(ids)?, &batch, None, None, None))
    }

    /// Numbers of the host, where the parameters are.
    pub fn upload(&self, values: &[i64]) -> Result<Tensor, TchError> {
        Tensor::f_from_slice(values)?.f_to(self.device)
    }

    /// Several lists of positions as one, to be kept together: the hidden states of each are [`rows`] of the result.
    pub fn upload_all(&self, lists: &[&[i64]]) -> Result<Tensor, TchError> {
        self.upload(&lists.concat())
    }
}

/// The hidden states of the lists given to [`Trunk::upload_all`], one tensor per list of that length.
pub fn rows<const N: usize>(hidden: &Tensor, lengths: [usize; N]) -> Result<[Tensor; N], TchError> {
    let mut start = 0;
    let mut parts = Vec::with_capacity(N);
    for length in lengths {
        parts.push(hidden.f_narrow(0, start, length as i64)?);
        start += length as i64;
    }
    match parts.try_into() {
        Ok(parts) => Ok(parts),
        Err(_) => unreachable!("one part for each length"),
    }
}

/// The position of the first token of every row, as an index into the flattened batch: [B].
pub fn first_positions(batch: &HostBatch) -> Vec<i64> {
    (0..batch.rows).map(|row| (row * batch.len) as i64).collect()
}
