//! A network with its weights in one flat buffer. Knows no optimizer and no step: this is all that evaluating takes.

use std::collections::BTreeSet;

use aten::fixed;
use families::{Draws, HostBatch, Losses, Network, Parameters, Recipe};
use plan::{Key, Precision, nearest};
use tch::{Device, Kind, Tensor, no_grad};

use crate::layout::{Layout, Slot};
use crate::objective::Objective;
use crate::{Error, Measure, Tally};

/// Weights and what computes with them.
pub struct Model {
    pub(crate) layout: Layout,
    /// All weights: `Float` [N].
    pub(crate) weights: Tensor,
    /// The weights that the network computes with: `weights` itself, or a copy in another precision.
    computed: Tensor,
    precision: Precision,
    /// Views of `computed` that are trained, as autograd sees them, and where they begin.
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

/// What an evaluation adds up: sums over batches, in any order.
pub struct Evaluation {
    objective: Objective,
    tally: Tally,
    /// What a network samples from its own predictions comes from here.
    key: Key,
}

impl Evaluation {
    /// Nothing yet, for a model of that recipe that will see about `sequences` sequences: the sums are kept as shares of
    /// what so many have, or they would not fit. Whatever is drawn follows from `seed` alone.
    pub fn new(recipe: &dyn Recipe, seed: u64, sequences: u64) -> Self {
        let key = Key::root(seed).named("evaluation");
        Evaluation { objective: Objective::new(recipe, 1, sequences.max(1)), tally: Tally::default(), key }
    }

    /// The loss of the objective: the weighted sum of the means of its terms, in nats. No number if some batch had none.
    pub fn loss(&self) -> f64 {
        if self.tally.overflowed > 0 { f64::NAN } else { self.objective.loss(&self.tally) }
    }

    /// The mean of each term, and the ratios counted beside them. A mean is no number if some batch had none.
    pub fn measures(&self) -> Vec<Measure> {
        let mut measures = self.objective.measures(&self.tally);
        if self.tally.overflowed > 0 {
            measures.iter_mut().for_each(|measure| measure.value = f64::NAN);
        }
        measures
    }

    /// What was counted.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The sums, to be added to those of other members: [`Evaluation::put`] them back.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn sums(&self) -> Result<Tensor, Error> {
        let sums = Tensor::f_zeros([Tally::LEN as i64], (Kind::Int64, Device::Cpu))?;
        self.tally.write(&sums, 0)?;
        Ok(sums)
    }

    /// Takes over sums.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn put(&mut self, sums: &Tensor) -> Result<(), Error> {
        self.tally = Tally::read(sums, 0)?;
        Ok(())
    }
}

impl Model {
    /// The network of `recipe`, with zeros for weights, in 32-bit floating point.
    ///
    /// # Errors
    /// [`Error::Device`] for a device that cannot be used.
    pub fn new(recipe: &dyn Recipe, device: Device) -> Result<Self, Error> {
        Model::with_precision(recipe, device, Precision::Fp32)
    }

    /// The same, computing in that precision; the weights themselves are 32-bit numbers in any case.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn with_precision(recipe: &dyn Recipe, device: Device, precision: Precision) -> Result<Self, Error> {
        if device != Device::Cpu {
            return Err(Error::Device(format!("{device:?}")));
        }
        let layout = Layout::new(recipe.parameters());
        let weights = Tensor::f_zeros([layout.len as i64], (Kind::Float, device))?;
        let computed = match precision {
            Precision::Fp32 => weights.shallow_clone(),
            Precision::Bf16 => weights.f_to_kind(Kind::BFloat16)?,
        };
        let (mut parameters, mut leaves, mut leaf_starts) = (Vec::new(), Vec::new(), Vec::new());
        for leaf in &layout.leaves {
            let start = leaf.start as i64;
            let view =
                computed.f_narrow(0, start, leaf.shape.iter().product())?.f_view(leaf.shape.as_slice())?;
            let view = view.f_detach()?.f_set_requires_grad(leaf.trained)?;
            if leaf.trained {
                leaves.push(view.shallow_clone());
                leaf_starts.push(start);
            }
            parameters.push((leaf.name.clone(), view));
        }
        let network = recipe.build(&parameters.into_iter().collect::<Parameters>());
        let missing = layout.slots.iter().map(|slot| slot.spec.name.clone()).collect();
        Ok(Model { layout, weights, computed, precision, leaves, leaf_starts, network, missing })
    }

    /// The copy of the weights that the network computes with, if it does not compute with the weights themselves.
    pub(crate) fn rounded(&self) -> Option<&Tensor> {
        (self.precision != Precision::Fp32).then_some(&self.computed)
    }

    /// Brings what the network computes with up to the weights, after these have changed.
    pub(crate) fn refresh(&mut self) -> Result<(), Error> {
        if let Some(rounded) = self.rounded() {
            no_grad(|| rounded.shallow_clone().f_copy_(&self.weights))?;
        }
        Ok(())
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
        self.refresh()
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
    pub fn finish_load(&mut self) -> Result<(), Error> {
        missing(&self.missing)?;
        self.refresh()
    }

    /// Does without a tensor: it stays zeros, and what is computed with it means nothing.
    pub fn leave_out(&mut self, name: &str) {
        self.missing.remove(name);
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

    /// What the model's discriminator says of each token of a sequence [L], if it has one: positive scores where it takes
    /// a token for replaced.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn replaced(&self, ids: &[i64]) -> Result<Option<Vec<f32>>, Error> {
        let Some(scores) = self.network.replaced(ids)? else { return Ok(None) };
        let scores = scores.f_to(Device::Cpu)?.f_contiguous()?;
        let (words, _) = aten::bytes(&scores)?.as_chunks::<4>();
        Ok(Some(words.iter().map(|&word| f32::from_ne_bytes(word)).collect()))
    }

    /// Adds the losses of batch number `index` to an evaluation, without dropout and without learning from it.
    ///
    /// # Errors
    /// What libtorch says of a batch that does not fit the network.
    pub fn evaluate(&self, index: u64, batch: &HostBatch, into: &mut Evaluation) -> Result<(), Error> {
        let draws = Draws::evaluation(into.key.index(index));
        let losses = no_grad(|| self.network.losses(batch, &draws, None))?;
        let counted = self.count(batch, &losses, |term| into.objective.expected(term))?;
        into.tally.add(&counted);
        Ok(())
    }

    /// What a micro-batch counts.
    pub(crate) fn count(
        &self,
        batch: &HostBatch,
        losses: &Losses,
        expected: impl Fn(usize) -> f64,
    ) -> Result<Tally, Error> {
        let mut tally = Tally { micro_batches: 1, tokens: batch.tokens(), ..Tally::default() };
        for (index, term) in losses.terms.iter().enumerate() {
            let loss = fixed::encode(f64::try_from(&term.sum)? / expected(index));
            tally.targets[index] = term.targets;
            tally.losses[index] = loss.unwrap_or(0);
            tally.overflowed |= u64::from(loss.is_none());
        }
        for (index, ratio) in losses.ratios.iter().enumerate() {
            tally.ratios[index] = [i64::try_from(&ratio.hits)? as u64, i64::try_from(&ratio.of)? as u64];
        }
        Ok(tally)
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
