//! What ends a coordinator.

use thiserror::Error;

/// A coordinator that could not do its work.
#[derive(Debug, Error)]
pub enum CoordinatorError {
    /// The run's storage failed or refused.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// The address could not be served.
    #[error("cannot serve gRPC: {0}")]
    Serve(#[from] tonic::transport::Error),
}
