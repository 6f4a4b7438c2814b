//! How far the member's thread has come, for those who cannot ask it: the heartbeats, and the watchdog that ends a process
//! whose thread does not come back. Knows nothing of what the thread does.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use wire::v1::{Doing, Heartbeat};

/// Whoever computes may take this many times as long as it ever took for a micro-batch, and at least that long, before
/// it answers.
const SLOWER_THAN_EVER: u32 = 8;
const SHORTEST_LIMIT: Duration = Duration::from_secs(10);
/// Whoever waits for others comes back as soon as the connections are closed; a large state may be compared before.
const COLLECTIVE: Duration = Duration::from_secs(30);
/// What waits for storage, or has never computed yet.
const UNKNOWN: Duration = Duration::from_secs(600);

/// Shared between the member's thread and the session.
pub(crate) struct Progress {
    state: Mutex<State>,
}

struct State {
    done: u64,
    doing: Doing,
    since: Instant,
    longest: Option<Duration>,
    /// Since when an interruption waits to be heard.
    called: Option<Instant>,
}

impl Default for Progress {
    fn default() -> Self {
        let (doing, since) = (Doing::Unspecified, Instant::now());
        Progress { state: Mutex::new(State { done: 0, doing, since, longest: None, called: None }) }
    }
}

impl Progress {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is at hand is finished; now comes something else. Returns how long it took.
    pub(crate) fn now(&self, doing: Doing) -> Duration {
        let mut state = self.state();
        let took = state.since.elapsed();
        state.done += 1;
        (state.doing, state.since) = (doing, Instant::now());
        took
    }

    /// A micro-batch is computed. Returns how long it took; nothing else says how long one may take.
    pub(crate) fn computed(&self) -> Duration {
        let took = self.now(Doing::Computing);
        let mut state = self.state();
        state.longest = state.longest.max(Some(took));
        took
    }

    /// What a heartbeat says.
    pub(crate) fn heartbeat(&self) -> Heartbeat {
        let state = self.state();
        Heartbeat { done: state.done, doing: state.doing.into() }
    }

    /// The thread is to stop what it does.
    pub(crate) fn call(&self) {
        self.state().called.get_or_insert_with(Instant::now);
    }

    /// Whether somebody does.
    pub(crate) fn is_called(&self) -> bool {
        self.state().called.is_some()
    }

    /// It has heard.
    pub(crate) fn answer(&self) {
        self.state().called = None;
    }

    /// For how long it has not answered and in what, if that is too long.
    pub(crate) fn stuck(&self) -> Option<(Duration, Doing)> {
        let state = self.state();
        let limit = match (state.doing, state.longest) {
            (Doing::Computing, Some(longest)) => (longest * SLOWER_THAN_EVER).max(SHORTEST_LIMIT),
            (Doing::Collective | Doing::Connecting, _) => COLLECTIVE,
            _ => UNKNOWN,
        };
        let waiting = state.called.map(|called| called.elapsed()).filter(|waiting| *waiting > limit);
        waiting.map(|waiting| (waiting, state.doing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_answer_for_much_longer_than_anything_took_is_stuck() {
        let progress = Progress::default();
        progress.now(Doing::Computing);
        progress.state().called = Instant::now().checked_sub(SHORTEST_LIMIT * 2);
        assert_eq!(progress.stuck(), None, "nobody knows how long the first micro-batch takes");
        progress.answer();
        progress.computed();
        progress.call();
        assert_eq!(progress.stuck(), None, "not for so long");
        progress.state().called = Instant::now().checked_sub(SHORTEST_LIMIT * 2);
        assert!(progress.stuck().is_some());
        progress.now(Doing::Unspecified);
        assert_eq!(progress.stuck(), None, "storage has limits of its own");
        progress.now(Doing::Collective);
        assert_eq!(progress.stuck(), None, "connections take a moment to close");
        progress.state().called = Instant::now().checked_sub(COLLECTIVE * 2);
        assert!(progress.stuck().is_some(), "also for a newcomer");
        progress.answer();
        assert_eq!(progress.stuck(), None);
        assert_eq!(progress.heartbeat().done, 4);
    }
}
