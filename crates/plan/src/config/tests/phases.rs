//! Runs in phases: their plans, steps, micro-batches and learning rates.

use super::{phased, read};
use crate::{Key, OptimizerKind, Phase, PhaseStep, RunPlan, ScheduleKind, StepMicroBatches, Train};
use proptest::prelude::*;

fn two() -> RunPlan {
    read(&phased(), &[]).unwrap()
}

#[test]
fn a_run_without_phases_is_one_phase() {
    let plan = read(super::TEXT, &[]).unwrap();
    assert_eq!(plan.phases(), [Phase { index: 0, first_step: 0, steps: 100, plan: plan.clone() }]);
    assert_eq!(plan.phase_of(250), PhaseStep { phase: 0, step: 250 });
    assert_eq!(plan.step_micro_batches(7), StepMicroBatches { phase: 0, first: 56, count: 8 });
}

#[test]
fn phases_override_keys_of_the_plan() {
    let plan = two();
    assert_eq!(plan.train.steps, 110);
    let phases = plan.phases();
    let seen: Vec<_> = phases.iter().map(|phase| (phase.index, phase.first_step, phase.steps)).collect();
    assert_eq!(seen, [(0, 0, 90), (1, 90, 20)]);
    let [first, second] = [&phases[0].plan, &phases[1].plan];
    assert_eq!((first.train.steps, first.train.batch, first.micro_batches()), (90, 64, 8));
    assert_eq!((second.train.steps, second.train.batch, second.micro_batches()), (20, 32, 8));
    assert_eq!(second.order_shape().micro_batch, 4);
    assert_eq!(second.objective["max_len"].as_integer(), Some(512));
    assert_eq!(second.objective["mask_rate"].as_float(), Some(0.15));
    assert_eq!(second.phases().len(), 1);
    assert_eq!(read(&second.to_toml(), &[]).unwrap(), *second);
}

#[test]
fn every_key_that_a_phase_may_override_arrives() {
    let text = phased()
        + r#"
[[phase]]
data.variants = 7
objective.new = "key"
[phase.train]
steps = 5
batch = 16
micro_batch = 2
batch_warmup_steps = 3
batch_start = 4
clip_norm = 0.5
[phase.optimizer]
kind = "lamb"
peak_learning_rate = 4e-3
betas = [0.8, 0.9]
epsilon = 1e-8
weight_decay = 0.1
decay_exempts_bias_and_norm = true
bias_correction = true
[phase.schedule]
kind = "linear-from-start"
warmup_steps = 2
end_learning_rate = 1e-5
"#;
    let plan = read(&text, &[]).unwrap();
    let last = plan.phases()[2].plan.clone();
    let Train { steps, batch, micro_batch, batch_warmup_steps, batch_start, clip_norm, .. } = last.train;
    assert_eq!(
        (steps, batch, micro_batch, batch_warmup_steps, batch_start, clip_norm),
        (5, 16, 2, 3, 4, 0.5)
    );
    let rule = &last.optimizer;
    assert_eq!(rule.kind, OptimizerKind::Lamb);
    assert_eq!((rule.peak_learning_rate, rule.betas, rule.epsilon), (4e-3, [0.8, 0.9], 1e-8));
    assert_eq!(
        (rule.weight_decay, rule.decay_exempts_bias_and_norm, rule.bias_correction),
        (0.1, true, true)
    );
    assert_eq!(last.schedule.kind, ScheduleKind::LinearFromStart);
    assert_eq!((last.schedule.warmup_steps, last.schedule.end_learning_rate), (2, 1e-5));
    assert_eq!((last.data.variants, last.objective["new"].as_str()), (7, Some("key")));
    assert_eq!(read(&plan.to_toml(), &[]).unwrap(), plan);
}

#[test]
fn a_plan_with_phases_survives_its_own_text() {
    let plan = two();
    let text = plan.to_toml();
    assert!(!text.contains("steps = 110"), "{text}");
    assert_eq!(read(&text, &[]).unwrap(), plan);
    let shorter =
        read(&text, &["phase.0.train.steps=3", "phase.1.objective.max_len=64", "train.batch=16"]).unwrap();
    assert_eq!(shorter.train.steps, 23);
    let phases = shorter.phases();
    assert_eq!((phases[0].steps, phases[0].plan.train.batch, phases[1].plan.train.batch), (3, 16, 32));
    assert_eq!(phases[1].plan.objective["max_len"].as_integer(), Some(64));
}

#[test]
fn the_recipe_hash_covers_the_phases() {
    let hash = |set: &[&str]| read(&phased(), set).unwrap().recipe_hash();
    assert_eq!(hash(&[]), hash(&["run.name=other"]));
    for pair in ["phase.0.train.steps=91", "phase.1.objective.max_len=256", "phase.1.schedule.warmup_steps=1"]
    {
        assert_ne!(hash(&[]), hash(&[pair]), "{pair}");
    }
}

#[test]
fn only_the_first_phase_draws_from_the_runs_root() {
    let phases = two().phases();
    assert_eq!(phases[0].key(), Key::root(3));
    assert_ne!(phases[1].key(), Key::root(3));
    assert_ne!(phases[1].key(), Phase { index: 2, ..phases[1].clone() }.key());
}

