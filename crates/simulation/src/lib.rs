//! A cluster on a virtual clock around the real ledger: simulated workers, a network, storage and coordinators that come
//! and go. Every delay and every fault is drawn from the seed, so that a seed is a history.
//!
//! What decides is the [`ledger`] that decides in real runs; everything else here is a model of `worker`, `coordinator`,
//! `store` and `collective`. Weights are hashes: a step makes the hash of the one before and of what was computed, so
//! that whoever holds other weights, or adds a micro-batch twice, shows. Knows no files, no threads and no real time.

mod collective;
mod coordinator;
mod observer;
mod scenario;
mod storage;
mod worker;
mod world;

pub use observer::{Nobody, Observer, Seen};
pub use scenario::{Faults, Scenario, Span, Times};
pub use world::{Summary, World, reference};
