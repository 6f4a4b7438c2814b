//! The network: numerically `RobertaForMaskedLM` of Hugging Face Transformers, computed only where it is asked for.
//! Knows what its parts are called; what is computed with them is in `common`.

use super::config::Roberta;
use crate::Parameters;
use crate::common::dropout::Dropout;
use crate::common::embeddings::{EmbeddingSettings, Embeddings};
use crate::common::encoder::Encoder;
use crate::common::heads::{MaskedLmHead, MaskedLmNames, PairHead};
use crate::common::pretraining::PretrainingNet;
use crate::common::trunk::Trunk;

const HEAD: MaskedLmNames = MaskedLmNames {
    dense: "lm_head.dense",
    norm: "lm_head.layer_norm",
    table: "roberta.embeddings.word_embeddings.weight",
    bias: "lm_head.bias",
};

/// The network on these parameters.
pub fn net(recipe: &Roberta, parameters: &Parameters) -> PretrainingNet {
    let shape = &recipe.core.shape;
    let embeddings = EmbeddingSettings {
        at: "roberta.embeddings",
        projection: None,
        layer_norm_epsilon: shape.layer_norm_epsilon,
        dropout: Dropout::new(shape.dropout),
        // Positions count from `padding + 1` (fairseq, `positional_embedding.py`). The reference gives padding
        // another position, which nobody sees: no position attends to it and none of it is predicted.
        first_position: recipe.positions_before_first(),
        padding: Some(recipe.core.specials().pad),
    };
    let pair = recipe
        .core
        .objective
        .pair_task()
        .map(|_| PairHead::new(parameters, "pair_head.pooler", "pair_head.seq_relationship"));
    PretrainingNet {
        trunk: Trunk {
            embeddings: Embeddings::new(parameters, &embeddings),
            encoder: Encoder::new(parameters, &shape.plain_names("roberta.encoder"), shape),
            device: parameters.get(HEAD.table).device(),
        },
        head: MaskedLmHead::new(parameters, &HEAD, shape.activation, shape.layer_norm_epsilon),
        pair,
    }
}
