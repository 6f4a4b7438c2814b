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
        // `nohup` wants it to go on when the terminal is closed.
        let kinds = kinds.into_iter().filter(|kind| *kind != SignalKind::hangup() || !hangups_are_ignored());
        EndSignals(kinds.filter_map(|kind| signal(kind).ok()).collect())
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

/// Whether whoever started this program has it ignore SIGHUP, where the system tells.
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is signal 1, the lowest bit.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
