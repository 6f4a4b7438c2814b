//! What a history is about: how large the cluster is, how long things take, and what goes wrong how often.

use ledger::Settings;
use plan::Stream;

/// A simulated run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What the ledger knows of the plan.
    pub settings: Settings,
    /// What all draws come from.
    pub seed: u64,
    /// Worker processes: one that ends before the run does is replaced.
    pub workers: usize,
    /// How long things take.
    pub times: Times,
    /// What goes wrong.
    pub faults: Faults,
    /// The step whose loss jumps, if one does.
    pub jump: Option<u64>,
    /// How many times as long as the fastest the slowest worker takes for a micro-batch; the others lie between.
    pub unevenness: u64,
}

/// A duration that varies, uniformly, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// At least.
    pub least: u64,
    /// At most.
    pub most: u64,
}

impl Span {
    /// Between these two.
    pub const fn new(least: u64, most: u64) -> Self {
        Span { least, most }
    }

    /// One of them.
    pub fn draw(self, random: &mut Stream) -> u64 {
        self.least + random.below(self.most.saturating_sub(self.least) + 1)
    }
}

/// How long things take.
#[derive(Clone, Debug)]
pub struct Times {
    /// From the start of a worker process to its being prepared.
    pub start: Span,
    /// From the end of a worker process to the start of the one that replaces it.
    pub replacement: Span,
    /// One micro-batch.
    pub micro_batch: Span,
    /// An all-reduce or a broadcast, once all members are there.
    pub collective: Span,
    /// Loading a checkpoint.
    pub restore: Span,
    /// Storing an object.
    pub store: Span,
    /// A message on its way.
    pub message: Span,
    /// From the loss of a connection to the next attempt.
    pub reconnect: Span,
    /// For how long other workers do not reach one.
    pub unreachable: Span,
    /// From the end of a coordinator to the next one.
    pub restart: Span,
    /// Between two heartbeats.
    pub heartbeat: u64,
    /// Between two flushes of the ledger's records.
    pub flush: u64,
}

/// What goes wrong. Times are means between two faults in milliseconds; 0 stands for never.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// A worker is killed; per worker.
    pub kill: u64,
    /// A worker stands still; per worker.
    pub freeze: u64,
    /// For how long.
    pub frozen: Option<Span>,
    /// A connection to the coordinator breaks, and what is on its way is lost; per worker.
    pub cut: u64,
    /// A worker is asked to leave; per worker.
    pub leave: u64,
    /// A collective fails although nobody is dead; per cent of all.
    pub collective: u64,
    /// The coordinator is killed.
    pub coordinator: u64,
    /// The coordinator is killed in the middle of carrying out a decision; per ten thousand.
    pub in_decision: u64,
    /// Somebody has the run stand still for some seconds.
    pub pause: u64,
    /// Somebody starts another coordinator although one is there already.
    pub usurper: u64,
    /// Storage answers with an error, whether it stored or not; per cent.
    pub storage: u64,
    /// A checkpoint is damaged when a coordinator looks at it, or a worker wants to restore it; per cent.
    pub damage: u64,
    /// A message arrives twice; per cent.
    pub doubled: u64,
    /// A worker lives, computes and does not get on; per worker.
    pub hang: u64,
    /// A worker and the others do not reach each other for a while, but all of them the coordinator; per worker.
    pub unreachable: u64,
}

/// A time to the next of events that come at random with this mean: exponential, at least 1.
pub(crate) fn next(mean: u64, random: &mut Stream) -> u64 {
    let share = 1.0 - random.uniform();
    1 + (-share.ln() * mean as f64) as u64
}
