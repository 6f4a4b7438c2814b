//! What no run can be: checks of a plan as a whole and of each of its phases. Knows the meaning of every key
//! but those of `[model]` and `[objective]`.

use super::read::Said;
use super::{Cluster, Data, Optimizer, OptimizerKind, RunPlan, Schedule, ScheduleKind, Spike, Train};
use crate::ConfigError;

/// A run has at most so many steps, so that with 32 bits for the batch no count of micro-batches exceeds 64
/// bits.
const MOST_STEPS: u64 = u32::MAX as u64;

type Checked = Result<(), ConfigError>;

/// Whatever is wrong first.
pub(super) fn check(plan: &RunPlan, said: &Said) -> Checked {
    let whole = Scope { said, phase: None };
    once(plan, &whole)?;
    if !plan.phase.is_empty() {
        left_to_the_phases(said)?;
    }
    for (index, overrides) in plan.phase.iter().enumerate() {
        steps(overrides.steps(), &Scope { said, phase: Some(index) })?;
    }
    steps(plan.train.steps, &whole)?;
    part(plan, &whole)?;
    schedule(plan, &whole)?;
    for (index, overrides) in plan.phase.iter().enumerate() {
        let (resolved, scope) = (overrides.over(plan), Scope { said, phase: Some(index) });
        part(&resolved, &scope)?;
        if overrides.own_schedule() {
            schedule(&resolved, &scope)?;
        }
    }
    Ok(())
}

/// Whose keys are checked: the run's, or those of a phase, which may have been said by the phase or by the
/// base.
struct Scope<'a> {
    said: &'a Said<'a>,
    phase: Option<usize>,
}

impl Scope<'_> {
    fn says(&self, key: &str) -> bool {
        self.said.says(key) || self.own(key).is_some_and(|own| self.said.says(&own))
    }

    /// The key's path in the phase.
    fn own(&self, key: &str) -> Option<String> {
        self.phase.map(|phase| format!("phase.{phase}.{key}"))
    }

    /// Refuses the value of a key.
    fn no(&self, key: &str, reason: impl Into<String>) -> Checked {
        let reason = reason.into();
        Err(match (self.own(key), self.phase) {
            (Some(own), Some(phase)) if self.said.says(key) && !self.said.says(&own) => {
                self.said.invalid(key, format!("{reason} (in phase {phase})"))
            }
            (Some(own), _) => self.said.invalid(&own, reason),
            (None, _) => self.said.invalid(key, reason),
        })
    }

    /// What the steps of this place are steps of.
    fn name(&self) -> &'static str {
        if self.phase.is_some() { "phase" } else { "run" }
    }
}

/// What no phase can change.
fn once(plan: &RunPlan, scope: &Scope) -> Checked {
    let Data { lanes, window, .. } = plan.data;
    let name_ok = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if plan.run.name.is_empty() || !plan.run.name.chars().all(name_ok) {
        return scope.no("run.name", "must be made of letters, digits, '-', '_' and '.'");
    }
    if !lanes.is_power_of_two() || lanes > 65_536 {
        return scope.no("data.lanes", format!("is {lanes}; it must be a power of two up to 65536"));
    }
    let evaluation = plan.evaluation.as_ref();
    for (key, value) in [
        ("data.window", u64::from(window)),
        ("train.threads", u64::from(plan.train.threads)),
        ("checkpoint.every", plan.checkpoint.every),
        ("checkpoint.keep", u64::from(plan.checkpoint.keep)),
        ("evaluation.every", evaluation.map_or(1, |evaluation| evaluation.every)),
        ("evaluation.sequences", evaluation.map_or(1, |evaluation| evaluation.sequences)),
    ] {
        if value == 0 {
            return scope.no(key, "must be at least 1");
        }
    }
    if !(plan.data.cache_gb > 0.0 && plan.data.cache_gb.is_finite()) {
        return scope.no("data.cache_gb", format!("is {}; it must be above 0", plan.data.cache_gb));
    }
    if plan.checkpoint.keep_best > 0 {
        best(plan, scope)?;
    }
    cluster(plan, scope)
}

