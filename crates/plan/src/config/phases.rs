//! `[[phase]]`: stretches of a run that override keys of the plan, each with steps, an order of samples and,
//! if it wants, a schedule of its own. Knows which keys may change in the middle of a run, and nothing of
//! what they mean.

use serde::{Deserialize, Serialize};

use super::is_default;
use crate::{Data, Key, Optimizer, OptimizerKind, RunPlan, Schedule, ScheduleKind, Train};

/// A stretch of the run: the plan with the phase's keys in place of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Which phase; the first is 0.
    pub index: usize,
    /// The run's step with which it begins.
    pub first_step: u64,
    /// How many steps it has.
    pub steps: u64,
    /// What holds in it, without phases; `train.steps` is the phase's.
    ///
    /// Ask the run's plan for learning rates, not this one: a phase that says nothing about the schedule goes
    /// on with the run's, which this plan does not know.
    pub plan: RunPlan,
}

/// A step of the run, counted from the start of its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseStep {
    /// Which phase; the first is 0.
    pub phase: usize,
    /// The step in the phase; its first is 0.
    pub step: u64,
}

/// The micro-batches of a step: `first..first + count` of its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepMicroBatches {
    /// Which phase; the first is 0.
    pub phase: usize,
    /// The index of the step's first micro-batch, counted from the start of the phase.
    pub first: u64,
    /// How many micro-batches the step takes.
    pub count: u64,
}

impl Phase {
    /// The root of the draws that belong to the phase's samples: their order ([`crate::Order::new`]) and
    /// their masks.
    ///
    /// Every phase counts epochs and micro-batches from 0, so phases need different keys. That of the first
    /// is the run's root, `Key::root(run.seed)`, as in a run without phases. What is counted by the run's
    /// steps (dropout), or drawn once (the initial weights), needs no key of the phase and hangs on the run's
    /// root.
    pub fn key(&self) -> Key {
        let root = Key::root(self.plan.run.seed);
        match self.index {
            0 => root,
            index => root.named("phase").index(index as u64),
        }
    }
}

impl RunPlan {
    /// The phases of the run, in order; the whole run, if it has no `[[phase]]`. Copies the plan for each.
    ///
    /// ```toml
    /// [[phase]]
    /// train.steps = 900_000
    /// objective.max_len = 128
    /// [[phase]]
    /// train.steps = 100_000
    /// objective.max_len = 512
    /// ```
    pub fn phases(&self) -> Vec<Phase> {
        if self.phase.is_empty() {
            return vec![Phase { index: 0, first_step: 0, steps: self.train.steps, plan: self.clone() }];
        }
        let mut first_step = 0;
        let mut phases = Vec::with_capacity(self.phase.len());
        for (index, overrides) in self.phase.iter().enumerate() {
            let steps = overrides.steps();
            phases.push(Phase { index, first_step, steps, plan: overrides.over(self) });
            first_step += steps;
        }
        phases
    }

    /// The phase that a step of the run belongs to, in time proportional to the number of phases. Steps
    /// beyond the end go on with the last phase.
    pub fn phase_of(&self, step: u64) -> PhaseStep {
        let (mut phase, mut step) = (0, step);
        let but_the_last = self.phase.split_last().map_or(&[][..], |(_, others)| others);
        for overrides in but_the_last {
            if step < overrides.steps() {
                break;
            }
            step -= overrides.steps();
            phase += 1;
        }
        PhaseStep { phase, step }
    }

    /// The micro-batches that a step of the run takes. `first` is also the position in the phase before the
    /// step; at the step after the last it is the position at the end of the run.
    pub fn step_micro_batches(&self, step: u64) -> StepMicroBatches {
        let PhaseStep { phase, step } = self.phase_of(step);
        let train = match self.phase.get(phase) {
            Some(overrides) => overrides.train.over(&self.train),
            None => self.train.clone(),
        };
        StepMicroBatches {
            phase,
            first: train.micro_batches_before(step),
            count: train.micro_batches_at(step),
        }
    }

