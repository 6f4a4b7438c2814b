//! How the session reaches a thread that is blocked in a collective. Knows nothing of why.

use std::sync::{Mutex, PoisonError};

type Breaker = Box<dyn Fn() + Send + Sync>;

/// Generations up to `over` have ended; whoever waits in one must stop waiting.
#[derive(Default)]
pub(crate) struct Interrupt {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    over: u64,
    /// Everything is over, whatever its number: the session is lost.
    cut_off: bool,
    breaker: Option<(u64, Breaker)>,
}

impl Interrupt {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A generation begins: nothing before it matters any more.
    pub(crate) fn enter(&self) {
        let mut state = self.state();
        state.cut_off = false;
        state.breaker = None;
    }

    /// What breaks off the collectives of `generation`. It is used at once if the generation is over already.
    pub(crate) fn arm(&self, generation: u64, breaker: Breaker) {
        let mut state = self.state();
        if state.over >= generation || state.cut_off {
            breaker();
        }
        state.breaker = Some((generation, breaker));
    }

    pub(crate) fn is_over(&self, generation: u64) -> bool {
        let state = self.state();
        state.cut_off || state.over >= generation
    }

    /// The generation has ended.
    pub(crate) fn end(&self, generation: u64) {
        let mut state = self.state();
        state.over = state.over.max(generation);
        if let Some((_, breaker)) = state.breaker.take_if(|(armed, _)| *armed <= generation) {
            breaker();
        }
    }

    /// The session is lost, and with it every generation. A new coordinator counts from 1 again.
    pub(crate) fn cut_off(&self) {
        let mut state = self.state();
        state.over = 0;
        state.cut_off = true;
        if let Some((_, breaker)) = state.breaker.take() {
            breaker();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_breaker_fires_once_and_also_when_it_comes_late() {
        let fired = Arc::new(AtomicUsize::new(0));
        let breaker = || {
            let fired = fired.clone();
            Box::new(move || {
                let _before = fired.fetch_add(1, Ordering::SeqCst);
            })
        };
        let interrupt = Interrupt::default();
        interrupt.enter();
        interrupt.arm(2, breaker());
        interrupt.end(1);
        assert_eq!(fired.load(Ordering::SeqCst), 0, "an older generation's end is no reason");
        interrupt.end(2);
        interrupt.end(2);
        assert_eq!(fired.load(Ordering::SeqCst), 1);
        interrupt.arm(2, breaker());
        assert_eq!(fired.load(Ordering::SeqCst), 2, "armed after the end");
        assert!(interrupt.is_over(2) && !interrupt.is_over(3));
    }

    #[test]
    fn a_lost_session_ends_everything_until_the_next_generation() {
        let interrupt = Interrupt::default();
        interrupt.cut_off();
        assert!(interrupt.is_over(7));
        interrupt.enter();
        assert!(!interrupt.is_over(1));
    }
}
