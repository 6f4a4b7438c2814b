//! The networks: numerically `ElectraForMaskedLM` and `ElectraForPreTraining` of Hugging Face Transformers, one after
//! the other, computed only where they are asked for. Knows no optimizer and no plan.
//!
//! In comments: B sequences, L positions, H width, V vocabulary, T masked positions, K tokens that are not padding.

use plan::Key;
use tch::{Kind, TchError, Tensor, no_grad};

use super::config::{Electra, Sampling};
use super::loss;
use crate::common::dropout::{Dropout, Noise};
use crate::common::embeddings::{EmbeddingSettings, Embeddings};
use crate::common::encoder::{Encoder, Linear, activate};
use crate::common::heads::{MaskedLmHead, MaskedLmNames};
use crate::common::shapes::{Activation, EncoderShape, LayerNames};
use crate::common::trunk::Trunk;
use crate::{Draws, HostBatch, Losses, Network, Parameters, Tape};

pub struct Net {
    generator: Trunk,
    head: MaskedLmHead,
    discriminator: Trunk,
    detector: Detector,
    sampling: Sampling,
    temperature: f64,
}

/// The discriminator's head: dense, GELU, and one score.
struct Detector {
    dense: Linear,
    score: Linear,
    activation: Activation,
}

impl Detector {
    /// [K, H] to [K].
    fn forward(&self, hidden: &Tensor) -> Result<Tensor, TchError> {
        let inner = activate(&self.dense.forward(hidden)?, self.activation)?;
        self.score.forward(&inner)?.f_squeeze_dim(-1)
    }
}

impl Net {
    pub fn new(recipe: &Electra, parameters: &Parameters) -> Self {
        let shape = &recipe.core.shape;
        let trunk =
            |embeddings: &str, encoder: &str, layers: &[LayerNames], shape: &EncoderShape, e: usize| {
                let projection = format!("{encoder}.embeddings_project");
                let settings = EmbeddingSettings {
                    at: embeddings,
                    projection: (shape.hidden != e).then_some(projection.as_str()),
                    layer_norm_epsilon: shape.layer_norm_epsilon,
                    dropout: Dropout::new(shape.dropout),
                    first_position: 0,
                    // The generator may sample padding, and the original trains its vector like any other.
                    padding: None,
                };
                Trunk {
                    embeddings: Embeddings::new(parameters, &settings),
                    encoder: Encoder::new(parameters, layers, shape),
                    device: parameters.get(&format!("{embeddings}.word_embeddings.weight")).device(),
                }
            };
        let (embeddings, encoder) = (recipe.generator_embeddings(), recipe.generator_encoder());
        let head = MaskedLmNames {
            dense: "generator.generator_predictions.dense",
            norm: "generator.generator_predictions.LayerNorm",
            table: &format!("{embeddings}.word_embeddings.weight"),
            bias: "generator.generator_lm_head.bias",
        };
        let detector = "discriminator.discriminator_predictions";
        Net {
            generator: trunk(
                &embeddings,
                &encoder,
                &recipe.generator_layers(),
                &recipe.generator,
                recipe.generator_embedding(),
            ),
            head: MaskedLmHead::new(parameters, &head, shape.activation, shape.layer_norm_epsilon),
            discriminator: trunk(
                "discriminator.electra.embeddings",
                "discriminator.electra",
                &recipe.discriminator_layers(),
                shape,
                recipe.embedding,
            ),
            detector: Detector {
                dense: Linear::new(parameters, &format!("{detector}.dense")),
                score: Linear::new(parameters, &format!("{detector}.dense_prediction")),
                activation: shape.activation,
            },
            sampling: recipe.sampling,
            temperature: recipe.temperature,
        }
    }

