//! The network: numerically `RobertaForMaskedLM` of Hugging Face Transformers, computed only where it is asked for.
//! Knows no optimizer and no plan.
//!
//! In comments: B sequences, L positions, H width, V vocabulary, T masked positions.

use plan::Key;
use tch::{Device, TchError, Tensor, no_grad};

use super::config::Roberta;
use super::loss::masked_lm;
use crate::common::attention::Sequences;
use crate::common::dropout::{Dropout, Noise};
use crate::common::encoder::{Encoder, LayerNorm};
use crate::common::heads::{MaskedLmHead, MaskedLmNames};
use crate::{HostBatch, LossSums, Network, Parameters};

const HEAD: MaskedLmNames = MaskedLmNames {
    dense: "lm_head.dense",
    norm: "lm_head.layer_norm",
    table: "roberta.embeddings.word_embeddings.weight",
    bias: "lm_head.bias",
};

pub struct Net {
    /// [V, H]
    words: Tensor,
    /// [positions + padding + 1, H]
    positions: Tensor,
    /// [1, H]
    segments: Tensor,
    norm: LayerNorm,
    dropout: Dropout,
    encoder: Encoder,
    head: MaskedLmHead,
    padding: i64,
    device: Device,
}

impl Net {
    pub fn new(recipe: &Roberta, parameters: &Parameters) -> Self {
        let embedding = |name| parameters.get(&format!("roberta.embeddings.{name}.weight"));
        let epsilon = recipe.shape.layer_norm_epsilon;
        let [dropout, attention_dropout] = [recipe.dropout, recipe.attention_dropout].map(Dropout::new);
        let words = embedding("word_embeddings");
        Net {
            device: words.device(),
            words,
            positions: embedding("position_embeddings"),
            segments: embedding("token_type_embeddings"),
            norm: LayerNorm::new(parameters, "roberta.embeddings.LayerNorm", epsilon),
            dropout,
            encoder: Encoder::new(parameters, "roberta.encoder", &recipe.shape, dropout, attention_dropout),
            head: MaskedLmHead::new(parameters, &HEAD, epsilon),
            padding: i64::from(recipe.specials.pad),
        }
    }

    /// Ids [B * L] to [B * L, H].
    fn embed(&self, ids: &[i64], sequences: &Sequences, noise: Option<&Noise>) -> Result<Tensor, TchError> {
        let ids = Tensor::f_from_slice(ids)?.f_to(self.device)?.f_view([sequences.rows, sequences.len])?;
        let words = Tensor::f_embedding(&self.words, &ids, self.padding, false, false)?; // [B, L, H]
        // Positions count from `padding + 1` (fairseq, `positional_embedding.py`). The reference gives padding
        // another position, which nobody sees: no position attends to it and none of it is predicted.
        let positions = self.positions.f_narrow(0, self.padding + 1, sequences.len)?.f_add(&self.segments)?;
        let embedded = self.norm.forward(&words.f_add(&positions)?)?;
        self.dropout.apply(embedded.f_flatten(0, 1)?, noise)
    }
}

impl Network for Net {
    fn loss(&self, batch: &HostBatch, dropout: Option<Key>) -> Result<LossSums, TchError> {
        let noise = dropout.map(Noise::new);
        let upload = |values: &[i64]| Tensor::f_from_slice(values)?.f_to(self.device);
        let (positions, targets) = (upload(&batch.target_positions)?, upload(&batch.target_ids)?); // [T]
        let sequences = Sequences::new(&batch.lengths, batch.len, self.device)?;
        let embedded = self.embed(&batch.input_ids, &sequences, noise.as_ref())?;
        let hidden = self.encoder.forward(embedded, &sequences, Some(&positions), noise.as_ref())?; // [T, H]
        masked_lm(&self.head.forward(&hidden)?, &targets)
    }

    fn logits(&self, ids: &[i64]) -> Result<Tensor, TchError> {
        no_grad(|| {
            let sequences = Sequences::new(&[ids.len() as u32], ids.len(), self.device)?;
            let embedded = self.embed(ids, &sequences, None)?;
            let hidden = self.encoder.forward(embedded, &sequences, None, None)?; // [L, H]
            self.head.forward(&hidden)
        })
    }
}
