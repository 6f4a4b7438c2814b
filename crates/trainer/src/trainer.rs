//! One member's part of training: its state, and the four calls that make a step. Knows the plan of the run; neither
//! how micro-batches get here nor how members find each other.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use aten::fixed;
use collective::Collective;
use families::{Draws, HostBatch, Recipe, Tape};
use plan::{Key, Phase, RunPlan};
use tch::{Device, Kind, Tensor};

use crate::digest::{digest, gradient_digest};
use crate::layout::Slot;
use crate::model::{load_into, missing};
use crate::objective::Objective;
use crate::optimizer::{self, Buffers};
use crate::snapshot::{Snapshot, Snapshots};
use crate::{Applied, Computed, Error, Evaluation, Model, Purpose, Reduced, Tally};

/// The parts of the state, in the order of their buffers: the prefixes of [`StateTensor::name`].
const PARTS: [&str; 3] = ["model", "exp_avg", "exp_avg_sq"];

/// Weights, moments and the step in the making.
pub struct Trainer {
    plan: RunPlan,
    /// The plan's phases, and the recipe of each: they differ in their objective, not in their network.
    phases: Vec<(Phase, Arc<dyn Recipe>)>,
    model: Model,
    /// First and second moments: `Float` [N] each.
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    /// The sum of this step's gradients as fixed point (from the first micro-batch on; until then that of an older step),
    /// and behind it the tally: `Int64` [N + [`Tally::LEN`]].
    accumulator: Tensor,
    /// The step's gradient, after [`Trainer::reduce`]: `Float` [N].
    gradient: Tensor,
    /// Steps that are done, those that were skipped included.
    step: u64,
    /// The loss of the step at hand.
    objective: Objective,
    tally: Tally,
    reduced: Option<Reduced>,
    missing: BTreeSet<String>,
    snapshots: Snapshots,
}

/// A part of the state, where it lies: little-endian `f32`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct StateTensor<'a> {
    /// `model.<name>`, `exp_avg.<name>` or `exp_avg_sq.<name>`.
    pub name: String,
    /// The extent of each dimension.
    pub shape: Vec<usize>,
    /// The values.
    pub bytes: &'a [u8],
}

