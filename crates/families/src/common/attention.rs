//! Multi-head self-attention (Vaswani et al. 2017) without its output projection. Knows sequences and their padding,
//! not what layer it stands in.
//!
//! In comments: B sequences, L positions, H width, N heads, D = H / N.

use aten::layers;
use tch::{Device, TchError, Tensor};

use super::dropout::{Dropout, Noise};
use crate::Parameters;

/// The layout of a batch, which attention alone has to know.
pub struct Sequences {
    /// B.
    pub rows: i64,
    /// L.
    pub len: i64,
    /// 0 where there is a token and -∞ where there is padding, `Float` [B, L]; none if nothing is padded.
    mask: Option<Tensor>,
}

impl Sequences {
    /// Sequences of these lengths, padded at the end to `len`.
    pub fn new(lengths: &[u32], len: usize, device: Device) -> Result<Self, TchError> {
        let padded = lengths.iter().any(|&length| (length as usize) < len);
        let mask = padded.then(|| {
            let row = |&length: &u32| {
                let tokens = length as usize;
                (0..len).map(move |position| if position < tokens { 0.0 } else { f32::NEG_INFINITY })
            };
            let values: Vec<f32> = lengths.iter().flat_map(row).collect();
            Tensor::f_from_slice(&values)?.f_to(device)?.f_view([lengths.len() as i64, len as i64])
        });
        Ok(Sequences { rows: lengths.len() as i64, len: len as i64, mask: mask.transpose()? })
    }
}

/// The three projections and the attention itself.
pub struct Attention {
    /// Query, key and value weights, one below the other: [3H, H].
    weight: Tensor,
    /// Their biases: [3H].
    bias: Tensor,
    heads: i64,
    dropout: Dropout,
}

impl Attention {
    /// Attention on the parameters `query.weight` and `query.bias`, on which those of keys and values are stacked.
    pub fn new(parameters: &Parameters, query: &str, heads: usize, dropout: Dropout) -> Self {
        Attention {
            weight: parameters.get(&format!("{query}.weight")),
            bias: parameters.get(&format!("{query}.bias")),
            heads: heads as i64,
            dropout,
        }
    }

    /// [B * L, H] to [B * L, H].
    pub fn forward(
        &self,
        x: &Tensor,
        sequences: &Sequences,
        noise: Option<&Noise>,
    ) -> Result<Tensor, TchError> {
        let (b, l, n) = (sequences.rows, sequences.len, self.heads);
        let d = self.weight.size()[1] / n;
        let qkv = layers::linear(x, &self.weight, Some(&self.bias))?.f_view([b, l, 3, n, d])?;
        // [3, B, N, L, D], copied once so that the products below read contiguous rows.
        let qkv = qkv.f_permute([2, 0, 3, 1, 4])?.f_contiguous()?;
        let context = match noise {
            Some(noise) => self.explicit(&qkv, sequences, noise)?,
            None => fused(&qkv, sequences)?,
        };
        context.f_transpose(1, 2)?.f_reshape([b * l, n * d])
    }

    /// The plain formula: libtorch's kernel for CPUs knows no dropout, and is slower without it, too: `qkv` [3, B, N, L, D] to [B, N, L, D].
    fn explicit(&self, qkv: &Tensor, sequences: &Sequences, noise: &Noise) -> Result<Tensor, TchError> {
        let (b, l, n) = (sequences.rows, sequences.len, self.heads);
        let d = qkv.size()[4];
        let [q, k, v] = parts(&qkv.f_view([3, b * n, l, d])?)?;
        let scores = q.f_bmm(&k.f_transpose(1, 2)?)?.f_view([b, n, l, l])?;
        let drops = self.dropout.draw(Some(noise));
        let weights =
            layers::attention_weights(&scores, sequences.mask.as_ref(), (d as f64).powf(-0.5), drops)?;
        weights.f_view([b * n, l, l])?.f_bmm(&v)?.f_view([b, n, l, d])
    }
}

/// libtorch's kernel, which keeps no weights: `qkv` [3, B, N, L, D] to [B, N, L, D].
fn fused(qkv: &Tensor, sequences: &Sequences) -> Result<Tensor, TchError> {
    let mask = sequences.mask.as_ref().map(|mask| mask.f_view([sequences.rows, 1, 1, sequences.len]));
    let mask = mask.transpose()?.map(|mask| mask.f_to_kind(qkv.f_kind()?)).transpose()?;
    let [q, k, v] = parts(qkv)?;
    Tensor::f_scaled_dot_product_attention(&q, &k, &v, mask.as_ref(), 0.0, false, None::<f64>, false)
}

/// Queries, keys and values: their gradients come together in a single copy.
fn parts(qkv: &Tensor) -> Result<[Tensor; 3], TchError> {
    let parts = qkv.f_unbind(0)?;
    parts.try_into().map_err(|_| TchError::Torch("queries, keys and values make three".to_owned()))
}
