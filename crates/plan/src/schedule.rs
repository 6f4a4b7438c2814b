//! Learning-rate schedules, as functions of the number of updates already made. Knows nothing of optimizers.

use crate::{Schedule, ScheduleKind};

impl Schedule {
    /// The learning rate of the update that follows `updates` finished ones, in a run of `total` updates.
    ///
    /// With t updates done, T in total, w of warm-up, and `line(x)` = (peak - end) * (1 - x) + end:
    ///
    /// | kind | t < w | then |
    /// |---|---|---|
    /// | [`ScheduleKind::Linear`] | peak * t/w | `line((t - w) / (T - w))` |
    /// | [`ScheduleKind::LinearFromStart`] | peak * t/w | `line(t / T)` |
    /// | [`ScheduleKind::LinearTimesWarmup`] | `line(t / T)` * t/w | `line(t / T)` |
    /// | [`ScheduleKind::Constant`] | peak * t/w | peak |
    ///
    /// They are fairseq's `polynomial_decay_schedule.py` with power 1, which RoBERTa used,
    /// `optimization.py` of google-research/bert and /albert, and `model/optimization.py` of
    /// google-research/electra. The latter two stand on TensorFlow's `tf.train.polynomial_decay`, with power
    /// 1 and an end of 0. After T all linear kinds stay at the end, and the first update of a run with
    /// warm-up has rate 0, as they have there.
    pub fn learning_rate(&self, peak: f64, updates: u64, total: u64) -> f64 {
        let from_start = self.line(peak, updates as f64 / total as f64);
        if updates < self.warmup_steps {
            let (done, of) = (updates as f64, self.warmup_steps as f64);
            return match self.kind {
                ScheduleKind::LinearTimesWarmup => from_start * (done / of),
                _ => peak * done / of,
            };
        }
        match self.kind {
            ScheduleKind::Constant => peak,
            ScheduleKind::Linear => {
                let span = total.saturating_sub(self.warmup_steps).max(1) as f64;
                self.line(peak, (updates - self.warmup_steps) as f64 / span)
            }
            ScheduleKind::LinearFromStart | ScheduleKind::LinearTimesWarmup => from_start,
        }
    }

    /// The straight line from the peak to the end, after the fraction `done` of it.
    fn line(&self, peak: f64, done: f64) -> f64 {
        (peak - self.end_learning_rate) * (1.0 - done).max(0.0) + self.end_learning_rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates at these numbers of finished updates, for a peak of 1e-3, 100 updates of warm-up and 1000 in
    /// total.
    const UPDATES: [u64; 10] = [0, 1, 50, 99, 100, 101, 550, 999, 1000, 1500];

    fn agrees(kind: ScheduleKind, end_learning_rate: f64, expected: [f64; 10]) {
        let schedule = Schedule { kind, warmup_steps: 100, end_learning_rate };
        for (updates, expected) in UPDATES.into_iter().zip(expected) {
            let found = schedule.learning_rate(1e-3, updates, 1000);
            assert!((found - expected).abs() <= 1e-15, "{kind:?} to {end_learning_rate}, {updates}: {found}");
        }
    }

    #[test]
    fn linear_is_fairseqs_polynomial_decay() {
        let middle = 1e-3 * (1.0 - 1.0 / 900.0);
        let last = 1e-3 / 900.0;
        agrees(ScheduleKind::Linear, 0.0, [0.0, 1e-5, 5e-4, 9.9e-4, 1e-3, middle, 5e-4, last, 0.0, 0.0]);
        agrees(
            ScheduleKind::Linear,
            1e-4,
            [0.0, 1e-5, 5e-4, 9.9e-4, 1e-3, 9.99e-4, 5.5e-4, 1.01e-4, 1e-4, 1e-4],
        );
    }

    #[test]
    fn linear_from_start_is_the_original_berts() {
        agrees(
            ScheduleKind::LinearFromStart,
            0.0,
            [0.0, 1e-5, 5e-4, 9.9e-4, 9e-4, 8.99e-4, 4.5e-4, 1e-6, 0.0, 0.0],
        );
        agrees(
            ScheduleKind::LinearFromStart,
            1e-4,
            [0.0, 1e-5, 5e-4, 9.9e-4, 9.1e-4, 9.091e-4, 5.05e-4, 1.009e-4, 1e-4, 1e-4],
        );
    }

    #[test]
    fn linear_times_warmup_is_electras() {
        agrees(
            ScheduleKind::LinearTimesWarmup,
            0.0,
            [0.0, 9.99e-6, 4.75e-4, 8.9199e-4, 9e-4, 8.99e-4, 4.5e-4, 1e-6, 0.0, 0.0],
        );
        agrees(
            ScheduleKind::LinearTimesWarmup,
            1e-4,
            [0.0, 9.991e-6, 4.775e-4, 9.01791e-4, 9.1e-4, 9.091e-4, 5.05e-4, 1.009e-4, 1e-4, 1e-4],
        );
    }

    #[test]
    fn nvidias_warm_up_ends_far_below_the_peak() {
        // 28.43 % of the first phase's 7038 steps, as the scripts of DeepLearningExamples have it.
        let kind = ScheduleKind::LinearFromStart;
        let schedule = Schedule { kind, warmup_steps: 2000, end_learning_rate: 0.0 };
        let share = schedule.learning_rate(6e-3, 2000, 7038) / 6e-3;
        assert!((share - 0.7158).abs() < 1e-4, "{share}");
    }

    #[test]
    fn without_warm_up_it_starts_at_the_peak() {
        for kind in [
            ScheduleKind::Constant,
            ScheduleKind::Linear,
            ScheduleKind::LinearFromStart,
            ScheduleKind::LinearTimesWarmup,
        ] {
            let schedule = Schedule { kind, warmup_steps: 0, end_learning_rate: 0.0 };
            assert_eq!(schedule.learning_rate(1e-3, 0, 10), 1e-3, "{kind:?}");
        }
        let constant = Schedule { kind: ScheduleKind::Constant, warmup_steps: 4, end_learning_rate: 0.0 };
        assert_eq!(constant.learning_rate(1e-3, 2, 10), 5e-4);
        assert_eq!(constant.learning_rate(1e-3, 500, 10), 1e-3);
    }
}
