//! The state as of a step, for whoever stores it while training goes on: read where it lies until it is about to change,
//! and copied only then. An update that comes when everything is stored copies nothing, and no update makes more than one
//! copy: what somebody is sending just then is part of it. Knows bytes only.

use std::ops::Range;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::{io, mem, thread};

use bytes::Bytes;
use memmap2::{MmapMut, MmapOptions};
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
/// copying; and the allocator would keep what it once gave, cut into pieces.
type Unused = Arc<Mutex<Option<MmapMut>>>;

impl Snapshots {
    /// These tensors as they are now. They must not change before [`Snapshots::settle`]. If that had to copy the last
    /// time, it is done at once: copying takes longer when storing is under way.
    pub(crate) fn take(&mut self, tensors: Vec<Tensor>, threads: u32) -> Arc<Snapshot> {
        let snapshot =
            Arc::new(Snapshot { content: Mutex::new(Content::InPlace { tensors, read: Vec::new() }) });
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
            let unused = lock(&self.unused).take();
            drop(unused);
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
    /// The tensors themselves: they have not changed. And what was read of them and may still be in somebody's hands.
    InPlace { tensors: Vec<Tensor>, read: Vec<Read> },
    /// A copy of each, in pieces that follow each other.
    Copied(Vec<Vec<Bytes>>),
    /// There was no memory for copies: what the system said.
    Lost(String),
}

/// Bytes of a tensor that were read while it had not changed.
#[derive(Debug)]
struct Read {
    tensor: usize,
    start: usize,
    bytes: Weak<MmapMut>,
}

impl Snapshot {
    /// A range of the bytes of a tensor, counted among those that the snapshot is of.
    ///
    /// # Errors
    /// [`Error::NoMemory`] if there is none for them, or if they had to be copied and could not be.
    ///
    /// # Panics
    /// If there are fewer tensors or bytes.
    pub fn read(&self, tensor: usize, range: Range<usize>) -> Result<Bytes, Error> {
        match &mut *lock(&self.content) {
            Content::InPlace { tensors, read } => {
                let found = &aten::bytes(&tensors[tensor])?[range.clone()];
                if found.is_empty() {
                    return Ok(Bytes::new());
                }
                // Not the allocator's: it would keep what was in flight once, beside the copy.
                let memory = MmapOptions::new().len(found.len()).populate().map_anon();
                let mut memory = memory.map_err(|error| Error::NoMemory(error.to_string()))?;
                memory.copy_from_slice(found);
                let bytes = Arc::new(memory);
                read.retain(|read| read.bytes.strong_count() > 0);
                read.push(Read { tensor, start: range.start, bytes: Arc::downgrade(&bytes) });
                Ok(shared(bytes))
            }
            Content::Copied(copies) => Ok(joined(&copies[tensor], range)),
            Content::Lost(reason) => Err(Error::NoMemory(reason.clone())),
        }
    }

    /// Shows a range of the bytes of a tensor to `see`, without copying them. The tensors cannot change meanwhile.
    ///
    /// # Errors
    /// [`Error::NoMemory`] if they had to be copied and could not be.
    ///
    /// # Panics
    /// If there are fewer tensors or bytes.
    pub fn show(&self, tensor: usize, range: Range<usize>, see: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        if let Content::InPlace { tensors, .. } = &*lock(&self.content) {
            see(&aten::bytes(&tensors[tensor])?[range]);
            return Ok(());
        }
        // It stays what it is now.
        self.read(tensor, range).map(|bytes| see(&bytes))
    }

    /// Copies the tensors, unless that was done before. Without memory for it they stay where they are.
    fn copy(&self, threads: u32, unused: &Unused) -> io::Result<()> {
        let mut content = lock(&self.content);
        if let Content::InPlace { tensors, read } = &*content {
            *content = Content::Copied(copies(tensors, read, threads, unused)?);
        }
        Ok(())
    }
}

/// A range of pieces that follow each other: of one of them, as a rule.
fn joined(pieces: &[Bytes], range: Range<usize>) -> Bytes {
    let (mut start, mut found) = (0, Vec::with_capacity(1));
    for piece in pieces {
        let end = start + piece.len();
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            found.push(piece.slice(from - start..to - start));
        }
        start = end;
    }
    assert!(range.end <= start, "{range:?} of {start} bytes");
    if found.len() == 1 { found.swap_remove(0) } else { found.concat().into() }
}

