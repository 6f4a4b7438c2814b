//! What can go wrong, told apart by what the caller must do. Knows no operation in particular.

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A connection broke or timed out, or the rendezvous failed. Drop the group and form a new one.
    #[error("a peer of the process group is lost, drop the group and form a new one: {0}")]
    PeerLost(String),
    /// Somebody called [`crate::gloo::Aborter::abort`]. Drop the group; whoever aborted says what comes next.
    #[error("the operation was aborted, drop the process group")]
    Aborted,
    /// A bad argument, or a failure inside libtorch. Doing it again does not help.
    #[error("libtorch cannot do that, correct the arguments: {0}")]
    Torch(String),
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        Self::Torch(error.to_string())
    }
}
