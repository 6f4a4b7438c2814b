//! Dropout whose masks are drawn from keys like everything else: what is dropped does not depend on who computes, on
//! what was computed before, or on libtorch's own generator. Knows no layer.

use std::cell::Cell;

use plan::{Key, Stream};
use tch::{TchError, Tensor};

/// The masks of one forward pass in training, drawn one after the other. A clone draws the same from here on.
#[derive(Clone)]
pub struct Noise {
    key: Key,
    calls: Cell<u64>,
}

impl Noise {
    /// The masks that `key` names: it stands for the seed, the step and the micro-batch.
    pub fn new(key: Key) -> Self {
        Noise { key, calls: Cell::new(0) }
    }

    /// The draws of the next layer that asks.
    fn next(&self) -> Stream {
        self.key.index(self.calls.replace(self.calls.get() + 1)).stream()
    }
}

/// Drops elements with a probability and scales the others up, so that means are kept (Srivastava et al. 2014).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Of the 65,536 values of a draw, those below this drop an element: the rate is rounded to a multiple of 2^-16.
    threshold: u16,
    /// What is kept is multiplied by the inverse of the share that is kept.
    scale: f32,
}

impl Dropout {
    /// Drops with probability `rate` in [0, 1).
    pub fn new(rate: f64) -> Self {
        let threshold = (rate * 65_536.0).round() as u16;
        Dropout { threshold, scale: (65_536.0 / (65_536.0 - f64::from(threshold))) as f32 }
    }

    /// Whether nothing is ever dropped.
    pub fn is_off(self) -> bool {
        self.threshold == 0
    }

    /// What to multiply `x` by, element by element; none without dropout.
    pub fn mask(self, x: &Tensor, noise: Option<&Noise>) -> Result<Option<Tensor>, TchError> {
        let Some(noise) = noise.filter(|_| !self.is_off()) else { return Ok(None) };
        let values = self.values(x.numel(), noise.next());
        let mask = Tensor::f_from_slice(&values[..x.numel()])?.f_view(x.size().as_slice())?;
        // In the precision of what is dropped; a scale in fewer bits is off by 0.2 % at most.
        Ok(Some(mask.f_to(x.device())?.f_to_kind(x.f_kind()?)?))
    }

    /// At least `len` elements of a mask. One draw serves four of them.
    fn values(self, len: usize, mut stream: Stream) -> Vec<f32> {
        let mut values = vec![0.0; len.next_multiple_of(4)];
        for four in values.as_chunks_mut::<4>().0 {
            let word = stream.next_u64();
            for (lane, value) in four.iter_mut().enumerate() {
                *value = if (word >> (16 * lane)) as u16 >= self.threshold { self.scale } else { 0.0 };
            }
        }
        values
    }

    /// `x` with elements dropped, in training.
    pub fn apply(self, x: Tensor, noise: Option<&Noise>) -> Result<Tensor, TchError> {
        match self.mask(&x, noise)? {
            Some(mask) => x.f_mul(&mask),
            None => Ok(x),
        }
    }

    /// `residual + apply(x)`, in one pass over the memory.
    pub fn add(self, residual: &Tensor, x: &Tensor, noise: Option<&Noise>) -> Result<Tensor, TchError> {
        match self.mask(x, noise)? {
            Some(mask) => residual.f_addcmul(x, &mask),
            None => residual.f_add(x),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_and_the_mean_are_kept() {
        let dropout = Dropout::new(0.1);
        let values = dropout.values(1_000_003, Key::root(1).stream());
        let dropped = values.iter().filter(|&&value| value == 0.0).count() as f64 / values.len() as f64;
        assert!((dropped - 0.1).abs() < 0.002, "{dropped}");
        let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
        assert!((mean - 1.0).abs() < 0.002, "{mean}");
        // Neighbours that share a draw are independent.
        let both = values.chunks(4).filter(|four| four[0] == 0.0 && four[1] == 0.0).count() as f64;
        assert!((both / (values.len() / 4) as f64 - 0.01).abs() < 0.001, "{both}");
    }

    #[test]
    fn every_call_has_its_own_mask_and_every_key_its_own_calls() {
        let (x, dropout) = (Tensor::ones([3, 7], (tch::Kind::Float, tch::Device::Cpu)), Dropout::new(0.5));
        let masks = |key| {
            let noise = Noise::new(key);
            [(); 2].map(|()| dropout.mask(&x, Some(&noise)).unwrap().unwrap())
        };
        let [a, b] = masks(Key::root(1));
        assert_ne!(a, b);
        assert_eq!([a.copy(), b], masks(Key::root(1)));
        assert_ne!(a, masks(Key::root(2))[0]);
        assert!(dropout.mask(&x, None).unwrap().is_none());
        assert!(Dropout::new(0.0).mask(&x, Some(&Noise::new(Key::root(1)))).unwrap().is_none());
    }
}
