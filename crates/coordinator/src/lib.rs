//! The service around the ledger: gRPC sessions, the clock, and storage. Every fact becomes an event, every command of
//! the ledger is carried out here, in order; nothing is decided here.
//!
//! This room never sees a sample, a tensor or a tokenizer.

mod actor;
mod error;
mod rendezvous;
mod scribe;
mod service;
mod takeover;
mod update;

pub use actor::{Handle, Job, KEEPERS, UNMEASURED_MS, UNSTORED};
pub use error::CoordinatorError;
pub use ledger::Ending;
pub use service::serve;
pub use update::Update;
