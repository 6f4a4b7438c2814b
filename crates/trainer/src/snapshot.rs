//! Copies of the state's tensors, for a checkpoint that is stored while training goes on. Knows bytes only.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// Copies all of these by so many threads: what holds training up is the memory's speed, and not that of one thread,
/// which also has to wait for the kernel to clear fresh pages.
pub(crate) fn copies(tensors: &[&[u8]], threads: u32) -> Vec<Vec<u8>> {
    // Reserving touches no page.
    let mut copies: Vec<Vec<u8>> = tensors.iter().map(|tensor| Vec::with_capacity(tensor.len())).collect();
    let remaining = Mutex::new(copies.iter_mut().zip(tensors));
    let next = || remaining.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((copy, tensor)) = next() {
                    copy.extend_from_slice(tensor);
                }
            });
        }
    });
    copies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_threads_copies_everything_into_its_place() {
        let tensors: Vec<Vec<u8>> =
            (0..37u8).map(|number| vec![number; 1000 * usize::from(number)]).collect();
        let borrowed: Vec<&[u8]> = tensors.iter().map(Vec::as_slice).collect();
        for threads in [0, 1, 2, 5, 64] {
            assert_eq!(copies(&borrowed, threads), tensors, "{threads} threads");
        }
        assert!(copies(&[], 2).is_empty());
    }
}
