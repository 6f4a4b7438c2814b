//! A worker: its session with the coordinator, the feed of masked micro-batches, and the loop that drives an engine
//! from step to step.
//!
//! This room knows no libtorch: what computes is behind [`StepEngine`].

mod engine;
mod error;
mod feed;
mod held_out;
mod interrupt;
mod member;
mod patience;
mod progress;
mod rendezvous;
mod samples;
mod session;
mod stage;
mod start;
mod step;
mod weights;

pub use engine::{
    Computed, EngineError, EngineSetup, Measure, Membership, Purpose, Rendezvous, StepEngine, StepReport,
    TensorInfo, TensorSource,
};
pub use error::WorkerError;
pub use feed::{FeedError, Materials};
pub use held_out::HeldOut;
pub use samples::Samples;
pub use session::{Options, run};
pub use stage::Stage;
pub use weights::{Subject, Weights, weights};
