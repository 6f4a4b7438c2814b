//! What can go wrong with storage, sorted by what the caller must do.

use thiserror::Error;

/// An error of the store room.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is nothing at this place. The user must name another one, or make what is missing.
    #[error("{what} not found at {place}{}", hint(.remedy))]
    NotFound {
        /// What was looked for.
        what: String,
        /// Where.
        place: String,
        /// What to do about it; may be empty.
        remedy: String,
    },
    /// What is there is damaged: checksum, size or format. It must not be used; another copy may be whole.
    #[error("{place} is damaged: {reason}")]
    Damaged {
        /// The object, and the part of it.
        place: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// Somebody else wrote first (conditional put). The caller is stale and must stop writing.
    #[error("{place} was written by somebody else: {reason}")]
    Fenced {
        /// The object.
        place: String,
        /// Who or what was found there.
        reason: String,
    },
    /// The request makes no sense: a URL that cannot be used, a dataset of another version.
    #[error("{0}")]
    Invalid(String),
    /// The storage service failed; trying again may help.
    #[error("storage failed at {place}: {source}")]
    Io {
        /// The object or path.
        place: String,
        /// What the service said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn hint(remedy: &str) -> String {
    if remedy.is_empty() { String::new() } else { format!("; {remedy}") }
}

impl StoreError {
    /// Wraps whatever storage said about `place`.
    pub fn io(place: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        StoreError::Io { place: place.into(), source: source.into() }
    }

    /// Whether the user has to change something (exit code 2), as opposed to a failure (exit code 1).
    pub fn is_bad_input(&self) -> bool {
        matches!(self, StoreError::NotFound { .. } | StoreError::Invalid(_))
    }
}
