//! Weights, optimizer, one training step: micro-batches in, an update out, with the same bits whoever computed which
//! micro-batch.
//!
//! A step is `begin`, `micro_batch` for some of the step's micro-batches, `reduce` with the other members of the
//! generation, and, once the step is committed, `apply`. Everything is synchronous. This room knows neither sockets
//! nor storage nor clocks, and no model family by name.

mod digest;
mod error;
mod layout;
mod model;
mod objective;
mod optimizer;
mod snapshot;
mod step;
mod tally;
mod trainer;

pub use error::Error;
pub use model::{Evaluation, Model, Predictions};
pub use snapshot::Snapshot;
pub use step::{Applied, Computed, Measure, Purpose, Reduced, measure};
pub use tally::Tally;
pub use trainer::{StateTensor, Trainer};

pub use aten::runtime::keep_freed_memory;

/// Everything that must be the same on all members for their bits to be the same: architecture, vector instructions,
/// and the library that computes.
pub fn platform() -> String {
    let (vectors, torch) = (aten::runtime::cpu_capability(), aten::runtime::version());
    let products = if aten::layers::products_by_onednn() { " oneDNN" } else { "" };
    format!("{} {vectors}{products} torch {torch}", std::env::consts::ARCH)
}