/// The step, in the order in which it happens.
impl Trainer {
    /// Starts a step, or starts it again: nothing is accumulated yet.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn begin(&mut self) -> Result<(), Error> {
        self.tally = Tally::default();
        self.reduced = None;
        self.objective = objective(&self.plan, &self.phases, self.step);
        Ok(())
    }

    /// Computes the gradient of micro-batch `index` of this step (counted from the start of the step) and adds it.
    ///
    /// What is drawn in it comes from the seed, the step and the index, so that it does not matter who computes it.
    ///
    /// # Errors
    /// What libtorch says of a batch that does not fit the network.
    pub fn micro_batch(&mut self, index: u64, batch: &HostBatch) -> Result<(), Error> {
        self.micro_batch_for(Purpose::Add, index, batch).map(drop)
    }

    /// The same for a purpose: a second opinion is hashed and not added.
    ///
    /// # Errors
    /// As [`Trainer::micro_batch`].
    pub fn micro_batch_for(
        &mut self,
        purpose: Purpose,
        index: u64,
        batch: &HostBatch,
    ) -> Result<Computed, Error> {
        self.use_threads();
        let key = Key::root(self.plan.run.seed).named("dropout").index(self.step).index(index);
        let phase = &self.phases[self.plan.phase_of(self.step).phase].0.plan;
        let tape = phase.train.gradient_checkpointing.then(Tape::new);
        let losses = self.model.network.losses(batch, &Draws::training(key), tape.as_ref())?;
        let mut counted = self.model.count(batch, &losses, |term| self.objective.expected(term))?;
        let total = self.objective.total(&losses)?;
        let gradients = tape.unwrap_or_default().gradients(&total, &self.model.leaves)?;
        let digest = match purpose {
            Purpose::Add => None,
            Purpose::AddAndHash | Purpose::Hash => {
                Some(gradient_digest(&gradients, self.plan.train.threads)?)
            }
        };
        if purpose == Purpose::Hash {
            return Ok(Computed { usable: true, digest });
        }
        // The first gradients are written over what the accumulator holds from steps before.
        let add = if self.tally.micro_batches == 0 { fixed::begin } else { fixed::accumulate };
        let mut overflowed = false;
        for (gradient, &start) in gradients.iter().zip(&self.model.leaf_starts) {
            overflowed |= add(&self.accumulator, start, gradient)?;
        }
        counted.overflowed |= u64::from(overflowed);
        self.tally.add(&counted);
        Ok(Computed { usable: counted.overflowed == 0, digest })
    }

    /// Takes the step as one that is not computed: [`Trainer::apply`] then counts it and changes nothing else.
    pub fn leave_out(&mut self) -> Reduced {
        let reduced = Reduced {
            loss: f64::NAN,
            measures: Vec::new(),
            targets: 0,
            tokens: 0,
            grad_norm: 0.0,
            digest: 0,
            overflowed: true,
        };
        self.reduced = Some(reduced.clone());
        reduced
    }

    /// Sums the step over all members of the group; afterwards everybody holds the gradient of the whole step.
    ///
    /// # Errors
    /// After an error of the group, [`Trainer::begin`] the step again with another group. [`Error::IncompleteStep`] if
    /// the members together did not compute exactly the step's micro-batches.
    pub fn reduce(&mut self, group: &dyn Collective) -> Result<Reduced, Error> {
        self.use_threads();
        let n = self.model.layout.len;
        if self.tally.micro_batches == 0 {
            let _zeroed = self.accumulator.f_zero_()?;
        }
        self.tally.write(&self.accumulator, n)?;
        group.all_reduce_sum(&self.accumulator)?;
        let total = Tally::read(&self.accumulator, n)?;
        let expected = self.plan.step_micro_batches(self.step).count;
        let (step, found) = (self.step, total.micro_batches);
        if found != expected {
            return Err(Error::IncompleteStep { step, expected, found });
        }
        let sum = self.accumulator.f_narrow(0, 0, n as i64)?;
        let grad_norm = fixed::restore(&sum, &self.gradient, self.objective.correction(&total))?;
        let counts = self.accumulator.f_narrow(0, n as i64, Tally::LEN as i64)?;
        let reduced = Reduced {
            loss: self.objective.loss(&total),
            measures: self.objective.measures(&total),
            targets: total.targets[0],
            tokens: total.tokens,
            grad_norm,
            digest: digest(&[&self.gradient, &counts], &[], self.plan.train.threads)?,
            overflowed: total.overflowed > 0,
        };
        self.reduced = Some(reduced.clone());
        Ok(reduced)
    }

    /// Updates the weights with the gradient of the last [`Trainer::reduce`], once. A step that overflowed is counted
    /// and changes nothing else.
    ///
    /// # Errors
    /// [`Error::NothingReduced`].
    pub fn apply(&mut self) -> Result<Applied, Error> {
        let reduced = self.reduced.take().ok_or(Error::NothingReduced)?;
        self.use_threads();
        let (step, learning_rate) = (self.step, self.plan.learning_rate(self.step));
        if !reduced.overflowed {
            self.keep_snapshots();
            let phase = &self.phases[self.plan.phase_of(step).phase].0.plan;
            let grad_scale = optimizer::clip(phase.train.clip_norm, reduced.grad_norm);
            let buffers = Buffers {
                weights: &self.model.weights,
                rounded: self.model.rounded(),
                gradient: &self.gradient,
                exp_avg: &self.exp_avg,
                exp_avg_sq: &self.exp_avg_sq,
            };
            let step = optimizer::Step { number: step + 1, learning_rate, grad_scale };
            optimizer::update(&phase.optimizer, &self.model.layout, &buffers, &step)?;
        }
        self.step += 1;
        Ok(Applied { step, learning_rate, skipped: reduced.overflowed })
    }

    /// The number of threads belongs to the calling thread, and it is a part of the numerics.
    fn use_threads(&self) {
        tch::set_num_threads(i32::try_from(self.plan.train.threads).unwrap_or(i32::MAX));
    }
}