/// Consecutive bytes of a tensor.
enum Piece<'a> {
    /// They have to be copied.
    Tensor(&'a [u8]),
    /// Somebody has a copy.
    Read(Arc<MmapMut>),
}

impl Piece<'_> {
    fn len(&self) -> usize {
        match self {
            Piece::Tensor(bytes) => bytes.len(),
            Piece::Read(bytes) => bytes.len(),
        }
    }
}

/// A tensor, where it is as much as possible what was read of it.
fn pieces<'a>(mut bytes: &'a [u8], read: impl Iterator<Item = &'a Read>) -> Vec<Piece<'a>> {
    let mut read: Vec<_> = read.filter_map(|read| Some((read.start, read.bytes.upgrade()?))).collect();
    read.sort_by_key(|&(start, _)| start);
    let (mut pieces, mut at) = (Vec::with_capacity(2 * read.len() + 1), 0);
    for (start, read) in read {
        // Two may have read the same.
        let Some(between) = start.checked_sub(at) else { continue };
        let (before, behind) = bytes.split_at(between);
        (bytes, at) = (&behind[read.len()..], start + read.len());
        pieces.extend([Piece::Tensor(before), Piece::Read(read)]);
    }
    pieces.push(Piece::Tensor(bytes));
    pieces
}

fn copies(tensors: &[Tensor], read: &[Read], threads: u32, unused: &Unused) -> io::Result<Vec<Vec<Bytes>>> {
    let of = |(index, tensor)| {
        let read = read.iter().filter(move |read| read.tensor == index);
        Ok(pieces(aten::bytes(tensor).map_err(io::Error::other)?, read))
    };
    let tensors = tensors.iter().enumerate().map(of).collect::<io::Result<Vec<_>>>()?;
    let size = tensors.iter().flatten().map(Piece::len).sum::<usize>().max(1);
    let reused = lock(unused).take().filter(|memory| memory.len() == size);
    let mut lent = Lent { memory: Some(reused.map_or_else(|| fresh(size), Ok)?), home: Arc::clone(unused) };
    copy_all(tensors.iter().flatten(), lent.memory.as_deref_mut().unwrap_or_default(), threads);
    let mut all = Bytes::from_owner(lent);
    let mut copy = |piece| match piece {
        Piece::Tensor(bytes) => all.split_to(bytes.len()),
        Piece::Read(bytes) => shared(bytes),
    };
    Ok(tensors.into_iter().map(|pieces| pieces.into_iter().map(&mut copy).collect()).collect())
}

/// Copies what has to be, one behind the other. The rest is never touched: the system gives no memory for it.
fn copy_all<'a>(pieces: impl Iterator<Item = &'a Piece<'a>> + Send, mut to: &mut [u8], threads: u32) {
    let copies = pieces.filter_map(|piece| {
        let Piece::Tensor(bytes) = piece else { return None };
        let (copy, behind) = mem::take(&mut to).split_at_mut(bytes.len());
        to = behind;
        Some((copy, bytes))
    });
    let remaining = Mutex::new(copies);
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let Some((copy, bytes)) = lock(&remaining).next() else { return };
                    copy.copy_from_slice(bytes);
                }
            });
        }
    });
}

