//! What ends a worker.

use store::StoreError;
use thiserror::Error;

use crate::{EngineError, FeedError};

/// A worker that cannot go on.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// Nobody answers. Start the coordinator, or name another address.
    #[error(
        "no coordinator answers at {url} ({reason}); start one with `cloze coordinator CONFIG --listen ADDR`, or check the address"
    )]
    NoCoordinator {
        /// The address that was tried.
        url: String,
        /// What the last attempt said.
        reason: String,
    },
    /// The coordinator turned the worker away.
    #[error("the coordinator refused this worker: {0}")]
    Refused(String),
    /// The peer does not speak the protocol.
    #[error("the coordinator at {url} sent what this worker does not understand: {reason}")]
    Protocol {
        /// The coordinator's address.
        url: String,
        /// What was wrong.
        reason: String,
    },
    /// A message of the coordinator lacks something. Install the same release on all machines.
    #[error("a message of the coordinator cannot be understood: {0}")]
    Malformed(#[from] wire::Malformed),
    /// The plan does not fit this program or the dataset.
    #[error(transparent)]
    Plan(#[from] plan::ConfigError),
    /// Dataset or run state cannot be read.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// The checkpoint that a generation begins with is not there, or not as it was written.
    #[error("the checkpoint cannot be restored: {0}")]
    Unrestored(StoreError),
    /// What the plan names is there and cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The data cannot be made into micro-batches.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The engine does not come back from what it does. The process must end, and another may take its place.
    #[error("the engine was told to stop {} s ago and does not ({doing:?})", waited.as_secs())]
    Stuck {
        /// For how long it was waited for.
        waited: std::time::Duration,
        /// What it is in the middle of.
        doing: wire::v1::Doing,
    },
    /// The engine cannot go on.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl WorkerError {
    /// Whether there is nothing to do here for this worker, or for another in its place (exit code 3).
    pub fn is_not_wanted(&self) -> bool {
        matches!(self, WorkerError::NoCoordinator { .. } | WorkerError::Refused(_))
    }

    /// Whether the user has to change something (exit code 2), as opposed to a failure (exit code 1).
    pub fn is_bad_input(&self) -> bool {
        match self {
            WorkerError::Plan(_) | WorkerError::Unusable(_) => true,
            // Damaged data stays damaged however often it is tried.
            WorkerError::Store(StoreError::Damaged { .. })
            | WorkerError::Feed(FeedError::Store(StoreError::Damaged { .. }) | FeedError::Changed { .. }) => {
                true
            }
            WorkerError::Store(error) | WorkerError::Feed(FeedError::Store(error)) => error.is_bad_input(),
            _ => false,
        }
    }
}