/// The state between steps.
impl Trainer {
    /// A trainer whose weights are zeros: [`Trainer::initialise`] it, [`Trainer::load`] it or receive a
    /// [`Trainer::broadcast`]. Sets the process's number of threads to the plan's. `recipes` are those of the plan's
    /// phases, in order.
    ///
    /// # Errors
    /// [`Error::Device`] for a device that cannot be used.
    ///
    /// # Panics
    /// If there are not as many recipes as phases.
    pub fn new(plan: &RunPlan, recipes: &[Arc<dyn Recipe>], device: Device) -> Result<Self, Error> {
        aten::runtime::set_threads(plan.train.threads as usize)?;
        let phases = plan.phases();
        assert_eq!(phases.len(), recipes.len(), "a recipe for each phase");
        let phases: Vec<_> = phases.into_iter().zip(recipes.iter().cloned()).collect();
        let model = Model::with_precision(recipes[0].as_ref(), device, plan.train.precision)?;
        let zeros = |len: usize, kind| Tensor::f_zeros([len as i64], (kind, device));
        let n = model.layout.len;
        Ok(Trainer {
            exp_avg: zeros(n, Kind::Float)?,
            exp_avg_sq: zeros(n, Kind::Float)?,
            gradient: zeros(n, Kind::Float)?,
            accumulator: zeros(n + Tally::LEN, Kind::Int64)?,
            objective: objective(plan, &phases, 0),
            missing: BTreeSet::new(),
            plan: plan.clone(),
            phases,
            model,
            step: 0,
            tally: Tally::default(),
            reduced: None,
            snapshots: Snapshots::default(),
        })
    }

