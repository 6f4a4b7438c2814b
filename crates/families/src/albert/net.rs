//! The network: numerically `AlbertForPreTraining` of Hugging Face Transformers, computed only where it is asked for.
//! Knows no optimizer and no plan.
//!
//! In comments: L positions, H width, V vocabulary, T masked positions, B sequences.

use tch::{TchError, Tensor, no_grad};

use super::config::Albert;
use super::loss;
use crate::common::dropout::{Dropout, Noise};
use crate::common::embeddings::{EmbeddingSettings, Embeddings};
use crate::common::encoder::Encoder;
use crate::common::heads::{MaskedLmHead, MaskedLmNames, PairHead};
use crate::common::trunk::{Trunk, first_positions, rows};
use crate::{Draws, HostBatch, Losses, Network, Parameters};

const HEAD: MaskedLmNames = MaskedLmNames {
    dense: "predictions.dense",
    norm: "predictions.LayerNorm",
    table: "albert.embeddings.word_embeddings.weight",
    bias: "predictions.bias",
};

pub struct Net {
    trunk: Trunk,
    head: MaskedLmHead,
    pair: Option<PairHead>,
}

impl Net {
    pub fn new(recipe: &Albert, parameters: &Parameters) -> Self {
        let shape = &recipe.core.shape;
        let embeddings = EmbeddingSettings {
            at: "albert.embeddings",
            projection: Some("albert.encoder.embedding_hidden_mapping_in"),
            layer_norm_epsilon: shape.layer_norm_epsilon,
            dropout: Dropout::new(shape.dropout),
            first_position: 0,
            // A random token may be padding, and the original trains its vector like any other.
            padding: None,
        };
        let device = parameters.get(HEAD.table).device();
        let pair = recipe
            .pair_task()
            .map(|_| PairHead::new(parameters, "albert.pooler", "sop_classifier.classifier"));
        Net {
            trunk: Trunk {
                embeddings: Embeddings::new(parameters, &embeddings),
                encoder: Encoder::new(parameters, &recipe.layers(), shape),
                device,
            },
            head: MaskedLmHead::new(parameters, &HEAD, shape.activation, shape.layer_norm_epsilon),
            pair,
        }
    }
}

impl Network for Net {
    fn losses(&self, batch: &HostBatch, draws: &Draws) -> Result<Losses, TchError> {
        let noise = draws.dropout.map(Noise::new);
        let first = if self.pair.is_some() { first_positions(batch) } else { Vec::new() };
        let keep = self.trunk.upload_all(&[&batch.target_positions, &first])?;
        let ids = self.trunk.upload(&batch.input_ids)?;
        let hidden = self.trunk.forward(&ids, batch, Some(&keep), noise.as_ref())?; // [T + B, H]
        let [masked, first] = rows(&hidden, [batch.target_positions.len(), first.len()])?;
        let targets = self.trunk.upload(&batch.target_ids)?;
        let mut losses = Losses::none();
        loss::masked_lm(&self.head.forward(&masked)?, &targets, &mut losses)?;
        if let Some(pair) = &self.pair {
            let relations = self.trunk.upload(&batch.relations)?;
            loss::sentence_order(&pair.forward(&first)?, &relations, &mut losses)?;
        }
        Ok(losses)
    }

    fn logits(&self, ids: &[i64]) -> Result<Tensor, TchError> {
        no_grad(|| self.head.forward(&self.trunk.sequence(ids)?))
    }
}
