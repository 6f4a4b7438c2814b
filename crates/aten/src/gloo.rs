//! Process groups over Gloo: sum and broadcast between the processes of one generation. Knows neither generations nor
//! who decides about them: the ranks meet through a store of the caller's.

mod store;

use std::ffi::{CString, c_void};
use std::fmt;
use std::ptr::NonNull;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tch::{Kind, Tensor};

use crate::{Error, check, ffi};

pub use store::RendezvousStore;

/// How often a connecting thread looks whether it was aborted.
const ABORT_POLL: Duration = Duration::from_millis(5);

/// Elements that [`ProcessGroup::all_reduce_sum`] can add.
const SUMMABLE: [Kind; 4] = [Kind::Int64, Kind::Float, Kind::Double, Kind::BFloat16];

/// The ranks of one generation, fully connected. One thread at a time uses it.
///
/// Every rank makes the same calls with equally large tensors in the same order. A group that failed once stays failed:
/// drop it, which closes its connections.
#[derive(Debug)]
pub struct ProcessGroup {
    rank: usize,
    world: usize,
    aborter: Aborter,
    raw: RawGroup,
}

impl ProcessGroup {
    /// Meets the other ranks through `store` and connects to all of them. Blocks until all are there.
    ///
    /// `address` is the name or the IP of the interface to listen on, reachable by the peers. `timeout` bounds this
    /// call, and later every wait for a peer inside a collective: it must be longer than the ranks are ever apart.
    ///
    /// # Errors
    /// [`Error::PeerLost`] if a rank did not come in time or the store failed, [`Error::Torch`] for bad arguments.
    pub fn connect(
        store: Arc<dyn RendezvousStore>,
        rank: usize,
        world: usize,
        address: &str,
        timeout: Duration,
    ) -> Result<Self, Error> {
        Self::connect_with(store, rank, world, address, timeout, &Aborter::new())
    }

    /// Like [`connect`](Self::connect), with an aborter that was there before: it can end the wait for the other ranks
    /// as well, and belongs to this group afterwards.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect), and [`Error::Aborted`].
    pub fn connect_with(
        store: Arc<dyn RendezvousStore>,
        rank: usize,
        world: usize,
        address: &str,
        timeout: Duration,
        aborter: &Aborter,
    ) -> Result<Self, Error> {
        if rank >= world || i32::try_from(world).is_err() {
            return Err(Error::Torch(format!("there is no rank {rank} in a group of {world}")));
        }
        if timeout.as_millis() == 0 || timeout.as_millis() > i32::MAX as u128 {
            return Err(Error::Torch(format!("{timeout:?} is no timeout: use 1 ms to 24 days")));
        }
        let address = CString::new(address).map_err(|_| Error::Torch("the address contains a NUL".into()))?;
        // libtorch offers no way to interrupt this, so it happens on a thread that can be left behind: it ends by its
        // timeout, and what it made is dropped with the message that nobody received.
        let (sender, receiver) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("gloo-connect".into())
            .spawn(move || sender.send(RawGroup::connect(store, rank, world, &address, timeout)))
            .map_err(|error| Error::Torch(format!("cannot start a thread: {error}")))?;
        let raw = loop {
            if aborter.is_aborted() {
                return Err(Error::Aborted);
            }
            match receiver.recv_timeout(ABORT_POLL) {
                Ok(result) => break result?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Torch("the connecting thread ended early".into()));
                }
            }
        };
        aborter.attach(&raw)?;
        Ok(Self { rank, world, aborter: aborter.clone(), raw })
    }

    /// This process's number, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many processes there are.
    pub fn world(&self) -> usize {
        self.world
    }

    /// Replaces the tensor on every rank by the sum over all ranks. Blocks until this rank has it.
    ///
    /// Takes contiguous CPU tensors of `Int64` (exact, wrapping), `Float`, `Double` or `BFloat16`.
    ///
    /// # Errors
    /// [`Error::PeerLost`] if a rank is gone or silent, [`Error::Aborted`], [`Error::Torch`] for a bad tensor. After the
    /// first two, and after a failure inside libtorch, the tensor's content is undefined and the group is closed.
    pub fn all_reduce_sum(&self, tensor: &Tensor) -> Result<(), Error> {
        check::dense("tensor", tensor)?;
        check::kind("tensor", tensor, &SUMMABLE)?;
        // SAFETY: the group lives as long as self, and the tensor is an `at::Tensor*` valid through the call.
        self.run(tensor, || unsafe { ffi::cloze_gloo_all_reduce_sum(self.raw.pointer(), pointer(tensor)) })
    }

    /// Replaces the tensor on every rank by the one of rank `root`. Blocks until this rank's part is done.
    ///
    /// # Errors
    /// Like [`all_reduce_sum`](Self::all_reduce_sum).
    pub fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<(), Error> {
        check::dense("tensor", tensor)?;
        if root >= self.world {
            return Err(Error::Torch(format!("there is no rank {root} in a group of {}", self.world)));
        }
        // SAFETY: the group lives as long as self, and the tensor is an `at::Tensor*` valid through the call.
        self.run(tensor, || unsafe {
            ffi::cloze_gloo_broadcast(self.raw.pointer(), pointer(tensor), root as i32)
        })
    }

    /// A handle that makes the calls of this group fail, from any thread.
    pub fn aborter(&self) -> Aborter {
        self.aborter.clone()
    }

    fn run(&self, tensor: &Tensor, collective: impl FnOnce() -> ffi::Status) -> Result<(), Error> {
        if self.aborter.is_aborted() {
            return Err(Error::Aborted);
        }
        // Gloo has no notion of an empty buffer.
        if tensor.numel() == 0 {
            return Ok(());
        }
        let result = collective().into_result();
        // An abort reaches Gloo as a broken connection; only we know better.
        if result.is_err() && self.aborter.is_aborted() { Err(Error::Aborted) } else { result }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // Before the group goes (with the field), so that no abort finds it half gone.
        self.aborter.lock().group = None;
    }
}

