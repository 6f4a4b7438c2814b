//! Dropout as a mask of ones and zeros that is multiplied in where a multiplication happens anyway. Draws from
//! libtorch's generator; whoever calls has seeded it. Knows no layer.

use tch::{Kind, TchError, Tensor};

/// Drops elements with a probability and scales the others up, so that means are kept (Srivastava et al. 2014).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    rate: f64,
}

impl Dropout {
    /// Drops with probability `rate` in [0, 1).
    pub fn new(rate: f64) -> Self {
        Dropout { rate }
    }

    /// Whether nothing is ever dropped.
    pub fn is_off(self) -> bool {
        self.rate == 0.0
    }

    /// What the elements that stay are multiplied by.
    pub fn scale(self) -> f64 {
        1.0 / (1.0 - self.rate)
    }

    /// Ones where elements stay and zeros where they are dropped, in the shape of `like`.
    pub fn mask(self, like: &Tensor) -> Result<Tensor, TchError> {
        Tensor::f_empty(like.size(), (Kind::Float, like.device()))?.f_bernoulli_float_(1.0 - self.rate)
    }

    /// `x` with elements dropped, in training.
    pub fn apply(self, x: Tensor, training: bool) -> Result<Tensor, TchError> {
        if !training || self.is_off() {
            return Ok(x);
        }
        let mask = self.mask(&x)?.f_mul_scalar_(self.scale())?;
        x.f_mul(&mask)
    }

    /// `residual + apply(x)`, in fewer passes over the memory.
    pub fn add(self, residual: &Tensor, x: &Tensor, training: bool) -> Result<Tensor, TchError> {
        if !training || self.is_off() {
            return residual.f_add(x);
        }
        let mask = self.mask(x)?.f_mul_scalar_(self.scale())?;
        residual.f_addcmul(x, &mask)
    }
}
