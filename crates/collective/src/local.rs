//! The collective of a single process: sums of one. Knows no transport, and checks its arguments like those that do,
//! so that what runs on one worker runs on many.

use tch::{Kind, Tensor};

use crate::{Aborter, Collective, Error};

const SUMMABLE: [Kind; 4] = [Kind::Int64, Kind::Float, Kind::Double, Kind::BFloat16];

/// A world of one, on any device.
#[derive(Debug, Default)]
pub struct Local {
    aborter: Aborter,
}

impl Local {
    /// A collective of this process alone.
    pub fn new() -> Self {
        Self::default()
    }

    fn check(&self, tensor: &Tensor) -> Result<Kind, Error> {
        if !tensor.defined() || !tensor.is_contiguous() {
            return Err(Error::Torch(
                "tensor must be defined and contiguous: call contiguous() on it".into(),
            ));
        }
        if self.aborter.is_aborted() { Err(Error::Aborted) } else { Ok(tensor.f_kind()?) }
    }
}

impl Collective for Local {
    fn rank(&self) -> usize {
        0
    }

    fn world(&self) -> usize {
        1
    }

    fn all_reduce_sum(&self, tensor: &Tensor) -> Result<(), Error> {
        let kind = self.check(tensor)?;
        if !SUMMABLE.contains(&kind) {
            return Err(Error::Torch(format!("tensor must hold {SUMMABLE:?}, and holds {kind:?}")));
        }
        Ok(())
    }

    fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<(), Error> {
        self.check(tensor)?;
        if root != 0 {
            return Err(Error::Torch(format!("there is no rank {root} in a group of 1")));
        }
        Ok(())
    }

    fn aborter(&self) -> Aborter {
        self.aborter.clone()
    }
}
