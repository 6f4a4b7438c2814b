//! A network with its weights in one flat buffer. Knows no optimizer and no step: this is all that evaluating takes.

use std::collections::BTreeSet;

use families::{HostBatch, Network, Parameters, Recipe};
use plan::nearest;
use tch::{Device, Kind, Tensor, no_grad};

use crate::Error;
use crate::layout::{Layout, Slot};

/// Weights and what computes with them.
pub struct Model {
    pub(crate) layout: Layout,
    /// All weights: `Float` [N].
    pub(crate) weights: Tensor,
    /// Views of `weights` that are trained, as autograd sees them, and where they begin.
    pub(crate) leaves: Vec<Tensor>,
    pub(crate) leaf_starts: Vec<i64>,
    pub(crate) network: Box<dyn Network>,
    missing: BTreeSet<String>,
}

/// The scores of every token at every position of a sequence.
pub struct Predictions {
    /// Unnormalised log-probabilities, position after position: [L * V].
    pub logits: Vec<f32>,
    /// V.
    pub vocabulary: usize,
}

impl Predictions {
    /// The `count` best tokens at `position` with their probabilities, best first.
    ///
    /// # Panics
    /// If the sequence has no such position.
    pub fn best(&self, position: usize, count: usize) -> Vec<(u32, f64)> {
        let scores = &self.logits[position * self.vocabulary..(position + 1) * self.vocabulary];
        let greatest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |score: f32| f64::from(score - greatest).exp();
        let total: f64 = scores.iter().map(|&score| weight(score)).sum();
        let mut ids: Vec<u32> = (0..scores.len() as u32).collect();
        ids.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
        ids.into_iter().take(count).map(|id| (id, weight(scores[id as usize]) / total)).collect()
    }
}

/// The sums that a batch contributes to an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Sum of the losses, in nats.
    pub loss_sum: f64,
    /// Positions that were predicted.
    pub targets: u64,
    /// Those that were predicted right.
    pub correct: u64,
}

impl Model {
    /// The network of `recipe`, with zeros for weights.
    ///
    /// # Errors
    /// [`Error::Device`] for a device that cannot be used.
    pub fn new(recipe: &dyn Recipe, device: Device) -> Result<Self, Error> {
        if device != Device::Cpu {
            return Err(Error::Device(format!("{device:?}")));
        }
        let layout = Layout::new(recipe.parameters());
        let weights = Tensor::f_zeros([layout.len as i64], (Kind::Float, device))?;
        let (mut parameters, mut leaves, mut leaf_starts) = (Vec::new(), Vec::new(), Vec::new());
        for leaf in &layout.leaves {
            let start = leaf.start as i64;
            let view =
                weights.f_narrow(0, start, leaf.shape.iter().product())?.f_view(leaf.shape.as_slice())?;
            let view = view.f_detach()?.f_set_requires_grad(leaf.trained)?;
            if leaf.trained {
                leaves.push(view.shallow_clone());
                leaf_starts.push(start);
            }
            parameters.push((leaf.name.clone(), view));
        }
        let network = recipe.build(&parameters.into_iter().collect::<Parameters>());
        let missing = layout.slots.iter().map(|slot| slot.spec.name.clone()).collect();
        Ok(Model { layout, weights, leaves, leaf_starts, network, missing })
    }

    /// The weights that training starts from: a function of the seed, with the same bits in every process.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn initialise(&mut self, seed: u64) -> Result<(), Error> {
        for slot in &self.layout.slots {
            let values = Tensor::f_from_slice(&slot.spec.initial_values(seed))?;
            aten::copy_from_bytes(&self.weights, slot.bytes().start, aten::bytes(&values)?)?;
        }
        self.missing.clear();
        Ok(())
    }

    /// Takes over one tensor, named as in an exported file: little-endian `f32`.
    ///
    /// # Errors
    /// [`Error::UnknownTensor`], [`Error::WrongSize`].
    pub fn load(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        load_into(&self.weights, self.slot(name)?, name, bytes)?;
        self.missing.remove(name);
        Ok(())
    }

    /// To be called after the last [`Model::load`].
    ///
    /// # Errors
    /// [`Error::MissingTensors`] if a tensor was never loaded.
    pub fn finish_load(&self) -> Result<(), Error> {
        missing(&self.missing)
    }

    /// Number of parameters, frozen ones included.
    pub fn parameters(&self) -> u64 {
        self.layout.slots.iter().map(|slot| slot.spec.len() as u64).sum()
    }

    /// What the network expects at every position of one sequence of token ids [L], without dropout.
    ///
    /// # Errors
    /// What libtorch says of sequences that are too long and of ids outside of the vocabulary.
    pub fn predict(&self, ids: &[i64]) -> Result<Predictions, Error> {
        let logits = no_grad(|| self.network.logits(ids))?.f_to(Device::Cpu)?.f_contiguous()?;
        let vocabulary = logits.size().last().map_or(0, |&extent| extent as usize);
        let (words, _) = aten::bytes(&logits)?.as_chunks::<4>();
        Ok(Predictions { logits: words.iter().map(|&word| f32::from_ne_bytes(word)).collect(), vocabulary })
    }

    /// The loss of a batch without dropout and without learning from it.
    ///
    /// # Errors
    /// What libtorch says of a batch that does not fit the network.
    pub fn evaluate(&self, batch: &HostBatch) -> Result<Evaluation, Error> {
        let sums = no_grad(|| self.network.loss(batch, None))?;
        let loss_sum = f64::try_from(&sums.loss)?;
        Ok(Evaluation { loss_sum, targets: batch.targets(), correct: i64::try_from(&sums.correct)? as u64 })
    }

    pub(crate) fn slot(&self, name: &str) -> Result<&Slot, Error> {
        let names = || self.layout.slots.iter().map(|slot| slot.spec.name.as_str());
        names()
            .position(|known| known == name)
            .map(|index| &self.layout.slots[index])
            .ok_or_else(|| Error::UnknownTensor { name: name.to_owned(), nearest: nearest(name, names()) })
    }
}

/// Copies a tensor's bytes to its place in a flat buffer.
pub(crate) fn load_into(buffer: &Tensor, slot: &Slot, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let range = slot.bytes();
    if range.len() != bytes.len() {
        let (name, expected, found) = (name.to_owned(), range.len(), bytes.len());
        return Err(Error::WrongSize { name, expected, found });
    }
    Ok(aten::copy_from_bytes(buffer, range.start, bytes)?)
}

pub(crate) fn missing(names: &BTreeSet<String>) -> Result<(), Error> {
    match names.first() {
        Some(first) => Err(Error::MissingTensors { count: names.len(), first: first.clone() }),
        None => Ok(()),
    }
}
