//! The gRPC protocol of `proto/cloze/v1`, and the only conversions between its messages and the ledger's events and
//! commands. A message that lacks what it must have becomes an error here and nowhere else.

mod convert;
mod told;

/// The generated messages, client and server. Documented in `proto/cloze/v1/coordinator.proto`.
#[allow(missing_docs, clippy::all, clippy::too_many_lines)]
pub mod v1 {
    tonic::include_proto!("cloze.v1");
}

pub use convert::{Malformed, event_of, hello_of, open_for, status_of, step_report, tail_of};
pub use told::Told;

/// The version of the protocol; it changes when an old worker could misunderstand a new coordinator.
pub const PROTOCOL: u32 = 6;

/// The largest message that either side takes, in bytes: records of a run that storage does not take for a while travel
/// with every new generation.
pub const LARGEST_MESSAGE: usize = 256 << 20;
