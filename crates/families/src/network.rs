//! What a network is to the room that trains it. Knows no family, no optimizer and no memory layout.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::HostBatch;

/// What a micro-batch contributes to a step.
#[derive(Debug)]
pub struct LossSums {
    /// The sum of the losses of all targets, in nats: a differentiable scalar, `Float`.
    pub loss: Tensor,
    /// How many of the targets the network would have guessed: a scalar, `Int64`.
    pub correct: Tensor,
}

/// A network on parameters that belong to somebody else.
pub trait Network: Send {
    /// The forward pass of a micro-batch. In training, `dropout` is the key that all dropout is drawn from; without a
    /// key there is none.
    ///
    /// # Errors
    /// What libtorch says of tensors that do not fit.
    fn loss(&self, batch: &HostBatch, dropout: Option<plan::Key>) -> Result<LossSums, tch::TchError>;

    /// The scores of every token at every position of one sequence, without dropout: `ids` [L] to `Float` [L, V].
    ///
    /// # Errors
    /// What libtorch says of a sequence that is too long, or of ids outside of the vocabulary.
    fn logits(&self, ids: &[i64]) -> Result<Tensor, tch::TchError>;
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
