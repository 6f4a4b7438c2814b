//! The network that BERT's recipe has in common with those nearest to it: masked tokens at their own positions, and the
//! relation of two segments at the first. Knows no family: what its parts are called is the caller's.
//!
//! In comments: H width, V vocabulary, T masked positions, B sequences.

use tch::{TchError, Tensor, no_grad};

use super::dropout::Noise;
use super::heads::{MaskedLmHead, PairHead, cross_entropy};
use super::trunk::{Trunk, first_positions, rows};
use crate::{Draws, HostBatch, Losses, Network, Tape};

/// Computed only where it is asked for. Its loss has a term for the masked tokens, and one for the pairs if there is a head
/// for them; sums are made here, and divided elsewhere.
pub struct PretrainingNet {
    /// Ids to hidden states.
    pub trunk: Trunk,
    /// Hidden states to words.
    pub head: MaskedLmHead,
    /// The first hidden state to the relation of the segments.
    pub pair: Option<PairHead>,
}

impl Network for PretrainingNet {
    fn losses<'n>(
        &'n self,
        batch: &HostBatch,
        draws: &Draws,
        tape: Option<&Tape<'n>>,
    ) -> Result<Losses, TchError> {
        let noise = draws.dropout.map(Noise::new);
        let first = if self.pair.is_some() { first_positions(batch) } else { Vec::new() };
        let keep = self.trunk.upload_all(&[&batch.target_positions, &first])?;
        let ids = self.trunk.upload(&batch.input_ids)?;
        let hidden = self.trunk.forward(&ids, batch, Some(&keep), noise.as_ref(), tape)?; // [T + B, H]
        let [masked, first] = rows(&hidden, [batch.target_positions.len(), first.len()])?;
        let mut losses = Losses::none();
        let targets = self.trunk.upload(&batch.target_ids)?;
        losses.push(cross_entropy(&self.head.forward(&masked)?, &targets)?); // [T, V]
        if let Some(pair) = &self.pair {
            let relations = self.trunk.upload(&batch.relations)?;
            losses.push(cross_entropy(&pair.forward(&first)?, &relations)?); // [B, 2]
        }
        Ok(losses)
    }

    fn logits(&self, ids: &[i64]) -> Result<Tensor, TchError> {
        no_grad(|| self.head.forward(&self.trunk.sequence(ids)?))
    }
}
