//! What a worker needs of the thing that computes. Knows nothing of how it does that.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use families::{HostBatch, Recipe};
use plan::RunPlan;
pub use store::{TensorInfo, TensorSource};
use thiserror::Error;
/// What a step came to; see `proto/cloze/v1/coordinator.proto`.
pub use wire::v1::{Measure, StepReport};

/// An engine's failure, by what the worker must do about it.
#[derive(Debug, Clone, Error)]
pub enum EngineError {
    /// A peer is gone or was cut off: report it and wait for the next generation.
    #[error("a peer was lost: {0}")]
    PeerLost(String),
    /// The engine cannot go on; the process must end.
    #[error("{0}")]
    Fatal(String),
}

/// What an engine is made from.
#[derive(Clone)]
pub struct EngineSetup {
    /// The plan.
    pub plan: RunPlan,
    /// The family's part of it, for each of its phases.
    pub recipes: Vec<Arc<dyn Recipe>>,
}

/// A member's place in a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The generation.
    pub generation: u64,
    /// This member's rank.
    pub rank: usize,
    /// Members in the generation.
    pub world: usize,
    /// The address under which the other members reach this one.
    pub address: String,
}

/// The store through which members find each other. All calls block.
pub trait Rendezvous: Send + Sync {
    /// Sets a key.
    ///
    /// # Errors
    /// In words, as for the other calls.
    fn set(&self, key: &str, value: &[u8]) -> Result<(), String>;
    /// Waits until a key is there.
    ///
    /// # Errors
    /// If it is not within the time.
    fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, String>;
    /// Adds to a counter and returns its new value.
    ///
    /// # Errors
    /// In words.
    fn add(&self, key: &str, amount: i64) -> Result<i64, String>;
    /// Whether all keys are there.
    ///
    /// # Errors
    /// In words.
    fn check(&self, keys: &[&str]) -> Result<bool, String>;
}

/// What a micro-batch is computed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Its gradient belongs to the step.
    Add,
    /// The same, and another member computes it too: the coordinator compares.
    AddAndHash,
    /// It is another member's, and only compared.
    Hash,
}

/// What a micro-batch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Computed {
    /// Whether its gradient is finite and in range.
    pub usable: bool,
    /// A hash of its gradient, if it was asked for.
    pub digest: Option<String>,
}

/// Weights, optimizer and collective of one worker. Called from one thread, in the order in which things happen in a
/// step: [`begin`](Self::begin), [`micro_batch`](Self::micro_batch) for each, [`reduce`](Self::reduce), and when the
/// step is committed, [`apply`](Self::apply).
pub trait StepEngine {
    /// Updates applied to the weights; `None` before there are any.
    fn applied(&self) -> Option<u64>;

    /// Connects the members of a generation. Before it blocks, it hands over what breaks off its collectives, this call
    /// included, from any thread.
    ///
    /// # Errors
    /// [`EngineError::PeerLost`] if not all of them came.
    fn join(
        &mut self,
        membership: &Membership,
        rendezvous: Arc<dyn Rendezvous>,
        arm: &dyn Fn(Box<dyn Fn() + Send + Sync>),
    ) -> Result<(), EngineError>;

    /// Leaves the generation; connections are closed, so that peers notice.
    fn leave(&mut self);

    /// Makes the weights of step 0 from the plan's seed.
    ///
    /// # Errors
    /// [`EngineError::Fatal`].
    fn initialise(&mut self) -> Result<(), EngineError>;

    /// Gives all members the state of rank 0.
    ///
    /// # Errors
    /// [`EngineError::PeerLost`].
    fn broadcast(&mut self) -> Result<(), EngineError>;

    /// Forgets the gradients of the step in flight.
    ///
    /// # Errors
    /// [`EngineError::Fatal`].
    fn begin(&mut self) -> Result<(), EngineError>;

    /// Takes over weights from elsewhere, by the names of the model's parameters, before the first step.
    ///
    /// # Errors
    /// [`EngineError::Fatal`] if the model has none of that name, or of another size.
    fn adopt(&mut self, tensors: &[(String, Bytes)]) -> Result<(), EngineError>;

    /// Looks at a held-out micro-batch, without learning from it.
    ///
    /// # Errors
    /// [`EngineError::Fatal`].
    fn evaluate(&mut self, index: u64, batch: &HostBatch) -> Result<(), EngineError>;

    /// Adds up what all members saw of the held-out samples since the last time, by name.
    ///
    /// # Errors
    /// [`EngineError::PeerLost`] if one of them is gone.
    fn evaluated(&mut self) -> Result<Vec<(String, f64)>, EngineError>;

    /// Computes the gradient of a micro-batch (its index counts over the step), and adds it if that is the purpose.
    ///
    /// # Errors
    /// [`EngineError::Fatal`].
    fn micro_batch(
        &mut self,
        purpose: Purpose,
        index: u64,
        batch: &HostBatch,
    ) -> Result<Computed, EngineError>;

    /// In place of micro-batches and reduction, for a step that nobody computes: [`apply`](Self::apply) then counts it
    /// and changes nothing.
    fn leave_out(&mut self) -> StepReport;

    /// Sums the gradients of all members.
    ///
    /// # Errors
    /// [`EngineError::PeerLost`] if one of them is gone.
    fn reduce(&mut self) -> Result<StepReport, EngineError>;

    /// Applies the reduced gradient.
    ///
    /// # Errors
    /// [`EngineError::Fatal`].
    fn apply(&mut self) -> Result<(), EngineError>;

    /// The tensors of the state, in a fixed order.
    ///
    /// # Errors
    /// [`EngineError::Fatal`].
    fn tensors(&self) -> Result<Vec<TensorInfo>, EngineError>;

    /// Some of these tensors as they are now, for storing them while training goes on: the engine keeps their bytes as
    /// long as somebody holds on to this.
    ///
    /// # Errors
    /// [`EngineError::Fatal`].
    fn snapshot(&mut self, which: Range<usize>) -> Result<Box<dyn TensorSource>, EngineError>;

    /// Copies what snapshots would lose when the state changes next. Whatever changes the state does so by itself: this
    /// is for whoever measures how long it takes.
    fn settle(&mut self);

    /// A hash of the whole state.
    ///
    /// # Errors
    /// [`EngineError::Fatal`].
    fn state_digest(&self) -> Result<String, EngineError>;

    /// Sets a tensor of the state by its name.
    ///
    /// # Errors
    /// [`EngineError::Fatal`] if there is none, or of another shape.
    fn load(&mut self, name: &str, shape: &[usize], bytes: &[u8]) -> Result<(), EngineError>;

    /// Ends loading: from here on the engine holds the state after `step` updates.
    ///
    /// # Errors
    /// [`EngineError::Fatal`] if a tensor was not set.
    fn finish_load(&mut self, step: u64) -> Result<(), EngineError>;
}