/// Bytes that several have.
fn shared(bytes: Arc<MmapMut>) -> Bytes {
    struct Shared(Arc<MmapMut>);
    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Shared(bytes))
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
        // Unless there is a newer copy: what is lent out and what is unused together are one.
        let others = Arc::strong_count(&self.home) > 2;
        if !others {
            *lock(&self.home) = self.memory.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tch::{Device, Kind};

    use super::*;

    fn tensors(count: u8) -> Vec<Tensor> {
        (0..count).map(|number| Tensor::from_slice(&vec![number; 1000 * usize::from(number)])).collect()
    }

    fn all(snapshot: &Snapshot, tensors: &[Tensor]) -> Vec<Vec<u8>> {
        let read = |(n, tensor): (usize, &Tensor)| snapshot.read(n, 0..tensor.numel()).unwrap().to_vec();
        tensors.iter().enumerate().map(read).collect()
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
            snapshots.outlasting = false;
            let snapshot = snapshots.take(vec![tensor.shallow_clone()], 2);
            let reader = thread::spawn(move || {
                let mut in_hand = VecDeque::new();
                for start in (0..SIZE).step_by(1 << 16) {
                    in_hand.push_back(snapshot.read(0, start..start + (1 << 16)).unwrap());
                    let first = if in_hand.len() > 7 { in_hand.pop_front() } else { None };
                    let mut right =
                        |bytes: &[u8]| assert!(bytes.iter().all(|&byte| byte == number), "{start}");
                    first.iter().for_each(|bytes| right(bytes));
                    snapshot.show(0, start..start + (1 << 16), &mut right).unwrap();
                }
            });
            snapshots.settle(2);
            let _changed = tensor.fill_(i64::from(number) + 1);
            reader.join().unwrap();
        }
    }

    #[test]
    fn what_somebody_has_in_hand_is_not_copied_again() {
        const MIB: usize = 1 << 20;
        let content: Vec<u8> = (0..6 * MIB).map(|n| (n / 1000) as u8).collect();
        let apart = vec![3 * MIB..5 * MIB, 0..MIB];
        // Of two that overlap, the one that begins later is copied.
        let across = vec![MIB..3 * MIB, 5 * MIB..6 * MIB, 2 * MIB..4 * MIB];
        for (ranges, kept) in [(vec![], 0), (apart, 2), (across, 2)] {
            let (mut snapshots, mut tensor) = (Snapshots::default(), Tensor::from_slice(&content));
            let snapshot = snapshots.take(vec![Tensor::from_slice(&[7u8; 9]), tensor.shallow_clone()], 2);
            drop(snapshot.read(1, MIB / 2..MIB));
            let read = |range: &Range<usize>| snapshot.read(1, range.clone()).unwrap();
            let in_hand: Vec<Bytes> = ranges.iter().map(read).collect();
            snapshots.settle(2);
            let _changed = tensor.fill_(255);

            assert_eq!(snapshot.read(0, 0..9).unwrap(), [7; 9].as_slice());
            for range in [0..6 * MIB, MIB - 5..MIB + 5, 2 * MIB + 1..2 * MIB + 2, 6 * MIB..6 * MIB] {
                assert_eq!(read(&range), content[range]);
            }
            let same =
                ranges.iter().zip(&in_hand).filter(|(range, was)| read(range).as_ptr() == was.as_ptr());
            assert_eq!(same.count(), kept);
        }
    }

    #[test]
    fn memory_is_used_again_when_nobody_needs_it_any_more() {
        let mut snapshots = Snapshots::default();
        let copy = |snapshots: &mut Snapshots, byte: u8, size: usize| {
            let snapshot = snapshots.take(vec![Tensor::from_slice(&vec![byte; size])], 1);
            snapshots.settle(1);
            snapshot.read(0, 0..size).unwrap()
        };
        let (first, second) = (copy(&mut snapshots, 1, 1 << 20), copy(&mut snapshots, 2, 1 << 20));
        assert_ne!(first.as_ptr(), second.as_ptr());
        assert!(first.iter().all(|&byte| byte == 1));
        let was = second.as_ptr();
        drop(first);
        assert!(lock(&snapshots.unused).is_none(), "not beside a newer copy");
        drop(second);
        assert!(lock(&snapshots.unused).is_some());
        let third = copy(&mut snapshots, 3, 1 << 20);
        assert_eq!(third.as_ptr(), was);
        drop(third);
        assert_eq!(copy(&mut snapshots, 4, 10), [4; 10].as_slice());
    }

    #[test]
    fn what_cannot_be_copied_stays_in_place_until_the_tensors_change_and_then_says_that_it_is_lost() {
        // Copying fails, as it does without memory: it takes tensors that lie in one piece.
        let mut snapshots = Snapshots { outlasting: true, ..Snapshots::default() };
        let snapshot = snapshots.take(vec![Tensor::zeros([2, 3], (Kind::Uint8, Device::Cpu)).tr()], 1);
        assert!(matches!(*lock(&snapshot.content), Content::InPlace { .. }));
        snapshots.settle(1);
        let error = snapshot.read(0, 0..1).unwrap_err();
        assert!(matches!(error, Error::NoMemory(_)), "{error}");
    }
}