fn pointer(tensor: &Tensor) -> *const c_void {
    tensor.as_ptr().cast()
}

/// Ends a group's calls, present and future, with [`Error::Aborted`]. Cheap to clone; every clone means the same group.
///
/// Made first and given to [`ProcessGroup::connect_with`], it can end the connecting as well. Without a group it is
/// just a flag that stays up.
#[derive(Clone, Default)]
pub struct Aborter {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    aborted: bool,
    group: Option<GroupPointer>,
}

impl Aborter {
    /// An aborter of nothing, yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Closes the group's connections: a blocked call returns, here and, as a lost peer, on the other ranks.
    pub fn abort(&self) {
        let mut shared = self.lock();
        shared.aborted = true;
        if let Some(GroupPointer(group)) = &shared.group {
            // SAFETY: the pointer is removed, under this lock, before the group is freed.
            unsafe { ffi::cloze_gloo_abort(group.as_ptr()) };
        }
    }

    /// Whether [`abort`](Self::abort) was called.
    pub fn is_aborted(&self) -> bool {
        self.lock().aborted
    }

    fn attach(&self, raw: &RawGroup) -> Result<(), Error> {
        let mut shared = self.lock();
        if shared.aborted {
            return Err(Error::Aborted);
        }
        if shared.group.is_some() {
            return Err(Error::Torch("this aborter belongs to another group already: make a new one".into()));
        }
        shared.group = Some(GroupPointer(raw.0));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Aborter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aborter").field("aborted", &self.is_aborted()).finish_non_exhaustive()
    }
}

/// Lent to the aborter, which only ever aborts through it.
struct GroupPointer(NonNull<ffi::Gloo>);

// SAFETY: aborting is allowed from any thread, and that is all that is done through this pointer.
unsafe impl Send for GroupPointer {}

/// Owns the C++ object.
#[derive(Debug)]
struct RawGroup(NonNull<ffi::Gloo>);

// SAFETY: the group has no thread affinity; it is not Sync, so its collectives are called by one thread at a time.
unsafe impl Send for RawGroup {}

impl RawGroup {
    fn connect(
        store: Arc<dyn RendezvousStore>,
        rank: usize,
        world: usize,
        address: &CString,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let mut out = std::ptr::null_mut();
        // SAFETY: the store's ownership goes over, the address outlives the call, and out is written on success only.
        let status = unsafe {
            ffi::cloze_gloo_connect(
                store::into_callbacks(store, timeout),
                rank as i32,
                world as i32,
                address.as_ptr(),
                timeout.as_millis() as i64,
                &mut out,
            )
        };
        status.into_result()?;
        NonNull::new(out).map(Self).ok_or_else(|| Error::Torch("no group came back".into()))
    }

    fn pointer(&self) -> *mut ffi::Gloo {
        self.0.as_ptr()
    }
}

impl Drop for RawGroup {
    fn drop(&mut self) {
        // SAFETY: we own it, and nobody uses it after this.
        unsafe { ffi::cloze_gloo_free(self.0.as_ptr()) };
    }
}
