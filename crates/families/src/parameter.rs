//! What tensors a network has, and what they hold before the first step. Knows no tensors: a dry run counts
//! parameters and an export names them on a machine without libtorch.

use plan::Key;

use crate::common::normal::standard_normal;

/// A tensor of the network, named as Hugging Face Transformers names it.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// The name in an exported file.
    pub name: String,
    /// The extent of each dimension.
    pub shape: Vec<usize>,
    /// What it holds at first.
    pub init: Init,
    /// Whether it has weight decay where the optimizer leaves out biases and layer norms.
    pub decay: bool,
    /// Whether it is trained. What is not keeps what it holds at first.
    pub trained: bool,
    /// Whether it lies in memory right behind the tensor before it, so that the network can use both as one tensor,
    /// stacked along the first dimension.
    pub stacked: bool,
}

/// What a tensor holds before the first step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Zeros: biases.
    Zeros,
    /// Ones: the scale of a layer norm.
    Ones,
    /// Normally distributed around 0, not truncated.
    Normal {
        /// The standard deviation.
        std: f64,
        /// The row that is zero instead (the padding of an embedding).
        zero_row: Option<usize>,
    },
    /// Normally distributed around 0, drawn again where it lies more than two standard deviations away (TensorFlow's
    /// `truncated_normal_initializer`).
    TruncatedNormal {
        /// The standard deviation before the tails are cut.
        std: f64,
    },
    /// Uniform within ±√(6 / (rows + columns)): TensorFlow's choice where nobody chooses (Glorot & Bengio 2010).
    GlorotUniform,
}

/// The share of a normal distribution that lies more than two standard deviations below its mean.
const TAIL: f64 = 0.022_750_131_948_179_2;

impl ParameterSpec {
    /// A trained matrix or table, with weight decay.
    pub fn weight(name: impl Into<String>, shape: &[usize], init: Init) -> Self {
        let (name, shape) = (name.into(), shape.to_vec());
        ParameterSpec { name, shape, init, decay: true, trained: true, stacked: false }
    }

    /// A bias or a part of a layer norm: a trained vector that may be left out of weight decay.
    pub fn vector(name: impl Into<String>, len: usize, init: Init) -> Self {
        ParameterSpec { decay: false, ..ParameterSpec::weight(name, &[len], init) }
    }

    /// The same, lying right behind the tensor before it.
    pub fn stacked(self) -> Self {
        ParameterSpec { stacked: true, ..self }
    }

    /// The same, but never updated.
    pub fn frozen(self) -> Self {
        ParameterSpec { trained: false, ..self }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values before the first step, in row-major order: a function of the seed and the name alone, with the same
    /// bits in every process and on every machine.
    pub fn initial_values(&self, seed: u64) -> Vec<f32> {
        match self.init {
            Init::Zeros => vec![0.0; self.len()],
            Init::Ones => vec![1.0; self.len()],
            Init::Normal { std, zero_row } => {
                let mut values = self.drawn(seed, |uniform| std * standard_normal(uniform));
                if let Some(row) = zero_row {
                    let width: usize = self.shape[1..].iter().product();
                    values[row * width..(row + 1) * width].fill(0.0);
                }
                values
            }
            Init::TruncatedNormal { std } => {
                self.drawn(seed, |uniform| std * standard_normal(TAIL + uniform * (1.0 - 2.0 * TAIL)))
            }
            Init::GlorotUniform => {
                let limit = (6.0 / self.shape.iter().sum::<usize>() as f64).sqrt();
                self.drawn(seed, |uniform| (2.0 * uniform - 1.0) * limit)
            }
        }
    }

    fn drawn(&self, seed: u64, value: impl Fn(f64) -> f64) -> Vec<f32> {
        let mut stream = Key::root(seed).named("init").named(&self.name).stream();
        (0..self.len()).map(|_| value(stream.uniform()) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_values_have_their_moments_and_a_zero_row() {
        let init = Init::Normal { std: 0.02, zero_row: Some(1) };
        let table = ParameterSpec::weight("table", &[1_000, 100], init);
        let values = table.initial_values(7);
        assert!(values[100..200].iter().all(|&value| value == 0.0));
        let others: Vec<f64> = values[200..].iter().map(|&value| f64::from(value) / 0.02).collect();
        let moment = |power| others.iter().map(|value| value.powi(power)).sum::<f64>() / others.len() as f64;
        assert!(moment(1).abs() < 0.01, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.02, "variance {}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.15, "fourth moment {}", moment(4));
        assert_eq!(values, table.initial_values(7));
        assert_ne!(values, table.initial_values(8));
        let other = ParameterSpec { name: "other".into(), ..table };
        assert_ne!(values, other.initial_values(7));
    }

    #[test]
    fn truncated_normal_values_stay_within_two_deviations() {
        let table = ParameterSpec::weight("table", &[300, 300], Init::TruncatedNormal { std: 0.02 });
        let values: Vec<f64> = table.initial_values(1).iter().map(|&value| f64::from(value) / 0.02).collect();
        assert!(values.iter().all(|value| value.abs() <= 2.0 + 1e-6));
        let variance = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
        // 1 - 4 φ(2) / (1 - 2 Φ(-2))
        assert!((variance - 0.7737).abs() < 0.01, "{variance}");
        let glorot = ParameterSpec::weight("dense", &[20, 40], Init::GlorotUniform).initial_values(1);
        let limit = 0.1_f64.sqrt() as f32;
        let greatest = glorot.iter().fold(0.0, |greatest: f32, value| greatest.max(value.abs()));
        assert!(greatest <= limit && greatest > 0.98 * limit, "{greatest}");
    }
}
