//! What a network is to the room that trains it. Knows no family, no optimizer and no memory layout.

use std::collections::BTreeMap;

use plan::Key;
use tch::Tensor;

use crate::{HostBatch, Tape};

/// What a micro-batch contributes to a step.
#[derive(Debug)]
pub struct Losses {
    /// One for each of [`Recipe::terms`](crate::Recipe::terms), in that order.
    pub terms: Vec<TermSum>,
    /// One for each of [`Recipe::ratios`](crate::Recipe::ratios), in that order.
    pub ratios: Vec<Ratio>,
}

impl Losses {
    /// Those of a network without targets.
    pub(crate) fn none() -> Self {
        Losses { terms: Vec::new(), ratios: Vec::new() }
    }

    /// Adds a term, and how many of its targets were guessed.
    pub(crate) fn push(&mut self, (term, ratio): (TermSum, Ratio)) {
        self.terms.push(term);
        self.ratios.push(ratio);
    }
}

/// The losses of one kind of targets.
#[derive(Debug)]
pub struct TermSum {
    /// Their sum, in nats: a differentiable scalar, `Float`.
    pub sum: Tensor,
    /// How many there are.
    pub targets: u64,
}

/// How often something held, and of how many times: scalars, `Int64`.
#[derive(Debug)]
pub struct Ratio {
    /// The times that it held.
    pub hits: Tensor,
    /// All times.
    pub of: Tensor,
}

/// Where the draws of a forward pass come from.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    /// Dropout; without a key there is none.
    pub dropout: Option<Key>,
    /// What a network samples from its own predictions.
    pub sampling: Key,
}

impl Draws {
    /// Those of a micro-batch in training, which `key` stands for.
    pub fn training(key: Key) -> Self {
        Draws { dropout: Some(key), sampling: key.named("sampling") }
    }

    /// Those of an evaluation: no dropout, and always the same samples.
    pub fn evaluation(key: Key) -> Self {
        Draws { dropout: None, sampling: key.named("sampling") }
    }
}

/// A network on parameters that belong to somebody else.
pub trait Network: Send {
    /// The forward pass of a micro-batch. With a tape, what is inside of a layer is computed again in the backward pass,
    /// which is the tape's then.
    ///
    /// # Errors
    /// What libtorch says of tensors that do not fit.
    fn losses<'n>(
        &'n self,
        batch: &HostBatch,
        draws: &Draws,
        tape: Option<&Tape<'n>>,
    ) -> Result<Losses, tch::TchError>;

    /// The scores of every token at every position of one sequence, without dropout: `ids` [L] to `Float` [L, V].
    ///
    /// # Errors
    /// What libtorch says of a sequence that is too long, or of ids outside of the vocabulary.
    fn logits(&self, ids: &[i64]) -> Result<Tensor, tch::TchError>;

    /// What the family's discriminator says of every position, if it has one: `Float` [L], positive where it takes a
    /// token for replaced.
    ///
    /// # Errors
    /// As [`Network::logits`].
    fn replaced(&self, ids: &[i64]) -> Result<Option<Tensor>, tch::TchError> {
        let _ = ids;
        Ok(None)
    }
}

/// The tensors of a network by name; those stacked on another one are a part of it and have no entry of their own.
#[derive(Debug, Default)]
pub struct Parameters(BTreeMap<String, Tensor>);

impl Parameters {
    /// The tensor of that name.
    ///
    /// # Panics
    /// If there is none: a network asks for what its own recipe lists.
    pub fn get(&self, name: &str) -> Tensor {
        match self.0.get(name) {
            Some(tensor) => tensor.shallow_clone(),
            None => panic!("the recipe lists no parameter {name}"),
        }
    }
}

impl FromIterator<(String, Tensor)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> Self {
        Parameters(tensors.into_iter().collect())
    }
}
