//! What a step reports: after the reduction, and after the update. Plain data.

/// A step whose gradient is summed over the whole generation. The same on every member, to the bit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reduced {
    /// Mean loss over all targets of the step, in nats; 0 if there are none.
    pub loss: f64,
    /// Share of the targets that were predicted right; 0 if there are none.
    pub accuracy: f64,
    /// Positions that were predicted.
    pub targets: u64,
    /// Tokens that are not padding.
    pub tokens: u64,
    /// Global L2 norm of the mean gradient, before clipping.
    pub grad_norm: f64,
    /// A hash of the summed gradient and counts.
    pub digest: u128,
    /// Whether some micro-batch had a number that is not finite or too large. Such a step changes nothing.
    pub overflowed: bool,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Applied {
    /// The number of the step that was applied; the first is 0.
    pub step: u64,
    /// The learning rate that it had.
    pub learning_rate: f64,
    /// Whether it was left out because it had overflowed.
    pub skipped: bool,
}
