//! Learning-rate schedules, as functions of the number of updates already made. Knows nothing of optimizers.

use crate::{Schedule, ScheduleKind};

impl Schedule {
    /// The learning rate of the update that follows `updates` finished ones, in a run of `total` updates.
    ///
    /// [`ScheduleKind::Linear`] is fairseq's `polynomial_decay` with power 1, which RoBERTa used: from 0 to the
    /// peak over the warm-up, then in a straight line to 0. The first update has rate 0, as it has there.
    pub fn learning_rate(&self, peak: f64, updates: u64, total: u64) -> f64 {
        if updates < self.warmup_steps {
            return peak * updates as f64 / self.warmup_steps as f64;
        }
        match self.kind {
            ScheduleKind::Constant => peak,
            ScheduleKind::Linear => {
                let span = total.saturating_sub(self.warmup_steps).max(1) as f64;
                peak * (1.0 - (updates - self.warmup_steps) as f64 / span).max(0.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_is_fairseqs_polynomial_decay() {
        let schedule = Schedule { kind: ScheduleKind::Linear, warmup_steps: 10 };
        let rate = |updates| schedule.learning_rate(6e-4, updates, 110);
        assert_eq!(rate(0), 0.0);
        assert!((rate(5) - 3e-4).abs() < 1e-12);
        assert!((rate(10) - 6e-4).abs() < 1e-12);
        assert!((rate(60) - 3e-4).abs() < 1e-12);
        assert_eq!(rate(110), 0.0);
        assert_eq!(rate(500), 0.0);
    }

    #[test]
    fn without_warm_up_it_starts_at_the_peak() {
        let schedule = Schedule { kind: ScheduleKind::Constant, warmup_steps: 0 };
        assert_eq!(schedule.learning_rate(1e-3, 0, 10), 1e-3);
    }
}
