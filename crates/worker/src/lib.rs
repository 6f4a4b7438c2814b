//! A worker: its session with the coordinator, the feed of masked micro-batches, and the loop that drives an engine
//! from step to step.
//!
//! This room knows no libtorch: what computes is behind [`StepEngine`].

mod engine;
mod error;
mod feed;
mod interrupt;
mod member;
mod rendezvous;
mod session;

pub use engine::{EngineError, EngineSetup, Membership, Rendezvous, StepEngine, StepReport, TensorInfo};
pub use error::WorkerError;
pub use feed::{FeedError, Materials};
pub use session::{Options, run};
