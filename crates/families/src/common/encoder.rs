//! A stack of post-norm Transformer encoder layers. Knows hidden states, neither tokens nor losses.
//!
//! In comments: B sequences, L positions, H width, F feed-forward width, K positions that are kept.

use std::rc::Rc;

use aten::layers;
use tch::{TchError, Tensor};

use super::attention::{Attention, Sequences};
use super::dropout::{Dropout, Noise};
use super::shapes::{Activation, EncoderShape, LayerNames};
use crate::{Parameters, Tape};

/// Scale and shift after normalisation (Ba et al. 2016).
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    /// The layer norm on `at.weight` and `at.bias`.
    pub fn new(parameters: &Parameters, at: &str, epsilon: f64) -> Self {
        let [weight, bias] = ["weight", "bias"].map(|part| parameters.get(&format!("{at}.{part}")));
        LayerNorm { weight, bias, epsilon }
    }

    /// [.., H] to [.., H].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.epsilon, true)
    }
}

/// `x Wᵀ + b`.
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// The layer on `at.weight` [out, in] and `at.bias` [out].
    pub fn new(parameters: &Parameters, at: &str) -> Self {
        let [weight, bias] = ["weight", "bias"].map(|part| parameters.get(&format!("{at}.{part}")));
        Linear { weight, bias }
    }

    /// [.., in] to [.., out].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        layers::linear(x, &self.weight, Some(&self.bias))
    }
}

/// The activation of `x`, element by element.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor, TchError> {
    match activation {
        Activation::Gelu => x.f_gelu("none"),
        Activation::GeluTanh => layers::gelu_tanh(x),
    }
}

/// All layers.
pub struct Encoder {
    layers: Vec<Layer>,
}

struct Layer {
    attention: Attention,
    projection: Linear,
    attention_norm: LayerNorm,
    expand: Linear,
    contract: Linear,
    output_norm: LayerNorm,
    activation: Activation,
    dropout: Dropout,
}

impl Encoder {
    /// Layers of that shape with these names; layers of the same name share their tensors.
    pub fn new(parameters: &Parameters, names: &[LayerNames], shape: &EncoderShape) -> Self {
        let [dropout, attention_dropout] = [shape.dropout, shape.attention_dropout].map(Dropout::new);
        let layer = |names: &LayerNames| {
            let norm = |at: &str| LayerNorm::new(parameters, at, shape.layer_norm_epsilon);
            Layer {
                attention: Attention::new(parameters, &names.query, shape.heads, attention_dropout),
                projection: Linear::new(parameters, &names.projection),
                attention_norm: norm(&names.attention_norm),
                expand: Linear::new(parameters, &names.expand),
                contract: Linear::new(parameters, &names.contract),
                output_norm: norm(&names.output_norm),
                activation: shape.activation,
                dropout,
            }
        };
        Encoder { layers: names.iter().map(layer).collect() }
    }

    /// [B * L, H] to [K, H]: the last hidden states at the positions `keep` (indices into B * L), or at all of them.
    ///
    /// What no one asks for is not computed: the last layer needs all positions as keys and values only, and two
    /// thirds of its work come after that.
    pub fn forward<'n>(
        &'n self,
        mut x: Tensor,
        sequences: &Rc<Sequences>,
        keep: Option<&Tensor>,
        noise: Option<&Noise>,
        tape: Option<&Tape<'n>>,
    ) -> Result<Tensor, TchError> {
        if let Some(tape) = tape {
            x = tape.cut(x)?;
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let keep = keep.filter(|_| index + 1 == self.layers.len());
            let forward = |noise: Option<&Noise>| layer.forward(&x, sequences, keep, noise);
            x = match tape {
                None => forward(noise)?,
                Some(tape) => {
                    let again = layer.again(&x, sequences, keep, noise);
                    tape.forget(|| forward(noise), again)?
                }
            };
        }
        Ok(x)
    }
}

impl Layer {
    /// What computes the same as [`Layer::forward`] does now, at any time.
    fn again<'n>(
        &'n self,
        x: &Tensor,
        sequences: &Rc<Sequences>,
        keep: Option<&Tensor>,
        noise: Option<&Noise>,
    ) -> impl FnOnce() -> Result<Tensor, TchError> + use<'n> {
        let (x, sequences, noise) = (x.shallow_clone(), sequences.clone(), noise.cloned());
        let keep = keep.map(Tensor::shallow_clone);
        move || self.forward(&x, &sequences, keep.as_ref(), noise.as_ref())
    }

    fn forward(
        &self,
        x: &Tensor,
        sequences: &Sequences,
        keep: Option<&Tensor>,
        noise: Option<&Noise>,
    ) -> Result<Tensor, TchError> {
        let context = self.attention.forward(x, sequences, noise)?;
        let (context, x) = match keep {
            Some(rows) => (context.f_index_select(0, rows)?, x.f_index_select(0, rows)?),
            None => (context, x.shallow_clone()),
        };
        let attended = self.dropout.add(&x, &self.projection.forward(&context)?, noise)?;
        let x = self.attention_norm.forward(&attended)?;
        let inner = activate(&self.expand.forward(&x)?, self.activation)?; // [K, F]
        let fed = self.dropout.add(&x, &self.contract.forward(&inner)?, noise)?;
        self.output_norm.forward(&fed)
    }
}