/// A checkpoint can only be among the best if held-out samples were looked at with its weights.
fn best(plan: &RunPlan, scope: &Scope) -> Checked {
    let Some(evaluation) = &plan.evaluation else {
        return scope
            .no("checkpoint.keep_best", "needs [evaluation]: the best are those of the lowest loss there");
    };
    let (checkpoints, evaluations) = (plan.checkpoint.every, evaluation.every);
    if !checkpoints.is_multiple_of(evaluations) && !evaluations.is_multiple_of(checkpoints) {
        let reason = format!(
            "needs evaluations at the steps of checkpoints: make evaluation.every = {evaluations} a divisor or a \
             multiple of checkpoint.every = {checkpoints}"
        );
        return scope.no("checkpoint.keep_best", reason);
    }
    Ok(())
}

fn cluster(plan: &RunPlan, scope: &Scope) -> Checked {
    let Cluster { min_workers, heartbeat_ms, dead_after_ms } = plan.cluster;
    let lanes = plan.data.lanes;
    if min_workers == 0 || min_workers > lanes {
        let reason = format!("is {min_workers}; it must lie between 1 and data.lanes = {lanes}");
        return scope.no("cluster.min_workers", reason);
    }
    if heartbeat_ms == 0 {
        return scope.no("cluster.heartbeat_ms", "must be at least 1");
    }
    if let Some(dead_after_ms) = dead_after_ms.filter(|&limit| limit < 2 * heartbeat_ms) {
        let reason = format!("is {dead_after_ms}; it must be at least twice cluster.heartbeat_ms");
        return scope.no("cluster.dead_after_ms", reason);
    }
    guards(plan, scope)
}

fn guards(plan: &RunPlan, scope: &Scope) -> Checked {
    let Some(Spike { deviations, window, skip }) = plan.guards.spike else { return Ok(()) };
    if !(deviations.is_finite() && deviations > 0.0) {
        return scope.no("guards.spike.deviations", format!("is {deviations}; it must be above 0"));
    }
    if !(2..=Spike::LONGEST_WINDOW).contains(&window) {
        let reason = format!("is {window}; it must lie between 2 and {}", Spike::LONGEST_WINDOW);
        return scope.no("guards.spike.window", reason);
    }
    if skip == 0 {
        return scope.no("guards.spike.skip", "must be at least 1");
    }
    Ok(())
}

/// Keys that count the steps of a phase mean nothing beside the phases.
fn left_to_the_phases(said: &Said) -> Checked {
    let steps = "belongs in the phases: every [[phase]] says its own train.steps, and the run is their sum";
    let growth = "belongs in the [[phase]] whose batch grows";
    for (key, reason) in
        [("train.steps", steps), ("train.batch_warmup_steps", growth), ("train.batch_start", growth)]
    {
        if said.says(key) {
            return Err(said.invalid(key, reason.to_owned()));
        }
    }
    Ok(())
}

fn steps(steps: u64, scope: &Scope) -> Checked {
    match steps {
        0 if !scope.says("train.steps") => {
            scope.no("train.steps", format!("is missing: it is the number of steps of the {}", scope.name()))
        }
        0 => scope.no("train.steps", "must be at least 1"),
        1..=MOST_STEPS => Ok(()),
        _ => scope.no("train.steps", format!("is {steps}; a run has at most {MOST_STEPS} steps")),
    }
}

