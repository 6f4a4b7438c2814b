//! All-reduce and broadcast between the processes of a generation: one trait, one implementation per transport. Knows
//! tensors, and nothing of steps, generations or the coordinator.

mod local;
mod memory_store;

use tch::Tensor;

pub use aten::Error;
/// The ranks of one generation over Gloo: CPU tensors, TCP.
pub use aten::gloo::ProcessGroup as Gloo;
pub use aten::gloo::{Aborter, RendezvousStore};
pub use local::Local;
pub use memory_store::MemoryStore;

/// The members of one generation, able to add up and to share tensors.
///
/// Every rank makes the same calls with equally large tensors of the same kind in the same order. A collective that
/// failed stays failed; drop it, and the others notice.
pub trait Collective: Send {
    /// This process's number, from 0.
    fn rank(&self) -> usize;

    /// How many processes there are.
    fn world(&self) -> usize;

    /// Replaces the contiguous tensor (`Int64`, `Float`, `Double` or `BFloat16`) on every rank by the sum over all
    /// ranks. Sums of `Int64` are exact and wrap around; sums of other kinds may depend on the number of ranks.
    ///
    /// # Errors
    /// [`Error::PeerLost`] if a rank is gone, [`Error::Aborted`] after an abort: in both cases the tensor's content is
    /// undefined and a new generation is needed. [`Error::Torch`] for a tensor that cannot be reduced.
    fn all_reduce_sum(&self, tensor: &Tensor) -> Result<(), Error>;

    /// Replaces the contiguous tensor on every rank by the one of rank `root`.
    ///
    /// # Errors
    /// Like [`all_reduce_sum`](Self::all_reduce_sum).
    fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<(), Error>;

    /// A handle that ends this collective's calls, present and future, from any thread.
    fn aborter(&self) -> Aborter;
}

impl Collective for Gloo {
    fn rank(&self) -> usize {
        Gloo::rank(self)
    }

    fn world(&self) -> usize {
        Gloo::world(self)
    }

    fn all_reduce_sum(&self, tensor: &Tensor) -> Result<(), Error> {
        Gloo::all_reduce_sum(self, tensor)
    }

    fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<(), Error> {
        Gloo::broadcast(self, tensor, root)
    }

    fn aborter(&self) -> Aborter {
        Gloo::aborter(self)
    }
}
