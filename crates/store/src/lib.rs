//! Datasets, checkpoints and the state of runs on object storage: local paths, `file://`, and every URL that
//! `object_store` knows. Everything that is written becomes visible as a whole or not at all.
//!
//! This room knows neither gRPC nor libtorch, and decides nothing: when to write, and what to do about a damaged
//! part, is for its callers to say.

mod error;
mod location;

pub use error::StoreError;
pub use location::Location;