/// What phases may change, but for the schedule.
fn part(plan: &RunPlan, scope: &Scope) -> Checked {
    let Train { batch, micro_batch, clip_norm, .. } = plan.train;
    if plan.data.variants == 0 {
        return scope.no("data.variants", "must be at least 1");
    }
    if let Some((name, weight)) = plan.data.weights.iter().find(|(_, weight)| !(0.0..=50.0).contains(*weight))
    {
        let reason = format!("is {weight}; it says how often an epoch takes a document: between 0 and 50");
        return scope.no(&format!("data.weights.{name}"), reason);
    }
    if micro_batch == 0 || batch == 0 || batch % micro_batch != 0 {
        let reason = format!("is {batch}; it must be a multiple of train.micro_batch = {micro_batch}");
        return scope.no("train.batch", reason);
    }
    if !(clip_norm >= 0.0 && clip_norm.is_finite()) {
        return scope.no("train.clip_norm", "must be 0 (off) or a positive number");
    }
    growth(&plan.train, scope)?;
    optimizer(&plan.optimizer, scope)
}

fn growth(train: &Train, scope: &Scope) -> Checked {
    let Train { steps, batch, batch_warmup_steps, batch_start, .. } = *train;
    if batch_warmup_steps == 0 && batch_start > 0 {
        let reason = format!("is {batch_start}, but nothing grows: give train.batch_warmup_steps as well");
        return scope.no("train.batch_start", reason);
    }
    if batch_warmup_steps > steps {
        let name = scope.name();
        let reason = format!("is {batch_warmup_steps}, longer than the {name} (train.steps = {steps})");
        return scope.no("train.batch_warmup_steps", reason);
    }
    if batch_warmup_steps > 0 && !(1..=batch).contains(&batch_start) {
        let reason = if scope.says("train.batch_start") {
            format!("is {batch_start}; it must lie between 1 and train.batch = {batch}")
        } else {
            "is missing: it is the number of sequences in the first step".to_owned()
        };
        return scope.no("train.batch_start", reason);
    }
    Ok(())
}

fn optimizer(optimizer: &Optimizer, scope: &Scope) -> Checked {
    let Optimizer { kind, peak_learning_rate, betas, epsilon, weight_decay, .. } = *optimizer;
    if !(peak_learning_rate > 0.0 && peak_learning_rate.is_finite()) {
        return scope.no("optimizer.peak_learning_rate", "must be a positive number");
    }
    if !betas.iter().all(|beta| (0.0..1.0).contains(beta)) {
        return scope.no("optimizer.betas", "must both be at least 0 and below 1");
    }
    if !(epsilon > 0.0 && weight_decay >= 0.0) {
        let key = if epsilon > 0.0 { "optimizer.weight_decay" } else { "optimizer.epsilon" };
        return scope.no(key, "must not be negative, and epsilon not 0");
    }
    let fixed = match kind {
        OptimizerKind::Lamb => return Ok(()),
        OptimizerKind::FairseqAdam | OptimizerKind::AdamW => "always corrects",
        OptimizerKind::BertAdam => "never corrects",
    };
    // Said with its default it would still be a claim about the optimizer, and for two of the kinds a false
    // one.
    if scope.says("optimizer.bias_correction") {
        let reason = format!("is a choice of lamb only: this kind {fixed}; leave the key out");
        return scope.no("optimizer.bias_correction", reason);
    }
    Ok(())
}

fn schedule(plan: &RunPlan, scope: &Scope) -> Checked {
    let Schedule { kind, warmup_steps, end_learning_rate: end } = plan.schedule;
    let (steps, peak) = (plan.train.steps, plan.optimizer.peak_learning_rate);
    if warmup_steps > steps {
        let name = scope.name();
        let reason = format!("is {warmup_steps}, longer than the {name} (train.steps = {steps})");
        return scope.no("schedule.warmup_steps", reason);
    }
    if !(0.0..peak).contains(&end) {
        let reason =
            format!("is {end}; it must be at least 0 and below optimizer.peak_learning_rate = {peak}");
        return scope.no("schedule.end_learning_rate", reason);
    }
    if kind == ScheduleKind::Constant && end > 0.0 {
        let reason = "means nothing to a constant schedule; leave the key out, or take a linear kind";
        return scope.no("schedule.end_learning_rate", reason);
    }
    Ok(())
}
