//! What can go wrong while training, told apart by what the caller must do. Knows no protocol.

/// A failed call.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The collective or libtorch failed. After [`collective::Error::PeerLost`] and [`collective::Error::Aborted`] the
    /// step can be begun again with a new group: weights and moments are as they were.
    #[error(transparent)]
    Library(#[from] collective::Error),
    /// The device cannot be trained on.
    #[error("device {0} is not supported; use cpu")]
    Device(String),
    /// A tensor that the model does not have.
    #[error("the model has no tensor `{name}`{}", suggestion(.nearest))]
    UnknownTensor {
        /// As it was given.
        name: String,
        /// The most similar name that there is.
        nearest: Option<String>,
    },
    /// A tensor of another size: the checkpoint is another model's.
    #[error("tensor `{name}` must have {expected} bytes, and has {found}")]
    WrongSize {
        /// The tensor.
        name: String,
        /// Bytes that the model needs.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// Not everything was loaded.
    #[error("{count} tensors are missing, the first is `{first}`")]
    MissingTensors {
        /// How many.
        count: usize,
        /// One of them.
        first: String,
    },
    /// The members of the group did not add up to one whole step: each micro-batch must be computed exactly once.
    #[error("step {step} was summed from {found} micro-batches instead of {expected}")]
    IncompleteStep {
        /// The step.
        step: u64,
        /// Micro-batches of a step.
        expected: u64,
        /// Micro-batches that were added.
        found: u64,
    },
    /// There is no room for a copy of the state, or of a piece of it.
    #[error("there is no memory for a copy of the state, or of a piece of it: {0}")]
    NoMemory(String),
    /// [`crate::Trainer::apply`] before [`crate::Trainer::reduce`].
    #[error("there is no reduced gradient to apply")]
    NothingReduced,
    /// After a broadcast, this member's state is not the root's.
    #[error("the state received has digest {found:032x} instead of {expected:032x}")]
    DifferentState {
        /// The root's digest.
        expected: u128,
        /// Ours.
        found: u128,
    },
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        Error::Library(error.into())
    }
}
