//! Dropout whose masks are drawn from keys like everything else: what is dropped does not depend on who computes, on
//! what was computed before, or on libtorch's own generator. Knows no layer.

use std::cell::Cell;

use aten::layers::{self, Drops};
use plan::Key;
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

    /// The key of the next layer that asks.
    fn next(&self) -> Key {
        self.key.index(self.calls.replace(self.calls.get() + 1))
    }
}

/// Drops elements with a probability and scales the others up, so that means are kept (Srivastava et al. 2014).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Of the 65,536 values of a draw, those below this drop an element: the rate is rounded to a multiple of 2^-16.
    threshold: u16,
}

impl Dropout {
    /// Drops with probability `rate` in [0, 1).
    pub fn new(rate: f64) -> Self {
        Dropout { threshold: (rate * 65_536.0).round() as u16 }
    }

    /// What the next layer that asks drops; nothing outside training.
    pub fn draw(self, noise: Option<&Noise>) -> Drops {
        match noise.filter(|_| self.threshold > 0) {
            Some(noise) => Drops { seed: noise.next().value(), threshold: self.threshold },
            None => Drops::NONE,
        }
    }

    /// `x` with elements dropped, in training.
    pub fn apply(self, x: Tensor, noise: Option<&Noise>) -> Result<Tensor, TchError> {
        match self.draw(noise) {
            Drops::NONE => Ok(x),
            drops => layers::dropout(&x, None, drops),
        }
    }

    /// `residual + apply(x)`, in one pass over the memory.
    pub fn add(self, residual: &Tensor, x: &Tensor, noise: Option<&Noise>) -> Result<Tensor, TchError> {
        match self.draw(noise) {
            Drops::NONE => residual.f_add(x),
            drops => layers::dropout(x, Some(residual), drops),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_its_own_mask_and_every_key_its_own_calls() {
        let (x, dropout) = (Tensor::ones([3, 7], (tch::Kind::Float, tch::Device::Cpu)), Dropout::new(0.5));
        let masks = |key| {
            let noise = Noise::new(key);
            [(); 2].map(|()| dropout.apply(x.copy(), Some(&noise)).unwrap())
        };
        let [a, b] = masks(Key::root(1));
        assert_ne!(a, b);
        assert_eq!([a.copy(), b], masks(Key::root(1)));
        assert_ne!(a, masks(Key::root(2))[0]);
        assert_eq!(dropout.apply(x.copy(), None).unwrap(), x);
        assert_eq!(Dropout::new(0.0).apply(x.copy(), Some(&Noise::new(Key::root(1)))).unwrap(), x);
    }

    #[test]
    fn masks_are_the_draws_of_the_key() {
        let x = Tensor::ones([1_001], (tch::Kind::Float, tch::Device::Cpu));
        let noise = Noise::new(Key::root(3));
        let values = Vec::<f32>::try_from(Dropout::new(0.25).apply(x, Some(&noise)).unwrap()).unwrap();
        let mut stream = Key::root(3).index(0).stream();
        for four in values.chunks(4) {
            let word = stream.next_u64();
            for (lane, &value) in four.iter().enumerate() {
                let kept = (word >> (16 * lane)) as u16 >= 1 << 14;
                assert_eq!(value, if kept { 4.0 / 3.0 } else { 0.0 });
            }
        }
    }
}