    /// One token for each row of `logits` [T, V]: [T]. No gradient passes.
    fn sample(&self, logits: &Tensor, key: Key) -> Result<Tensor, TchError> {
        let logits = logits.f_detach()?.f_to_kind(Kind::Float)?;
        match self.sampling {
            Sampling::Argmax => logits.f_argmax(-1, false),
            // The greatest of scores with Gumbel noise is a draw from the softmax. One uniform number for
            // each row and the sums of its probabilities draw from it as well, with T random numbers instead of V * T.
            Sampling::Gumbel => {
                let mut stream = key.stream();
                let uniform: Vec<f64> = (0..logits.size()[0]).map(|_| stream.uniform()).collect();
                let uniform = Tensor::f_from_slice(&uniform)?.f_to(logits.device())?.f_unsqueeze(1)?;
                let scaled = logits.f_div_scalar(self.temperature)?;
                let sums = scaled.f_softmax(-1, Kind::Float)?.f_cumsum(-1, Kind::Double)?;
                let last = sums.size()[1] - 1;
                let thresholds = sums.f_narrow(1, last, 1)?.f_mul(&uniform)?;
                let drawn =
                    sums.f_le_tensor(&thresholds)?.f_sum_dim_intlist([1].as_slice(), false, Kind::Int64)?;
                drawn.f_clamp_max(last)
            }
        }
    }

    /// What the discriminator reads, and what was there in truth: `ids` [B * L] after masking, with the generator's
    /// tokens, or with the originals, at `positions` [T].
    ///
    /// Where a position was drawn several times it has several tokens, and the original takes their mean, rounded down
    /// (`pretrain_helpers.py`, `scatter_update`).
    fn filled(ids: &Tensor, positions: &Tensor, tokens: &Tensor) -> Result<Tensor, TchError> {
        let ones = tokens.f_ones_like()?;
        let sums = ids.f_zeros_like()?.f_index_add(0, positions, tokens)?;
        let counts = ids.f_zeros_like()?.f_index_add(0, positions, &ones)?;
        let means = sums.f_divide_tensor_mode(&counts.f_clamp_min(1)?, "floor")?;
        means.f_where_self(&counts.f_gt(0)?, ids)
    }
}

impl Network for Net {
    fn losses<'n>(
        &'n self,
        batch: &HostBatch,
        draws: &Draws,
        tape: Option<&Tape<'n>>,
    ) -> Result<Losses, TchError> {
        let upload = |values: &[i64]| self.generator.upload(values);
        let (positions, targets) = (upload(&batch.target_positions)?, upload(&batch.target_ids)?); // [T]
        let masked = upload(&batch.input_ids)?; // [B * L]

        let noise = draws.dropout.map(|key| Noise::new(key.named("generator")));
        let hidden = self.generator.forward(&masked, batch, Some(&positions), noise.as_ref(), tape)?; // [T, H]
        let logits = self.head.forward(&hidden)?;
        let mut losses = Losses::none();
        loss::generator(&logits, &targets, &mut losses)?;

        let sampled = self.sample(&logits, draws.sampling)?; // [T]
        let [replaced, original] =
            [&sampled, &targets].map(|tokens| Net::filled(&masked, &positions, tokens));
        let (replaced, original) = (replaced?, original?);
        let tokens = upload(&batch.token_positions())?; // [K]
        let noise = draws.dropout.map(|key| Noise::new(key.named("discriminator")));
        let hidden = self.discriminator.forward(&replaced, batch, Some(&tokens), noise.as_ref(), tape)?; // [K, H]
        let labels = replaced.f_ne_tensor(&original)?.f_index_select(0, &tokens)?;
        loss::discriminator(&self.detector.forward(&hidden)?, &labels, &mut losses)?;
        Ok(losses)
    }

    fn logits(&self, ids: &[i64]) -> Result<Tensor, TchError> {
        no_grad(|| self.head.forward(&self.generator.sequence(ids)?))
    }

    fn replaced(&self, ids: &[i64]) -> Result<Option<Tensor>, TchError> {
        no_grad(|| Ok(Some(self.detector.forward(&self.discriminator.sequence(ids)?)?)))
    }
}
