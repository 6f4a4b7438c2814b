//! Copies of the state's tensors, for a checkpoint that is stored while training goes on. Knows bytes only.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use memmap2::MmapMut;

/// Makes copies, in memory of the system's own that is used again for the next one of the same size. Fresh pages
/// take longer than the copying, and what goes through the allocator comes back to it in pieces.
#[derive(Debug, Default)]
pub(crate) struct Stager {
    unused: Arc<Mutex<Option<MmapMut>>>,
}

impl Stager {
    /// Copies all of these by so many threads: what holds training up is the memory's speed, and not that of one thread.
    pub(crate) fn copy(&self, tensors: &[&[u8]], threads: u32) -> io::Result<Snapshot> {
        let ends: Vec<usize> = tensors
            .iter()
            .scan(0, |end, tensor| {
                *end += tensor.len();
                Some(*end)
            })
            .collect();
        let size = ends.last().copied().unwrap_or(0).max(1);
        let unused = lock(&self.unused).take().filter(|memory| memory.len() == size);
        let mut memory = unused.map_or_else(|| fresh(size), Ok)?;
        let mut rest = &mut memory[..];
        let copies = tensors.iter().map(|tensor| {
            let (copy, behind) = std::mem::take(&mut rest).split_at_mut(tensor.len());
            rest = behind;
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
        Ok(Snapshot { memory: Some(memory), ends, home: Arc::clone(&self.unused) })
    }
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

/// Copies of tensors, one behind the other.
#[derive(Debug)]
pub struct Snapshot {
    /// There until it is dropped.
    memory: Option<MmapMut>,
    /// Where each tensor ends.
    ends: Vec<usize>,
    home: Arc<Mutex<Option<MmapMut>>>,
}

impl Snapshot {
    /// Where the tensors are in the bytes, in their order.
    pub fn ranges(&self) -> Vec<Range<usize>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| start..end).collect()
    }
}

impl AsRef<[u8]> for Snapshot {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_deref().unwrap_or_default()
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        *lock(&self.home) = self.memory.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_threads_copies_everything_into_its_place() {
        let tensors: Vec<Vec<u8>> =
            (0..37u8).map(|number| vec![number; 1000 * usize::from(number)]).collect();
        let borrowed: Vec<&[u8]> = tensors.iter().map(Vec::as_slice).collect();
        let stager = Stager::default();
        for threads in [0, 1, 2, 5, 64] {
            let snapshot = stager.copy(&borrowed, threads).unwrap();
            let copies: Vec<&[u8]> =
                snapshot.ranges().into_iter().map(|range| &snapshot.as_ref()[range]).collect();
            assert_eq!(copies, borrowed, "{threads} threads");
        }
        assert!(stager.copy(&[], 2).unwrap().ranges().is_empty());
    }

    #[test]
    fn memory_is_used_again_when_nobody_needs_it_any_more() {
        let stager = Stager::default();
        let copy = |byte: u8, size: usize| stager.copy(&[&vec![byte; size]], 1).unwrap();
        let place = |snapshot: &Snapshot| snapshot.as_ref().as_ptr();
        let (first, second) = (copy(1, 1 << 20), copy(2, 1 << 20));
        assert_ne!(place(&first), place(&second));
        assert!(first.as_ref().iter().all(|&byte| byte == 1));
        let was = place(&second);
        drop(second);
        let third = copy(3, 1 << 20);
        assert_eq!(place(&third), was);
        drop(third);
        assert_eq!(copy(4, 10).as_ref(), [4; 10]);
    }
}
