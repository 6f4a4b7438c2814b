//! The network: numerically `BertForMaskedLM` of Hugging Face Transformers with the boundary head of `pair_bert.py`,
//! computed only where it is asked for. Knows no optimizer and no plan.
//!
//! In comments: H width, P width of place vectors, V vocabulary, T masked positions, S tokens in spans.

use aten::layers;
use tch::{TchError, Tensor, no_grad};

use super::config::SpanBert;
use super::loss;
use crate::common::dropout::{Dropout, Noise};
use crate::common::embeddings::{EmbeddingSettings, Embeddings};
use crate::common::encoder::{Encoder, LayerNorm, Linear, activate};
use crate::common::heads::{MaskedLmHead, MaskedLmNames};
use crate::common::shapes::Activation;
use crate::common::trunk::{Trunk, rows};
use crate::{Draws, HostBatch, Losses, Network, Parameters, SpanTargets, Tape};

const HEAD: MaskedLmNames = MaskedLmNames {
    dense: "cls.predictions.transform.dense",
    norm: "cls.predictions.transform.LayerNorm",
    table: "bert.embeddings.word_embeddings.weight",
    bias: "cls.predictions.bias",
};

pub struct Net {
    trunk: Trunk,
    head: MaskedLmHead,
    boundary: BoundaryHead,
}

/// Guesses a token of a span from the tokens around the span and from its place in it.
struct BoundaryHead {
    /// [places, P]
    places: Tensor,
    layers: [(Linear, LayerNorm); 2],
    activation: Activation,
    /// [V, H]
    table: Tensor,
    /// [V]
    bias: Tensor,
}

impl BoundaryHead {
    fn new(parameters: &Parameters, activation: Activation, epsilon: f64) -> Self {
        let layer = |number: usize| {
            let dense = Linear::new(parameters, &format!("sbo.dense{number}"));
            (dense, LayerNorm::new(parameters, &format!("sbo.norm{number}"), epsilon))
        };
        BoundaryHead {
            places: parameters.get("sbo.position_embeddings.weight"),
            layers: [layer(1), layer(2)],
            activation,
            table: parameters.get(HEAD.table),
            bias: parameters.get("sbo.bias"),
        }
    }

    /// Hidden states [S, H] before and behind the spans, and places [S] from 0, to [S, V].
    fn forward(&self, left: &Tensor, right: &Tensor, places: &Tensor) -> Result<Tensor, TchError> {
        let places = Tensor::f_embedding(&self.places, places, -1, false, false)?;
        let mut x = Tensor::f_cat(&[left, right, &places], -1)?; // [S, 2H + P]
        for (dense, norm) in &self.layers {
            x = norm.forward(&activate(&dense.forward(&x)?, self.activation)?)?;
        }
        layers::linear(&x, &self.table, Some(&self.bias))
    }
}

impl Net {
    pub fn new(recipe: &SpanBert, parameters: &Parameters) -> Self {
        let shape = &recipe.core.shape;
        let embeddings = EmbeddingSettings {
            at: "bert.embeddings",
            projection: None,
            layer_norm_epsilon: shape.layer_norm_epsilon,
            dropout: Dropout::new(shape.dropout),
            first_position: 0,
            // `pair_bert.py` spares no vector.
            padding: None,
        };
        Net {
            trunk: Trunk {
                embeddings: Embeddings::new(parameters, &embeddings),
                encoder: Encoder::new(parameters, &shape.plain_names("bert.encoder"), shape),
                device: parameters.get(HEAD.table).device(),
            },
            head: MaskedLmHead::new(parameters, &HEAD, shape.activation, shape.layer_norm_epsilon),
            boundary: BoundaryHead::new(parameters, shape.activation, shape.layer_norm_epsilon),
        }
    }
}

impl Network for Net {
    fn losses<'n>(
        &'n self,
        batch: &HostBatch,
        draws: &Draws,
        tape: Option<&Tape<'n>>,
    ) -> Result<Losses, TchError> {
        let noise = draws.dropout.map(Noise::new);
        let SpanTargets { left, right, offset, ids } = &batch.spans;
        let keep = self.trunk.upload_all(&[&batch.target_positions, left, right])?;
        let tokens = self.trunk.upload(&batch.input_ids)?;
        let hidden = self.trunk.forward(&tokens, batch, Some(&keep), noise.as_ref(), tape)?; // [T + 2S, H]
        let lengths = [batch.target_positions.len(), left.len(), right.len()];
        let [masked, left, right] = rows(&hidden, lengths)?;
        let mut losses = Losses::none();
        let targets = self.trunk.upload(&batch.target_ids)?;
        loss::masked_lm(&self.head.forward(&masked)?, &targets, &mut losses)?;
        let places = self.trunk.upload(offset)?.f_sub_scalar(1)?;
        let logits = self.boundary.forward(&left, &right, &places)?;
        loss::span_boundary(&logits, &self.trunk.upload(ids)?, &mut losses)?;
        Ok(losses)
    }

    fn logits(&self, ids: &[i64]) -> Result<Tensor, TchError> {
        no_grad(|| self.head.forward(&self.trunk.sequence(ids)?))
    }
}
