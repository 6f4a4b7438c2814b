//! How many micro-batches the steps of a phase take while the batch grows. No table: the sum over all steps
//! before a step is a closed form, so any step is found at once. Knows nothing of what the micro-batches
//! hold.

use crate::{Numerics, Precision, RunPlan, StepMicroBatches, Train};

/// The micro-batches of all steps of a run, for who needs nothing else of its plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Batches {
    /// What is said of each phase, and of what follows it.
    phases: Vec<Train>,
}

impl Batches {
    /// Those of a plan.
    pub fn new(plan: &RunPlan) -> Self {
        Batches { phases: plan.phases().into_iter().map(|phase| phase.plan.train).collect() }
    }

    /// The same number in every step of a run in one piece.
    pub fn even(micro_batches: u32) -> Self {
        let train = Train {
            steps: 0,
            batch: micro_batches,
            micro_batch: 1,
            batch_warmup_steps: 0,
            batch_start: 0,
            numerics: Numerics::Exact,
            precision: Precision::Fp32,
            threads: 1,
            clip_norm: 0.0,
            gradient_checkpointing: false,
        };
        Batches { phases: vec![train] }
    }

    /// The micro-batches that a step of the run takes; see [`RunPlan::step_micro_batches`].
    pub fn of(&self, step: u64) -> StepMicroBatches {
        let (mut phase, mut step) = (0, step);
        while phase + 1 < self.phases.len() && step >= self.phases[phase].steps {
            step -= self.phases[phase].steps;
            phase += 1;
        }
        let train = &self.phases[phase];
        StepMicroBatches {
            phase,
            first: train.micro_batches_before(step),
            count: train.micro_batches_at(step),
        }
    }
}

impl Train {
    /// Micro-batches of step `step`, counted from the start of the phase.
    ///
    /// Over `batch_warmup_steps` = N steps the batch grows in a straight line from `batch_start` to `batch`
    /// sequences: step s has `batch_start + (batch - batch_start) * s / N` of them, rounded down to whole
    /// micro-batches, but one micro-batch at least.
    pub fn micro_batches_at(&self, step: u64) -> u64 {
        if step >= self.batch_warmup_steps {
            return self.micro_batches();
        }
        let (slope, start, divisor) = self.line();
        ((slope * u128::from(step) + start) / divisor).max(1) as u64
    }

    /// Micro-batches of all steps before `step`, counted from the start of the phase: the index of its first
    /// one. Costs O(log batch) whatever the step.
    pub fn micro_batches_before(&self, step: u64) -> u64 {
        let growing = step.min(self.batch_warmup_steps);
        let full = (step - growing) * self.micro_batches();
        if growing == 0 {
            return full;
        }
        let (slope, start, divisor) = self.line();
        // The steps whose batch is smaller than one micro-batch stand at the beginning; they take one all the
        // same.
        let lifted = match divisor.saturating_sub(start) {
            0 => 0,
            missing => missing.div_ceil(slope).min(u128::from(growing)),
        };
        (floor_sum(u128::from(growing), divisor, slope, start) + lifted) as u64 + full
    }

    /// Micro-batches of a step at the full batch.
    pub(crate) fn micro_batches(&self) -> u64 {
        u64::from(self.batch / self.micro_batch)
    }

    /// The growing batch in micro-batches as `(slope * step + start) / divisor`, in whole numbers.
    fn line(&self) -> (u128, u128, u128) {
        let steps = u128::from(self.batch_warmup_steps);
        let slope = u128::from(self.batch - self.batch_start);
        (slope, u128::from(self.batch_start) * steps, u128::from(self.micro_batch) * steps)
    }
}

/// The sum of `(slope * i + start) / divisor`, rounded down each, over `i` in `0..count`: lattice points
/// under a line, counted with Euclid's algorithm (Graham, Knuth & Patashnik, Concrete Mathematics, §3.5).
///
/// The arguments of a plan that was checked are below 2^64, and no product here exceeds 2^128.
fn floor_sum(mut count: u128, mut divisor: u128, mut slope: u128, mut start: u128) -> u128 {
    let mut sum = 0;
    while count > 0 {
        sum += count * (count - 1) / 2 * (slope / divisor) + count * (start / divisor);
        (slope, start) = (slope % divisor, start % divisor);
        // The points that are left lie in rows, as many as the line reaches: count along the other axis.
        let top = slope * count + start;
        (count, start) = (top / divisor, top % divisor);
        (divisor, slope) = (slope, divisor);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn train(batch: u32, micro_batch: u32, batch_warmup_steps: u64, batch_start: u32) -> Train {
        Train {
            steps: 0,
            batch,
            micro_batch,
            batch_warmup_steps,
            batch_start,
            numerics: Numerics::Exact,
            precision: Precision::Fp32,
            threads: 1,
            clip_norm: 0.0,
            gradient_checkpointing: false,
        }
    }

    proptest! {
        #[test]
        fn floor_sum_is_the_naive_sum(
            count in 0u128..200, divisor in 1u128..1000, slope in 0u128..3000, start in 0u128..3000,
        ) {
            let naive: u128 = (0..count).map(|i| (slope * i + start) / divisor).sum();
            prop_assert_eq!(floor_sum(count, divisor, slope, start), naive);
        }

        #[test]
        fn steps_follow_one_another(
            micro_batch in 1u32..20, full in 1u32..40, warmup in 0u64..60, start in 0.0f64..1.0,
        ) {
            let batch = micro_batch * full;
            let start = 1 + (start * f64::from(batch - 1)) as u32;
            let train = train(batch, micro_batch, warmup, start);
            let (mut before, mut last) = (0, 1);
            for step in 0..warmup + 20 {
                let count = train.micro_batches_at(step);
                prop_assert_eq!(train.micro_batches_before(step), before);
                prop_assert!(last <= count && count <= u64::from(full), "{} after {}", count, last);
                prop_assert!(step < warmup || count == u64::from(full));
                // The definition, in sequences.
                if step < warmup {
                    let sequences = f64::from(start) + f64::from(batch - start) * step as f64 / warmup as f64;
                    prop_assert!((count * u64::from(micro_batch)) as f64 <= sequences + 1e-9 || count == 1);
                    prop_assert!(((count + 1) * u64::from(micro_batch)) as f64 > sequences + 1e-9);
                }
                (before, last) = (before + count, count);
            }
        }
    }

    #[test]
    fn a_ramp_by_hand() {
        // From 8 to 64 sequences over 7 steps: 8, 16, … 56; in micro-batches of 16, rounded down, one at
        // least.
        let train = train(64, 16, 7, 8);
        let counts: Vec<u64> = (0..9).map(|step| train.micro_batches_at(step)).collect();
        assert_eq!(counts, [1, 1, 1, 2, 2, 3, 3, 4, 4]);
        assert_eq!(train.micro_batches_before(9), 21);
    }

    #[test]
    fn the_largest_plan_stays_within_its_words() {
        let most = u32::MAX;
        let train = train(most, 1, u64::from(most), 1);
        // The mean of a line from 1 to B is (B + 1) / 2; its steps are rounded down by less than one each.
        let before = train.micro_batches_before(u64::from(most));
        let mean = before as f64 / f64::from(most);
        assert!((mean - f64::from(most) / 2.0).abs() < 1.0, "{mean}");
        assert_eq!(train.micro_batches_at(u64::from(most) - 1), u64::from(most) - 1);
    }
}
