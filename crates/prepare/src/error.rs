//! What can go wrong in a preparation, sorted by what the caller must do.

use std::sync::Arc;

use corpus::CorpusError;
use plan::ConfigError;
use store::StoreError;
use thiserror::Error;

/// An error of the prepare room.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// The configuration cannot be used. The user must change it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An input is missing, empty or not what it is said to be. The user must change it, or the configuration.
    #[error("{place}: {reason}")]
    Input {
        /// The source, file or line.
        place: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The place where the dataset goes has failed or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The place where an input is has failed; trying again may help.
    #[error("{0}")]
    Storage(Arc<StoreError>),
    /// This machine cannot do it: no threads, no memory.
    #[error("{0}")]
    Machine(String),
    /// The tokenizer cannot be used or trained.
    #[error("{place}: {source}")]
    Tokenizer {
        /// The file or key that it comes from.
        place: String,
        /// What is wrong with it.
        source: CorpusError,
    },
}

impl PrepareError {
    pub(crate) fn input(place: impl Into<String>, reason: impl Into<String>) -> Self {
        PrepareError::Input { place: place.into(), reason: reason.into() }
    }

    /// Whether the user has to change something (exit code 2), as opposed to a failure (exit code 1).
    pub fn is_bad_input(&self) -> bool {
        match self {
            PrepareError::Config(_) | PrepareError::Input { .. } | PrepareError::Tokenizer { .. } => true,
            PrepareError::Machine(_) => false,
            PrepareError::Store(error) => error.is_bad_input(),
            PrepareError::Storage(error) => error.is_bad_input(),
        }
    }
}
