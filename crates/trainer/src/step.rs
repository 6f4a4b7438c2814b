//! What a step reports: after a micro-batch, after the reduction, and after the update. Plain data.

/// What a micro-batch is computed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Its gradient belongs to the step.
    Add,
    /// The same, and somebody else computes it too: they compare.
    AddAndHash,
    /// It is somebody else's, and only compared.
    Hash,
}

/// What a micro-batch came to on this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Computed {
    /// Whether its gradient is finite and in range.
    pub usable: bool,
    /// A hash of its gradient, if it was asked for.
    pub digest: Option<u128>,
}

/// A step whose gradient is summed over the whole generation. The same on every member, to the bit.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduced {
    /// The loss: the weighted sum of the means of its terms over all targets of the step, in nats.
    pub loss: f64,
    /// The mean of each term, and the ratios counted beside them.
    pub measures: Vec<Measure>,
    /// Targets of the first term: masked positions.
    pub targets: u64,
    /// Tokens that are not padding.
    pub tokens: u64,
    /// Global L2 norm of the step's gradient, before clipping.
    pub grad_norm: f64,
    /// A hash of the summed gradient and counts.
    pub digest: u128,
    /// Whether some micro-batch had a number that is not finite or too large. Such a step changes nothing.
    pub overflowed: bool,
}

/// A number with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// A term of the loss (`mlm`, `nsp`, …) or a ratio (`mlm_accuracy`, …).
    pub name: &'static str,
    /// A mean loss in nats, or a share.
    pub value: f64,
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

/// The measure of that name.
pub fn measure(measures: &[Measure], name: &str) -> Option<f64> {
    measures.iter().find(|measure| measure.name == name).map(|measure| measure.value)
}
