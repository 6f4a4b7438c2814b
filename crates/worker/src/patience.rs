//! Waiting for storage that is away: a worker that ended for it would take the weights with it. Knows nothing of what is
//! read.

use std::time::{Duration, Instant};

use store::StoreError;

use crate::{FeedError, WorkerError};

/// For so long storage may be away: the store's own attempts take seconds to minutes each. Whoever computes with others
/// holds them up meanwhile, and they may reach it.
pub(crate) const LONGEST: Duration = Duration::from_secs(900);
const LONGEST_AMONG_OTHERS: Duration = Duration::from_secs(90);
/// Between two rounds of attempts.
pub(crate) const PAUSE: Duration = Duration::from_secs(2);
/// Between two looks whether it is over.
const LOOK: Duration = Duration::from_millis(100);

/// An error that may pass by itself.
pub(crate) trait MayPass {
    /// Whether the service failed, and not what is stored there.
    fn may_pass(&self) -> bool;
}

impl MayPass for FeedError {
    fn may_pass(&self) -> bool {
        matches!(self, FeedError::Store(StoreError::Io { .. }))
    }
}

impl MayPass for WorkerError {
    fn may_pass(&self) -> bool {
        match self {
            WorkerError::Store(error) => matches!(error, StoreError::Io { .. }),
            WorkerError::Feed(error) => error.may_pass(),
            _ => false,
        }
    }
}

/// How long it has been waited for already.
pub(crate) struct Patience {
    since: Option<Instant>,
    longest: Duration,
}

impl Patience {
    /// Nothing has failed yet. Is nobody held up?
    pub(crate) fn begin(alone: bool) -> Self {
        Patience { since: None, longest: if alone { LONGEST } else { LONGEST_AMONG_OTHERS } }
    }

    /// Whether it is worth another attempt after this error.
    pub(crate) fn bears(&mut self, error: &(impl MayPass + std::fmt::Display)) -> bool {
        let bears = error.may_pass() && self.since.get_or_insert_with(Instant::now).elapsed() < self.longest;
        if bears {
            tracing::warn!(%error, "storage is away; this worker waits for it");
        }
        bears
    }

    /// Attempts it until it succeeds, fails for good, has been waited for too long, or is over.
    pub(crate) fn until<T, E: MayPass + std::fmt::Display>(
        &mut self,
        is_over: impl Fn() -> bool,
        mut attempt: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        loop {
            match attempt() {
                Err(error) if !is_over() && self.bears(&error) => {
                    let begun = Instant::now();
                    while begun.elapsed() < PAUSE && !is_over() {
                        std::thread::sleep(LOOK);
                    }
                }
                done => return done,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> FeedError {
        FeedError::Store(StoreError::io("here", "no route"))
    }

    #[test]
    fn storage_that_is_away_is_waited_for_and_what_is_damaged_is_not() {
        let mut failures = 1;
        let mut attempt = || {
            failures -= 1;
            if failures < 0 { Ok(7) } else { Err(away()) }
        };
        assert_eq!(Patience::begin(true).until(|| false, &mut attempt).unwrap(), 7);
        let damaged =
            || FeedError::Store(StoreError::Damaged { place: "here".into(), reason: "it is".into() });
        let mut attempts = 0;
        let attempt = || -> Result<(), FeedError> {
            attempts += 1;
            Err(damaged())
        };
        assert!(Patience::begin(true).until(|| false, attempt).is_err());
        assert_eq!(attempts, 1);
    }

    #[test]
    fn nobody_waits_when_it_is_over_or_for_ever() {
        let begun = Instant::now();
        assert!(Patience::begin(true).until(|| true, || Err::<(), _>(away())).is_err());
        let mut old = Patience { since: Instant::now().checked_sub(LONGEST), longest: LONGEST };
        assert!(old.until(|| false, || Err::<(), _>(away())).is_err());
        assert!(begun.elapsed() < PAUSE);
    }
}
