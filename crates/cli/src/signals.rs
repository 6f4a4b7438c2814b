//! The signals by which a person or a scheduler asks for the end.

use std::future::poll_fn;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, a scheduler's SIGTERM, and the SIGHUP of a terminal that is closed.
pub struct EndSignals(Vec<Signal>);

impl EndSignals {
    /// Takes the signals from the system's default, which would be to die at once.
    pub fn take() -> Self {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        EndSignals(kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect())
    }

    /// Waits for the next of them.
    pub async fn next(&mut self) {
        poll_fn(|context| {
            let ready = |signal: &mut Signal| signal.poll_recv(context).is_ready();
            if self.0.iter_mut().any(ready) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
