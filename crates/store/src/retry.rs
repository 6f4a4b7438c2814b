//! Trying again when the storage service failed. Knows nothing of what is tried.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::StoreError;

/// Attempts in all. Cloud clients repeat single requests by themselves; this is for what they gave up on.
const ATTEMPTS: u64 = 4;
const FIRST_PAUSE_MS: u64 = 200;

/// Runs `attempt` until it succeeds, fails with something other than [`StoreError::Io`], or has been tried
/// often enough. Pauses differ by `key` and by process: workers that failed together must not come back together.
///
/// # Errors
/// The last error of `attempt`.
pub async fn retry<T, F>(key: &str, mut attempt: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut failed = 0;
    loop {
        match attempt().await {
            Err(StoreError::Io { place, source }) if failed + 1 < ATTEMPTS => {
                static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(()));
                let pause = pause(key, *PROCESS, failed);
                tracing::warn!(place, error = %source, ?pause, "storage failed; trying again");
                tokio::time::sleep(pause).await;
                failed += 1;
            }
            done => return done,
        }
    }
}

/// Doubles with every failure, and lies between half of that and all of it.
fn pause(key: &str, process: u64, failed: u64) -> Duration {
    let longest = FIRST_PAUSE_MS << failed;
    let half = longest / 2;
    Duration::from_millis(half + xxh3_64_with_seed(key.as_bytes(), process ^ failed) % (half + 1))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn tried(answer: impl Fn(u64) -> Result<u64, StoreError>) -> (Result<u64, StoreError>, u64) {
        let count = Cell::new(0);
        let result = retry("key", || {
            count.set(count.get() + 1);
            std::future::ready(answer(count.get()))
        })
        .await;
        (result, count.get())
    }

    #[tokio::test(start_paused = true)]
    async fn only_failures_of_the_service_are_tried_again_and_not_forever() {
        let io = || StoreError::io("here", "no route");
        assert!(matches!(tried(|n| if n < 3 { Err(io()) } else { Ok(n) }).await, (Ok(3), 3)));
        assert!(matches!(tried(|_| Err(io())).await, (Err(StoreError::Io { .. }), ATTEMPTS)));
        assert!(matches!(tried(|_| Err(StoreError::Invalid("no".into()))).await, (Err(_), 1)));
    }

    #[test]
    fn pauses_grow_and_differ_by_key_and_process() {
        for failed in 0..3 {
            let longest = Duration::from_millis(FIRST_PAUSE_MS << failed);
            let by_key: Vec<_> = (0..20).map(|n| pause(&format!("part-{n}"), 7, failed)).collect();
            let by_process: Vec<_> = (0..20).map(|n| pause("part", n << 32, failed)).collect();
            for pauses in [by_key, by_process] {
                assert!(pauses.iter().all(|&pause| pause >= longest / 2 && pause <= longest));
                assert!(pauses.iter().any(|pause| pause != &pauses[0]));
            }
        }
    }
}
