//! The state as of a step, for whoever stores it while training goes on: read where it lies until it is about to change,
//! and copied only then. An update that comes when everything is stored copies nothing. Knows bytes only.

use std::ops::Range;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::{io, thread};

use bytes::Bytes;
use memmap2::MmapMut;
use tch::Tensor;

use crate::Error;

/// The snapshots that somebody may still be reading.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    taken: Vec<Weak<Snapshot>>,
    /// Whether one was still needed when the state last changed after it was taken.
    outlasting: bool,
    unused: Unused,
}

/// Memory of the system's own that is used again for the next copy of the same size. Fresh pages take longer than the
/// copying, and what goes through the allocator comes back to it in pieces.
type Unused = Arc<Mutex<Option<MmapMut>>>;

impl Snapshots {
    /// These tensors as they are now. They must not change before [`Snapshots::settle`]. If that had to copy the last
    /// time, it is done at once: copying takes longer when storing is under way.
    pub(crate) fn take(&mut self, tensors: Vec<Tensor>, threads: u32) -> Arc<Snapshot> {
        let snapshot = Arc::new(Snapshot { content: Mutex::new(Content::InPlace(tensors)) });
        if self.outlasting {
            // Without memory for it, it may still be stored before the tensors change.
            let _copied = snapshot.copy(threads, &self.unused);
        }
        self.taken.retain(|taken| taken.strong_count() > 0);
        self.taken.push(Arc::downgrade(&snapshot));
        snapshot
    }

    /// Before the tensors change: copies those that somebody still needs, by so many threads. What holds training up is
    /// the memory's speed then, and not that of one thread. Without memory for them they are lost, and training goes on.
    pub(crate) fn settle(&mut self, threads: u32) {
        if self.taken.is_empty() {
            return;
        }
        let needed: Vec<_> = self.taken.drain(..).filter_map(|taken| taken.upgrade()).collect();
        for snapshot in &needed {
            if let Err(error) = snapshot.copy(threads, &self.unused) {
                *lock(&snapshot.content) = Content::Lost(error.to_string());
            }
        }
        self.outlasting = !needed.is_empty();
        // Storage keeps up: the next one most likely needs no memory either.
        if !self.outlasting {
            *lock(&self.unused) = None;
        }
        // Whoever has let go of a snapshot was done with reading it before what follows: seeing that it is gone does not
        // say so yet.
        fence(Ordering::Acquire);
    }
}

/// Some of the state's tensors as of one step, to be read from any thread.
#[derive(Debug)]
pub struct Snapshot {
    content: Mutex<Content>,
}

#[derive(Debug)]
enum Content {
    /// The tensors themselves: they have not changed.
    InPlace(Vec<Tensor>),
    /// A copy of each.
    Copied(Vec<Bytes>),
    /// There was no memory for copies: what the system said.
    Lost(String),
}

impl Snapshot {
    /// A range of the bytes of a tensor, counted among those that the snapshot is of.
    ///
    /// # Errors
    /// [`Error::NoMemory`] if they had to be copied and could not be.
    ///
    /// # Panics
    /// If there are fewer tensors or bytes.
    pub fn read(&self, tensor: usize, range: Range<usize>) -> Result<Bytes, Error> {
        match &*lock(&self.content) {
            Content::InPlace(tensors) => Ok(Bytes::copy_from_slice(&aten::bytes(&tensors[tensor])?[range])),
            Content::Copied(copies) => Ok(copies[tensor].slice(range)),
            Content::Lost(reason) => Err(Error::NoMemory(reason.clone())),
        }
    }

    /// Copies the tensors, unless that was done before. Without memory for it they stay where they are.
    fn copy(&self, threads: u32, unused: &Unused) -> io::Result<()> {
        let mut content = lock(&self.content);
        if let Content::InPlace(tensors) = &*content {
            *content = Content::Copied(copies(tensors, threads, unused)?);
        }
        Ok(())
    }
}

fn copies(tensors: &[Tensor], threads: u32, unused: &Unused) -> io::Result<Vec<Bytes>> {
    let tensors: Vec<&[u8]> =
        tensors.iter().map(aten::bytes).collect::<Result<_, _>>().map_err(io::Error::other)?;
    let size = tensors.iter().map(|tensor| tensor.len()).sum::<usize>().max(1);
    let reused = lock(unused).take().filter(|memory| memory.len() == size);
    let mut memory = reused.map_or_else(|| fresh(size), Ok)?;
    copy_all(&tensors, &mut memory, threads);
    let mut all = Bytes::from_owner(Lent { memory: Some(memory), home: Arc::clone(unused) });
    Ok(tensors.iter().map(|tensor| all.split_to(tensor.len())).collect())
}

/// Copies tensors one behind the other.
fn copy_all(tensors: &[&[u8]], mut to: &mut [u8], threads: u32) {
    let copies = tensors.iter().map(|tensor| {
        let (copy, behind) = std::mem::take(&mut to).split_at_mut(tensor.len());
        to = behind;
        (copy, tensor)
    });
    let remaining = Mutex::new(copies);
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let Some((copy, tensor)) = lock(&remaining).next() else { return };
                    copy.copy_from_slice(tensor);
                }
            });
        }
    });
}