    /// The learning rate of step `step` of the run (the first is 0).
    ///
    /// The schedule runs over the whole run, over the borders of phases. A phase that overrides a key of
    /// `[schedule]`, or `optimizer.peak_learning_rate`, has a schedule of its own, counted from its own start
    /// over its own steps (NVIDIA's two-phase LAMB).
    pub fn learning_rate(&self, step: u64) -> f64 {
        let at = self.phase_of(step);
        match self.phase.get(at.phase).filter(|overrides| overrides.own_schedule()) {
            Some(overrides) => {
                let peak = overrides.optimizer.over(&self.optimizer).peak_learning_rate;
                overrides.schedule.over(&self.schedule).learning_rate(peak, at.step, overrides.steps())
            }
            None => {
                let peak = self.optimizer.peak_learning_rate;
                self.schedule.learning_rate(peak, step, self.train.steps)
            }
        }
    }

    /// Makes `train.steps` the sum of the phases' steps, if there are phases.
    pub(super) fn add_up(&mut self) {
        if !self.phase.is_empty() {
            self.train.steps =
                self.phase.iter().fold(0, |sum: u64, overrides| sum.saturating_add(overrides.steps()));
        }
    }
}

/// What one `[[phase]]` says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PhaseOverrides {
    #[serde(skip_serializing_if = "is_default")]
    train: TrainOverrides,
    /// Any key: the family knows them.
    #[serde(skip_serializing_if = "is_default")]
    objective: toml::Table,
    #[serde(skip_serializing_if = "is_default")]
    optimizer: OptimizerOverrides,
    #[serde(skip_serializing_if = "is_default")]
    schedule: ScheduleOverrides,
    #[serde(skip_serializing_if = "is_default")]
    data: DataOverrides,
}

impl PhaseOverrides {
    /// How many steps the phase has.
    pub(super) fn steps(&self) -> u64 {
        self.train.steps.unwrap_or(0)
    }

    /// Whether the phase has a schedule of its own.
    pub(super) fn own_schedule(&self) -> bool {
        self.schedule != ScheduleOverrides::default() || self.optimizer.peak_learning_rate.is_some()
    }

    /// The plan with the phase's keys in place of its own.
    pub(super) fn over(&self, plan: &RunPlan) -> RunPlan {
        let mut objective = plan.objective.clone();
        objective.extend(self.objective.clone());
        let mut train = self.train.over(&plan.train);
        train.steps = self.steps();
        RunPlan {
            run: plan.run.clone(),
            data: self.data.over(&plan.data),
            model: plan.model.clone(),
            objective,
            train,
            optimizer: self.optimizer.over(&plan.optimizer),
            schedule: self.schedule.over(&plan.schedule),
            checkpoint: plan.checkpoint.clone(),
            cluster: plan.cluster.clone(),
            guards: plan.guards.clone(),
            evaluation: plan.evaluation.clone(),
            phase: Vec::new(),
        }
    }
}

/// Defines what a phase may say about a section: some of its keys, and none has to be there.
macro_rules! overrides {
    ($name:ident of $section:ident { $($key:ident: $kind:ty),* $(,)? }) => {
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct $name {
            $(#[serde(skip_serializing_if = "is_default")] $key: Option<$kind>,)*
        }

        impl $name {
            fn over(&self, section: &$section) -> $section {
                let mut section = section.clone();
                $(if let Some(value) = self.$key {
                    section.$key = value;
                })*
                section
            }
        }
    };
}

overrides!(TrainOverrides of Train {
    steps: u64,
    batch: u32,
    micro_batch: u32,
    batch_warmup_steps: u64,
    batch_start: u32,
    clip_norm: f64,
    gradient_checkpointing: bool,
});

overrides!(OptimizerOverrides of Optimizer {
    kind: OptimizerKind,
    peak_learning_rate: f64,
    betas: [f64; 2],
    epsilon: f64,
    weight_decay: f64,
    decay_exempts_bias_and_norm: bool,
    bias_correction: bool,
});

overrides!(ScheduleOverrides of Schedule {
    kind: ScheduleKind,
    warmup_steps: u64,
    end_learning_rate: f64,
});

overrides!(DataOverrides of Data {
    variants: u32,
});
