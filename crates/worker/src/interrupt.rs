//! How the session reaches a thread that is blocked in a collective. Knows nothing of why.

use std::sync::{Mutex, PoisonError};

type Breaker = Box<dyn Fn() + Send + Sync>;

/// Generations up to `over` of the present session have ended, and all of earlier sessions; whoever waits in one must
/// stop waiting.
#[derive(Default)]
pub(crate) struct Interrupt {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: u64,
    over: u64,
    breaker: Option<(u64, Breaker)>,
}

impl State {
    fn is_over(&self, session: u64, generation: u64) -> bool {
        self.session != session || self.over >= generation
    }
}

impl Interrupt {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the present session.
    pub(crate) fn session(&self) -> u64 {
        self.state().session
    }

    /// What breaks off the collectives of a generation. It is used at once if the generation is over already.
    pub(crate) fn arm(&self, session: u64, generation: u64, breaker: Breaker) {
        let mut state = self.state();
        if state.is_over(session, generation) {
            breaker();
        } else {
            state.breaker = Some((generation, breaker));
        }
    }

    pub(crate) fn is_over(&self, session: u64, generation: u64) -> bool {
        self.state().is_over(session, generation)
    }

    /// The generation has ended.
    pub(crate) fn end(&self, generation: u64) {
        let mut state = self.state();
        state.over = state.over.max(generation);
        if let Some((_, breaker)) = state.breaker.take_if(|(armed, _)| *armed <= generation) {
            breaker();
        }
    }

    /// The session is lost, and with it every generation. A new coordinator may not know how far the
    /// one before had counted.
    pub(crate) fn cut_off(&self) {
        let mut state = self.state();
        (state.session, state.over) = (state.session + 1, 0);
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
        interrupt.arm(0, 2, breaker());
        interrupt.end(1);
        assert_eq!(fired.load(Ordering::SeqCst), 0, "an older generation's end is no reason");
        interrupt.end(2);
        interrupt.end(2);
        assert_eq!(fired.load(Ordering::SeqCst), 1);
        interrupt.arm(0, 2, breaker());
        assert_eq!(fired.load(Ordering::SeqCst), 2, "armed after the end");
        assert!(interrupt.is_over(0, 2) && !interrupt.is_over(0, 3));
    }

    #[test]
    fn a_lost_session_ends_its_generations_and_not_those_of_the_next() {
        let interrupt = Interrupt::default();
        let session = interrupt.session();
        interrupt.cut_off();
        assert!(interrupt.is_over(session, 7), "an order of the lost session comes late");
        assert!(!interrupt.is_over(interrupt.session(), 1));
    }
}