    /// The state before the first step: a function of the plan, with the same bits in every process.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn initialise(&mut self) -> Result<(), Error> {
        self.keep_snapshots();
        self.model.initialise(self.plan.run.seed)?;
        self.forget_moments()?;
        self.step = 0;
        self.begin()
    }

    /// The state before the first step of a run that goes on from other weights: between [`Trainer::initialise`] and
    /// the first step, takes over tensors of the model by their names: little-endian `f32`.
    ///
    /// # Errors
    /// [`Error::UnknownTensor`], [`Error::WrongSize`].
    pub fn adopt<'a>(&mut self, tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<(), Error> {
        self.keep_snapshots();
        for (name, bytes) in tensors {
            self.model.load(name, bytes)?;
        }
        self.model.refresh()
    }

    /// Adds the losses of held-out batch number `index` to an evaluation; see [`Model::evaluate`].
    ///
    /// # Errors
    /// What libtorch says of a batch that does not fit the network.
    pub fn evaluate(&self, index: u64, batch: &HostBatch, into: &mut Evaluation) -> Result<(), Error> {
        self.use_threads();
        self.model.evaluate(index, batch, into)
    }

    fn forget_moments(&mut self) -> Result<(), Error> {
        let _zeroed = (self.exp_avg.f_zero_()?, self.exp_avg_sq.f_zero_()?);
        Ok(())
    }

    /// Steps that are done, those that were skipped included: the number of the step that comes next.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// What the step in the making has counted on this member so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The network with its present weights.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Gives the state of rank `root` to everybody, and makes sure that it arrived.
    ///
    /// # Errors
    /// [`Error::DifferentState`] if it arrived damaged. After an error of the group, the state of a member that was
    /// receiving is undefined, and that of the root is as it was.
    pub fn broadcast(&mut self, group: &dyn Collective, root: usize) -> Result<(), Error> {
        let ours = self.state_digest()?;
        let head = [self.step, ours as u64, (ours >> 64) as u64].map(|word| word as i64);
        let head = Tensor::f_from_slice(&head)?;
        group.broadcast(&head, root)?;
        if group.rank() != root {
            self.keep_snapshots();
        }
        for buffer in self.buffers() {
            group.broadcast(buffer, root)?;
        }
        let word = |index| head.f_int64_value(&[index]).map(|word| word as u64);
        self.step = word(0)?;
        self.model.refresh()?;
        let expected = u128::from(word(1)?) | u128::from(word(2)?) << 64;
        let found = self.state_digest()?;
        if found != expected {
            return Err(Error::DifferentState { expected, found });
        }
        self.begin()
    }

    /// The buffers of [`PARTS`].
    fn buffers(&self) -> [&Tensor; 3] {
        [&self.model.weights, &self.exp_avg, &self.exp_avg_sq]
    }

    /// A hash of weights, moments and step. Equal states have equal digests, on whatever machine.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn state_digest(&self) -> Result<u128, Error> {
        digest(&self.buffers(), &[self.step], self.plan.train.threads)
    }

    /// All of the state but the step, for checkpoints and exports: borrowed, so copy what must outlive the next step.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn tensors(&self) -> Result<Vec<StateTensor<'_>>, Error> {
        let mut tensors = Vec::with_capacity(PARTS.len() * self.model.layout.slots.len());
        for (part, buffer) in PARTS.into_iter().zip(self.buffers()) {
            tensors.extend(self.named(part, buffer)?);
        }
        Ok(tensors)
    }

    /// Some of [`Trainer::tensors`] as they are now, for storing them while training goes on. Nothing is copied unless
    /// somebody still holds it when the state changes, or still held the one before.
    ///
    /// # Errors
    /// What libtorch refuses.
    ///
    /// # Panics
    /// If there are fewer tensors.
    pub fn snapshot(&mut self, which: Range<usize>) -> Result<Arc<Snapshot>, Error> {
        let slots = &self.model.layout.slots;
        let place = |index| (self.buffers()[index / slots.len()], &slots[index % slots.len()]);
        let tensor =
            |(buffer, slot): (&Tensor, &Slot)| buffer.f_narrow(0, slot.start as i64, slot.spec.len() as i64);
        let tensors = which.map(|index| tensor(place(index))).collect::<Result<_, _>>()?;
        Ok(self.snapshots.take(tensors, self.plan.train.threads))
    }

    /// Copies what [snapshots](Trainer::snapshot) would lose when the state changes next, by all threads of the plan.
    /// Whatever changes the state does so by itself; this is for whoever measures, before [`Trainer::apply`], how long it
    /// takes. A step that changes nothing copies nothing.
    pub fn settle(&mut self) {
        if self.reduced.as_ref().is_none_or(|reduced| !reduced.overflowed) {
            self.keep_snapshots();
        }
    }

    /// Has to come before every change of [`Trainer::buffers`].
    fn keep_snapshots(&mut self) {
        self.snapshots.settle(self.plan.train.threads);
    }

    /// The gradient of the step, after [`Trainer::reduce`] and before [`Trainer::apply`], for looking at. Frozen
    /// tensors have zeros.
    ///
    /// # Errors
    /// [`Error::NothingReduced`].
    pub fn gradients(&self) -> Result<Vec<StateTensor<'_>>, Error> {
        self.reduced.as_ref().ok_or(Error::NothingReduced)?;
        self.named("gradient", &self.gradient)
    }

    fn named<'a>(&'a self, part: &str, buffer: &'a Tensor) -> Result<Vec<StateTensor<'a>>, Error> {
        let bytes = aten::bytes(buffer)?;
        let tensor = |slot: &Slot| StateTensor {
            name: format!("{part}.{}", slot.spec.name),
            shape: slot.spec.shape.clone(),
            bytes: &bytes[slot.bytes()],
        };
        Ok(self.model.layout.slots.iter().map(tensor).collect())
    }

    /// Before the first [`Trainer::load`]: from now on every tensor is missing.
    pub fn begin_load(&mut self) {
        let names = || self.model.layout.slots.iter().map(|slot| &slot.spec.name);
        self.missing =
            PARTS.iter().flat_map(|part| names().map(move |name| format!("{part}.{name}"))).collect();
    }

    /// Takes over one tensor, named as in [`Trainer::tensors`]: little-endian `f32`.
    ///
    /// # Errors
    /// [`Error::UnknownTensor`], [`Error::WrongSize`].
    pub fn load(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let unknown = || Error::UnknownTensor { name: name.to_owned(), nearest: None };
        let (part, of) = name.split_once('.').ok_or_else(unknown)?;
        let index = PARTS.iter().position(|known| *known == part).ok_or_else(unknown)?;
        self.keep_snapshots();
        load_into(self.buffers()[index], self.model.slot(of)?, name, bytes)?;
        self.missing.remove(name);
        Ok(())
    }

    /// After the last [`Trainer::load`]: the state is that before step `step`.
    ///
    /// # Errors
    /// [`Error::MissingTensors`] if some tensor was not loaded since [`Trainer::begin_load`].
    pub fn finish_load(&mut self, step: u64) -> Result<(), Error> {
        missing(&self.missing)?;
        self.model.refresh()?;
        self.step = step;
        self.begin()
    }
}

/// The loss of a step.
fn objective(plan: &RunPlan, phases: &[(Phase, Arc<dyn Recipe>)], step: u64) -> Objective {
    let at = plan.step_micro_batches(step);
    let (phase, recipe) = &phases[at.phase];
    Objective::new(recipe.as_ref(), at.count, u64::from(phase.plan.train.micro_batch))
}
