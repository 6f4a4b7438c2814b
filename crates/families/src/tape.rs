//! Gradient checkpointing (Chen et al. 2016): layers whose inside is forgotten after the forward pass, and computed again
//! when the backward pass arrives at them. Knows tensors, and nothing of what is computed.

use std::cell::RefCell;

use tch::{TchError, Tensor, no_grad};

/// What is computed again in the backward pass, in the order of the forward pass. `'n` is the network's life.
///
/// Dropout draws from keys, so that what is computed again is the same.
#[derive(Default)]
pub struct Tape<'n>(RefCell<Vec<Cut<'n>>>);

/// A place where the graph that autograd keeps is interrupted.
struct Cut<'n> {
    /// What stands before the place.
    before: Before<'n>,
    /// What goes on behind it: a leaf of the graph.
    leaf: Tensor,
}

enum Before<'n> {
    /// A tensor with its graph.
    Kept(Tensor),
    /// What makes it again, with its graph.
    Again(Box<dyn FnOnce() -> Result<Tensor, TchError> + 'n>),
}

impl<'n> Tape<'n> {
    /// Nothing yet.
    pub fn new() -> Self {
        Tape::default()
    }

    /// `x` as the input of something that is computed again.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn cut(&self, x: Tensor) -> Result<Tensor, TchError> {
        self.push(Before::Kept(x.shallow_clone()), &x)
    }

    /// What `first` computes, without its graph; `again` will compute the same from leaves of this tape.
    ///
    /// # Errors
    /// Those of `first`, and what libtorch refuses.
    pub fn forget(
        &self,
        first: impl FnOnce() -> Result<Tensor, TchError>,
        again: impl FnOnce() -> Result<Tensor, TchError> + 'n,
    ) -> Result<Tensor, TchError> {
        let x = no_grad(first)?;
        self.push(Before::Again(Box::new(again)), &x)
    }

    fn push(&self, before: Before<'n>, x: &Tensor) -> Result<Tensor, TchError> {
        let leaf = x.f_detach()?.f_set_requires_grad(true)?;
        self.0.borrow_mut().push(Cut { before, leaf: leaf.shallow_clone() });
        Ok(leaf)
    }

    /// The gradients of a scalar with respect to `leaves`; undefined where it does not depend on one.
    ///
    /// # Errors
    /// Those of what is computed again, and what libtorch refuses.
    pub fn gradients(self, total: &Tensor, leaves: &[Tensor]) -> Result<Vec<Tensor>, TchError> {
        let mut cuts = self.0.into_inner();
        let mut sums: Vec<Tensor> = (0..leaves.len() + cuts.len()).map(|_| Tensor::new()).collect();
        let back = |from: &Tensor, cuts: &[Cut<'n>], sums: &mut [Tensor]| {
            let inputs: Vec<&Tensor> = leaves.iter().chain(cuts.iter().map(|cut| &cut.leaf)).collect();
            let found = Tensor::f_run_backward(&[from], &inputs, false, false)?;
            for (sum, gradient) in sums.iter_mut().zip(found).filter(|(_, gradient)| gradient.defined()) {
                *sum = if sum.defined() { sum.f_add(&gradient)? } else { gradient };
            }
            Ok::<(), TchError>(())
        };
        back(total, &cuts, &mut sums)?;
        while let Some(Cut { before, leaf: _ }) = cuts.pop() {
            let gradient = sums.pop().filter(Tensor::defined);
            let Some(gradient) = gradient else { continue };
            let x = match before {
                Before::Kept(x) => x,
                Before::Again(again) => again()?,
            };
            // The gradient of this sum with respect to x is `gradient`, bit by bit.
            back(&x.f_mul(&gradient)?.f_sum(x.f_kind()?)?, &cuts, &mut sums)?;
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn gradients_are_those_of_the_whole_graph() {
        tch::manual_seed(5);
        let leaf = |rows: i64, columns: i64| {
            Tensor::randn([rows, columns], (Kind::Float, Device::Cpu)).set_requires_grad(true)
        };
        let (x, first, second, unused) = (leaf(4, 3), leaf(3, 3), leaf(3, 3), leaf(2, 2));
        let layer = |x: &Tensor, weight: &Tensor| x.f_matmul(weight)?.f_tanh();
        let leaves = [&x, &first, &second, &unused].map(Tensor::shallow_clone);

        // The second weight is used twice, and the last layer is not on the tape.
        let (a, b) = (layer(&(&x * 2.0), &first).unwrap(), &second);
        let whole = layer(&layer(&a, b).unwrap(), b).unwrap().matmul(&first).sum(Kind::Float);
        let expected = Tensor::f_run_backward(&[&whole], &leaves, false, false).unwrap();

        let tape = Tape::new();
        let mut h = tape.cut(&x * 2.0).unwrap();
        for weight in [&first, &second, &second] {
            let input = h.shallow_clone();
            h = tape.forget(|| layer(&h, weight), move || layer(&input, weight)).unwrap();
        }
        let total = h.matmul(&first).sum(Kind::Float);
        assert_eq!(f64::try_from(&total).unwrap(), f64::try_from(&whole).unwrap());
        let found = tape.gradients(&total, &leaves).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.defined(), expected.defined());
            assert!(!found.defined() || found == expected);
        }
        assert!(found[0].defined() && !found[3].defined());
    }
}
