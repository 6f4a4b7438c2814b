//! The network: numerically `BertForPreTraining` of Hugging Face Transformers, computed only where it is asked for.
//! Knows what its parts are called; what is computed with them is in `common`.

use super::config::Bert;
use crate::Parameters;
use crate::common::dropout::Dropout;
use crate::common::embeddings::{EmbeddingSettings, Embeddings};
use crate::common::encoder::Encoder;
use crate::common::heads::{MaskedLmHead, MaskedLmNames, PairHead};
use crate::common::pretraining::PretrainingNet;
use crate::common::trunk::Trunk;

const HEAD: MaskedLmNames = MaskedLmNames {
    dense: "cls.predictions.transform.dense",
    norm: "cls.predictions.transform.LayerNorm",
    table: "bert.embeddings.word_embeddings.weight",
    bias: "cls.predictions.bias",
};

/// The network on these parameters.
pub fn net(recipe: &Bert, parameters: &Parameters) -> PretrainingNet {
    let shape = &recipe.core.shape;
    let embeddings = EmbeddingSettings {
        at: "bert.embeddings",
        projection: None,
        layer_norm_epsilon: shape.layer_norm_epsilon,
        dropout: Dropout::new(shape.dropout),
        first_position: 0,
        // A random token may be padding, and the original trains its vector like any other.
        padding: None,
    };
    let device = parameters.get(HEAD.table).device();
    let pair =
        recipe.pair_task().map(|_| PairHead::new(parameters, "bert.pooler.dense", "cls.seq_relationship"));
    PretrainingNet {
        trunk: Trunk {
            embeddings: Embeddings::new(parameters, &embeddings),
            encoder: Encoder::new(parameters, &shape.plain_names("bert.encoder"), shape),
            device,
        },
        head: MaskedLmHead::new(parameters, &HEAD, shape.activation, shape.layer_norm_epsilon),
        pair,
    }
}
