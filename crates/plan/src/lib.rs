//! What a run is: configuration text becomes a validated [`RunPlan`], and everything about the run that is a
//! pure function of it lives here: phases, seeds, the order of the data, lanes, the growth of the batch, the
//! learning rate.
//!
//! This room knows neither files nor clocks nor processes. It does not know the model families either: their
//! settings travel through it as tables, and `families` reads them.

mod batch;
mod config;
mod deal;
mod error;
mod key;
mod order;
mod permutation;
mod schedule;
mod text;

pub use batch::Batches;
pub use config::{
    Checkpointing, Cluster, Data, Evaluation, Guards, Model, Numerics, Optimizer, OptimizerKind, Phase,
    PhaseStep, Precision, Run, RunPlan, Schedule, ScheduleKind, Spike, StepMicroBatches, Train,
};
pub use deal::{Deal, lane_of};
pub use error::{ConfigError, from_toml as toml_error, locate as toml_line, nearest};
pub use key::{Key, Stream};
pub use order::{EpochOrder, Order, OrderShape, SampleRef};
pub use permutation::Permutation;