#[test]
fn the_schedule_runs_over_the_borders_of_phases() {
    let plan = two();
    for step in [0, 5, 10, 89, 90, 109, 110] {
        assert_eq!(plan.learning_rate(step), plan.schedule.learning_rate(6e-4, step, 110), "{step}");
    }
}

#[test]
fn a_phase_may_have_a_schedule_of_its_own() {
    // NVIDIA's two phases of LAMB for BERT-large, at a hundredth of their steps.
    let plan = read(
        &phased(),
        &[
            "schedule.kind=linear-from-start",
            "phase.0.optimizer.peak_learning_rate=6e-3",
            "phase.0.schedule.warmup_steps=20",
            "phase.1.optimizer.peak_learning_rate=4e-3",
            "phase.1.schedule.warmup_steps=2",
        ],
    )
    .unwrap();
    let near = |step, expected: f64| {
        let found = plan.learning_rate(step);
        assert!((found - expected).abs() < 1e-15, "step {step}: {found}, not {expected}");
    };
    near(0, 0.0);
    near(10, 3e-3);
    near(20, 6e-3 * (1.0 - 20.0 / 90.0));
    near(89, 6e-3 / 90.0);
    near(90, 0.0);
    near(91, 2e-3);
    near(100, 2e-3);
    near(109, 2e-4);
    // One key suffices, of either section, and it does not matter that it says what the base says.
    for pair in ["phase.1.optimizer.peak_learning_rate=6e-4", "phase.1.schedule.warmup_steps=10"] {
        let plan = read(&phased(), &[pair]).unwrap();
        assert_eq!(plan.learning_rate(90), 0.0, "{pair}");
        assert_eq!(plan.learning_rate(50), plan.schedule.learning_rate(6e-4, 50, 110), "{pair}");
    }
    let other = read(&phased(), &["phase.1.optimizer.weight_decay=0.1"]).unwrap();
    assert_eq!(other.learning_rate(90), two().learning_rate(90));
}

/// Phases as numbers: steps, micro-batch, micro-batches in a full batch, and how the batch grows.
type Shape = (u64, u32, u32, Option<(u64, f64)>);

fn text_of(shapes: &[Shape]) -> String {
    let mut text =
        phased().split("[[phase]]").next().unwrap().replace("warmup_steps = 10", "warmup_steps = 0");
    for &(steps, micro_batch, full, growth) in shapes {
        let batch = micro_batch * full;
        text +=
            &format!("[[phase]]\ntrain = {{ steps = {steps}, batch = {batch}, micro_batch = {micro_batch}");
        if let Some((warmup, start)) = growth {
            let start = 1 + (start * f64::from(batch - 1)) as u32;
            text += &format!(", batch_warmup_steps = {}, batch_start = {start}", 1 + warmup % steps);
        }
        text += " }\n";
    }
    text
}

fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    let growth = prop::option::of((0u64..40, 0.0f64..1.0));
    prop::collection::vec((1u64..40, 1u32..6, 1u32..12, growth), 1..5)
}

proptest! {
    #[test]
    fn the_micro_batches_of_a_phase_follow_one_another(shapes in shapes()) {
        let plan = read(&text_of(&shapes), &[]).unwrap();
        prop_assert_eq!(plan.train.steps, shapes.iter().map(|shape| shape.0).sum::<u64>());
        let mut step = 0;
        for (phase, &(steps, micro_batch, full, _)) in shapes.iter().enumerate() {
            let train = plan.phases()[phase].plan.train.clone();
            let mut next = 0;
            for within in 0..steps {
                prop_assert_eq!(plan.phase_of(step), PhaseStep { phase, step: within });
                let taken = plan.step_micro_batches(step);
                prop_assert_eq!((taken.phase, taken.first), (phase, next));
                prop_assert_eq!(taken.count, naive(&train, within));
                prop_assert!((1..=u64::from(full)).contains(&taken.count));
                next += taken.count;
                step += 1;
            }
            prop_assert_eq!(train.micro_batches_before(steps), next);
            prop_assert_eq!(train.micro_batch, micro_batch);
        }
        // The position at the end of the run.
        let end = plan.step_micro_batches(step);
        let last = plan.step_micro_batches(step - 1);
        prop_assert_eq!((end.phase, end.first), (shapes.len() - 1, last.first + last.count));
    }

    #[test]
    fn phases_survive_their_own_text(shapes in shapes()) {
        let plan = read(&text_of(&shapes), &[]).unwrap();
        let again = read(&plan.to_toml(), &[]).unwrap();
        prop_assert_eq!(again.recipe_hash(), plan.recipe_hash());
        prop_assert_eq!(again, plan);
    }
}

/// The growth of the batch as the configuration describes it.
fn naive(train: &Train, step: u64) -> u64 {
    let (full, start) = (u64::from(train.batch), u64::from(train.batch_start));
    let sequences = match step < train.batch_warmup_steps {
        true => start + (full - start) * step / train.batch_warmup_steps,
        false => full,
    };
    (sequences / u64::from(train.micro_batch)).max(1)
}