fn fresh(size: usize) -> io::Result<MmapMut> {
    let memory = MmapMut::map_anon(size)?;
    // Small pages take longer than what is copied into them. Where there are no large ones, nothing is lost.
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage);
    Ok(memory)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Memory that goes home when nobody reads it any more.
struct Lent {
    /// There until it is dropped.
    memory: Option<MmapMut>,
    home: Unused,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_deref().unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *lock(&self.home) = self.memory.take();
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn tensors(count: u8) -> Vec<Tensor> {
        (0..count).map(|number| Tensor::from_slice(&vec![number; 1000 * usize::from(number)])).collect()
    }

    fn all(snapshot: &Snapshot, tensors: &[Tensor]) -> Vec<Bytes> {
        tensors.iter().enumerate().map(|(n, tensor)| snapshot.read(n, 0..tensor.numel()).unwrap()).collect()
    }

    #[test]
    fn any_number_of_threads_copies_everything_into_its_place() {
        for threads in [0, 1, 2, 5, 64] {
            let (tensors, mut snapshots) = (tensors(37), Snapshots::default());
            let snapshot = snapshots.take(tensors.iter().map(Tensor::shallow_clone).collect(), threads);
            let before = all(&snapshot, &tensors);
            snapshots.settle(threads);
            tensors.iter().for_each(|tensor| drop(tensor.shallow_clone().fill_(99)));
            assert_eq!(all(&snapshot, &tensors), before, "{threads} threads");
            assert_eq!(snapshot.read(9, 10..20).unwrap(), [9; 10].as_slice());
        }
    }

    #[test]
    fn what_nobody_needs_any_more_is_not_copied() {
        let mut snapshots = Snapshots::default();
        let copied = |snapshot: &Snapshot| matches!(*lock(&snapshot.content), Content::Copied(_));
        drop(snapshots.take(tensors(3), 1));
        snapshots.settle(1);
        assert!(lock(&snapshots.unused).is_none());

        let late = snapshots.take(tensors(3), 1);
        assert!(!copied(&late));
        snapshots.settle(1);
        assert!(copied(&late) && snapshots.taken.is_empty());
        drop(late);
        let next = snapshots.take(tensors(3), 1);
        assert!(copied(&next), "the one before was late");
        drop(next);
        assert!(lock(&snapshots.unused).is_some(), "memory is kept for the one after");
        snapshots.settle(1);
        assert!(lock(&snapshots.unused).is_none(), "which most likely does not need it");
        assert!(!copied(&snapshots.take(tensors(3), 1)), "the one before was stored in time");
    }

    #[test]
    fn who_reads_meanwhile_reads_what_was() {
        const SIZE: usize = 3 << 20;
        let (mut snapshots, mut tensor) =
            (Snapshots::default(), Tensor::zeros([SIZE as i64], (Kind::Uint8, Device::Cpu)));
        for number in 0..20 {
            let snapshot = snapshots.take(vec![tensor.shallow_clone()], 2);
            let reader = thread::spawn(move || {
                for start in (0..SIZE).step_by(1 << 16) {
                    let piece = snapshot.read(0, start..start + (1 << 16)).unwrap();
                    assert!(piece.iter().all(|&byte| byte == number), "{number} at {start}");
                }
            });
            snapshots.settle(2);
            let _changed = tensor.fill_(i64::from(number) + 1);
            reader.join().unwrap();
        }
    }

    #[test]
    fn memory_is_used_again_when_nobody_needs_it_any_more() {
        let mut snapshots = Snapshots::default();
        let mut copy = |byte: u8, size: usize| {
            let snapshot = snapshots.take(vec![Tensor::from_slice(&vec![byte; size])], 1);
            snapshots.settle(1);
            snapshot.read(0, 0..size).unwrap()
        };
        let (first, second) = (copy(1, 1 << 20), copy(2, 1 << 20));
        assert_ne!(first.as_ptr(), second.as_ptr());
        assert!(first.iter().all(|&byte| byte == 1));
        let was = second.as_ptr();
        drop(second);
        let third = copy(3, 1 << 20);
        assert_eq!(third.as_ptr(), was);
        drop(third);
        assert_eq!(copy(4, 10), [4; 10].as_slice());
    }

    #[test]
    fn what_cannot_be_copied_stays_in_place_until_the_tensors_change_and_then_says_that_it_is_lost() {
        // Copying fails, as it does without memory: it takes tensors that lie in one piece.
        let mut snapshots = Snapshots { outlasting: true, ..Snapshots::default() };
        let snapshot = snapshots.take(vec![Tensor::zeros([2, 3], (Kind::Uint8, Device::Cpu)).tr()], 1);
        assert!(matches!(*lock(&snapshot.content), Content::InPlace(_)));
        snapshots.settle(1);
        let error = snapshot.read(0, 0..1).unwrap_err();
        assert!(matches!(error, Error::NoMemory(_)), "{error}");
    }
}
