//! What a token is to the encoder: the sum of its word, its position and its segment, normalised. Knows ids, neither
//! layers nor losses.
//!
//! In comments: B sequences, L positions, E embedding width, H width of the encoder, V vocabulary.

use tch::{TchError, Tensor};

use super::attention::Sequences;
use super::dropout::{Dropout, Noise};
use super::encoder::{LayerNorm, Linear};
use crate::Parameters;

/// The three tables, the layer norm over their sum, and a projection where the encoder is of another width.
pub struct Embeddings {
    /// [V, E]
    words: Tensor,
    /// [positions, E]
    positions: Tensor,
    /// [segments, E]
    segments: Tensor,
    norm: LayerNorm,
    dropout: Dropout,
    /// E to H.
    projection: Option<Linear>,
    /// The row of `positions` for the first token.
    first_position: i64,
    padding: i64,
}

/// What [`Embeddings::new`] has to know besides the tables.
pub struct EmbeddingSettings<'a> {
    /// Where the tables are: `at.word_embeddings.weight` and so on.
    pub at: &'a str,
    /// Where the projection is, without `.weight`; none if the widths are the same.
    pub projection: Option<&'a str>,
    /// What is added to the variance.
    pub layer_norm_epsilon: f64,
    /// Dropout behind the layer norm.
    pub dropout: Dropout,
    /// The row of the position table for the first token.
    pub first_position: usize,
    /// The id whose vector gets no gradient, if there is one.
    pub padding: Option<u32>,
}

impl Embeddings {
    /// The embeddings on these parameters.
    pub fn new(parameters: &Parameters, settings: &EmbeddingSettings<'_>) -> Self {
        let table = |name: &str| parameters.get(&format!("{}.{name}_embeddings.weight", settings.at));
        let norm = format!("{}.LayerNorm", settings.at);
        Embeddings {
            words: table("word"),
            positions: table("position"),
            segments: table("token_type"),
            norm: LayerNorm::new(parameters, &norm, settings.layer_norm_epsilon),
            dropout: settings.dropout,
            projection: settings.projection.map(|at| Linear::new(parameters, at)),
            first_position: settings.first_position as i64,
            padding: settings.padding.map_or(-1, i64::from),
        }
    }

    /// `ids` and `segment_ids` [B * L], the second empty if all is one segment, to [B * L, H].
    pub fn forward(
        &self,
        ids: &Tensor,
        segment_ids: &[i64],
        sequences: &Sequences,
        noise: Option<&Noise>,
    ) -> Result<Tensor, TchError> {
        let (b, l) = (sequences.rows, sequences.len);
        let words = Tensor::f_embedding(&self.words, &ids.f_view([b, l])?, self.padding, false, false)?;
        let positions = self.positions.f_narrow(0, self.first_position, l)?; // [L, E]
        let places = if segment_ids.is_empty() {
            positions.f_add(&self.segments.f_narrow(0, 0, 1)?)?
        } else {
            let ids = Tensor::f_from_slice(segment_ids)?.f_to(ids.device())?.f_view([b, l])?;
            Tensor::f_embedding(&self.segments, &ids, -1, false, false)?.f_add(&positions)?
        };
        let embedded = self.norm.forward(&words.f_add(&places)?)?.f_flatten(0, 1)?;
        let embedded = self.dropout.apply(embedded, noise)?;
        match &self.projection {
            Some(projection) => projection.forward(&embedded),
            None => Ok(embedded),
        }
    }
}
