//! What several tests of the ledger say. Knows nothing of what they test.

use crate::{StepReport, Waits};

/// A step of which nothing is remarkable.
pub(super) fn report() -> StepReport {
    StepReport {
        loss: 1.0,
        targets: 1,
        tokens: 1,
        grad_norm: 1.0,
        digest: String::new(),
        overflowed: false,
        measures: Vec::new(),
        waits: Waits::default(),
    }
}
