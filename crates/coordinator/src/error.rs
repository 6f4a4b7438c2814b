//! What ends a coordinator.

use thiserror::Error;

/// A coordinator that could not do its work.
#[derive(Debug, Error)]
pub enum CoordinatorError {
    /// The run's storage failed or refused.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// The run's record is damaged.
    #[error(
        "segment {segment} of the run's ledger cannot be relied on: {reason}. `cloze verify` says more; `cloze \
         checkpoints copy` makes a run of what is whole, up to the newest checkpoint before it"
    )]
    Record {
        /// The segment.
        segment: u64,
        /// What is wrong.
        reason: String,
    },
    /// The address could not be served.
    #[error("cannot serve gRPC: {0}")]
    Serve(#[from] tonic::transport::Error),
}
