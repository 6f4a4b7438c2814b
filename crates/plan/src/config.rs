//! Configuration text to [`RunPlan`]: the sections and their keys. A plan that exists is valid; it does not
//! know where its text came from, and it leaves `[model]` and `[objective]` to the family that they belong
//! to.

mod check;
mod overrides;
mod phases;
mod read;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::{Key, OrderShape};
use phases::PhaseOverrides;
pub use phases::{Phase, PhaseStep, StepMicroBatches};

/// Everything that a run is. Made by [`RunPlan::parse`] only.
///
/// Keys that came after the first recipes are left out of the plan's text while they have their default, so
/// that a recipe that does not use them keeps its hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunPlan {
    /// Name, place and seed.
    pub run: Run,
    /// Where the samples come from and in which order.
    pub data: Data,
    /// The network; the family reads its settings.
    pub model: Model,
    /// The training objective; the family reads it.
    #[serde(default)]
    pub objective: toml::Table,
    /// Batch, length of the run, numerics.
    pub train: Train,
    /// The update rule.
    pub optimizer: Optimizer,
    /// The learning rate over time.
    #[serde(default)]
    pub schedule: Schedule,
    /// When checkpoints are made and which are kept.
    #[serde(default)]
    pub checkpoint: Checkpointing,
    /// How members of the cluster watch each other.
    #[serde(default)]
    pub cluster: Cluster,
    /// What is watched while training.
    #[serde(default, skip_serializing_if = "is_default")]
    pub guards: Guards,
    /// What is measured while training; without the section, nothing is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub evaluation: Option<Evaluation>,
    /// What each `[[phase]]` does differently; empty for a run in one piece. [`RunPlan::phases`] resolves it.
    #[serde(default, skip_serializing_if = "is_default")]
    phase: Vec<PhaseOverrides>,
}

/// `[run]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Names the run; its default place is `./runs/<name>`.
    pub name: String,
    /// Where the run's state is kept: a path or URL.
    #[serde(default)]
    pub store: Option<String>,
    /// The root of all randomness.
    #[serde(default)]
    pub seed: u64,
    /// Go on although the storage does not keep conditions: nothing there then stops a second coordinator.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unfenced: bool,
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The prepared dataset: a path or URL.
    pub dataset: String,
    /// Other places of the same dataset, asked in this order for what the first one has lost or damaged.
    #[serde(default, skip_serializing_if = "is_default")]
    pub replicas: Vec<String>,
    /// A folder on every worker's machine that keeps what was read of a dataset on other machines.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cache: Option<String>,
    /// How large it may become, in GB (10^9 bytes).
    #[serde(default = "defaults::cache_gb", skip_serializing_if = "defaults::is_cache_gb")]
    pub cache_gb: f64,
    /// The hash of the tokenizer that the run is for; a dataset with another one is refused.
    #[serde(default)]
    pub tokenizer: Option<String>,
    /// C: a power of two, at least the largest number of workers.
    #[serde(default = "defaults::lanes")]
    pub lanes: u32,
    /// W: blocks of a lane that are shuffled together.
    #[serde(default = "defaults::window")]
    pub window: u32,
    /// Ways of packing that the epochs cycle through (BERT's `dupe_factor`).
    #[serde(default = "defaults::one")]
    pub variants: u32,
    /// How often an epoch takes the documents of a source: 2 for twice, 0.5 for each second one (which ones, goes round
    /// with the variants), 0 for none. Sources that are not named are taken as the dataset says, mostly once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weights: BTreeMap<String, f64>,
}

/// `[model]`: the family's name and where its weights come from; all other keys are the family's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Which of the families.
    pub family: String,
    /// The weights to start from, a path or URL; without it they are drawn from the seed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub init_from: Option<String>,
    /// What the family reads.
    #[serde(flatten)]
    pub settings: toml::Table,
}

/// `[train]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Optimizer steps in the run. Where there are phases, each says its own, and this is their sum.
    #[serde(default, skip_serializing_if = "is_default")]
    pub steps: u64,
    /// Sequences in a step, over all workers.
    pub batch: u32,
    /// Sequences in a micro-batch: the unit of work and of numerics.
    pub micro_batch: u32,
    /// Steps over which the batch grows from `batch_start` to `batch`; 0 for a batch that is full from the
    /// start.
    #[serde(default, skip_serializing_if = "is_default")]
    pub batch_warmup_steps: u64,
    /// Sequences in the first step, if the batch grows; otherwise 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub batch_start: u32,
    /// How gradients are summed.
    #[serde(default)]
    pub numerics: Numerics,
    /// What the network computes in.
    #[serde(default, skip_serializing_if = "is_default")]
    pub precision: Precision,
    /// Threads inside one operator on a CPU. Part of the numerics: other numbers give other bits.
    #[serde(default = "defaults::one")]
    pub threads: u32,
    /// Gradients are scaled down to this global L2 norm; 0 turns clipping off.
    #[serde(default)]
    pub clip_norm: f64,
    /// Forget what is inside of layers after the forward pass, and compute it again in the backward pass: less memory, a
    /// third more work, the same gradients.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gradient_checkpointing: bool,
}

/// How the gradients of micro-batches are summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Numerics {
    /// 64-bit fixed point: the same bits for any number of workers.
    #[default]
    Exact,
}

/// The numbers that the network computes in. Weights and optimizer state are 32-bit floats in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// bfloat16: the range of a 32-bit float with 8 bits of precision.
    Bf16,
}

/// `[optimizer]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// The update rule.
    pub kind: OptimizerKind,
    /// The highest learning rate of the schedule.
    pub peak_learning_rate: f64,
    /// Decay rates of the first and second moment.
    pub betas: [f64; 2],
    /// The constant under the fraction.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Leave biases and layer norms out of the decay (BERT does, fairseq does not).
    #[serde(default)]
    pub decay_exempts_bias_and_norm: bool,
    /// Whether LAMB corrects its moments for their bias; for the other kinds this is part of what they are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bias_correction: bool,
}

/// Which update rule. The Adams differ in where epsilon stands and whether the moments are corrected for
/// their bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// fairseq's `adam`, with which RoBERTa was trained: epsilon is added before the bias correction.
    FairseqAdam,
    /// PyTorch's `AdamW` (Loshchilov & Hutter 2019).
    AdamW,
    /// The optimizer of the original BERT: no bias correction.
    BertAdam,
    /// LAMB (You et al. 2020): Adam's update, scaled in each tensor to the norm of the weights.
    Lamb,
}

/// `[schedule]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The shape of the curve.
    #[serde(default)]
    pub kind: ScheduleKind,
    /// Updates over which the rate rises from 0.
    #[serde(default)]
    pub warmup_steps: u64,
    /// The rate that the linear kinds decay to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub end_learning_rate: f64,
}

/// The shape of the learning rate. The linear kinds decay in a straight line to the end of the run, and
/// differ in where the line begins; [`Schedule::learning_rate`] has the formulas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// fairseq's `polynomial_decay` with power 1: from the peak, at the end of the warm-up.
    #[default]
    Linear,
    /// The original BERT's and ALBERT's: from the peak at step 0, while the warm-up replaces its beginning.
    LinearFromStart,
    /// ELECTRA's: from the peak at step 0, and the warm-up is a factor.
    LinearTimesWarmup,
    /// No decay.
    Constant,
}

/// `[checkpoint]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpointing {
    /// Steps between checkpoints.
    pub every: u64,
    /// How many of the newest are kept.
    pub keep: u32,
    /// Those of every so many steps are kept for good; 0 for none.
    #[serde(skip_serializing_if = "is_default")]
    pub keep_every: u64,
    /// How many of the best are kept, by what held-out samples say of them.
    #[serde(skip_serializing_if = "is_default")]
    pub keep_best: u32,
    /// Which measure of the evaluation tells the best: the lowest, or of an accuracy the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_by: Option<String>,
    /// A worker reads back what it has stored before the checkpoint counts: storage that says it has what it has not is
    /// found at once, and not when the checkpoint is needed.
    #[serde(skip_serializing_if = "is_true")]
    pub read_back: bool,
}

/// `[cluster]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// Training starts when this many workers are there.
    pub min_workers: u32,
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u64,
    /// A worker that was silent for this long is taken for dead. Without it, the limit follows what is measured: about
    /// a step, since that is what a death that was none would cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_after_ms: Option<u64>,
}

/// `[guards]`: what is watched while training. Only `spike` can change the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guards {
    /// Steps between two comparisons of the weights of all members; 0 for never.
    pub compare_every: u64,
    /// Steps between two micro-batches that another member computes again, bit for bit; 0 for never.
    pub recompute_every: u64,
    /// Steps in a row whose gradient could not be used before the run fails.
    pub skipped_in_a_row: u64,
    /// Goes back before a loss that jumps; without the section, it may jump.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spike: Option<Spike>,
}

/// `[guards.spike]`: what a jump of the loss is, and what is left out for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spike {
    /// A loss this many standard deviations above the mean of the steps before is a jump.
    pub deviations: f64,
    /// How many steps before are looked at; a jump is not looked for before there are so many.
    pub window: u64,
    /// How many steps are left out, that of the jump the last of them. Their samples count as used.
    pub skip: u64,
}

/// `[evaluation]`: the loss on held-out samples while training. Changes nothing about the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// The prepared dataset of held-out documents: a path or URL.
    pub dataset: String,
    /// Steps between evaluations.
    #[serde(default = "defaults::evaluation_every")]
    pub every: u64,
    /// How many sequences are looked at.
    #[serde(default = "defaults::evaluation_sequences")]
    pub sequences: u64,
    /// Decides which sequences, and their masks.
    #[serde(default)]
    pub seed: u64,
}

impl Default for Checkpointing {
    fn default() -> Self {
        Checkpointing { every: 1_000, keep: 3, keep_every: 0, keep_best: 0, best_by: None, read_back: true }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster { min_workers: 1, heartbeat_ms: 500, dead_after_ms: None }
    }
}

impl Default for Guards {
    fn default() -> Self {
        Guards { compare_every: 100, recompute_every: 100, skipped_in_a_row: 20, spike: None }
    }
}

impl Spike {
    /// So many losses are kept to tell a jump by: no window is longer.
    pub const LONGEST_WINDOW: u64 = 10_000;
}

impl Default for Spike {
    fn default() -> Self {
        Spike { deviations: 8.0, window: 100, skip: 1 }
    }
}

mod defaults {
    pub fn lanes() -> u32 {
        64
    }
    pub fn window() -> u32 {
        16
    }
    pub fn one() -> u32 {
        1
    }
    pub fn cache_gb() -> f64 {
        100.0
    }
    pub fn is_cache_gb(value: &f64) -> bool {
        *value == cache_gb()
    }
    pub fn evaluation_every() -> u64 {
        1_000
    }
    pub fn evaluation_sequences() -> u64 {
        1_024
    }
}

fn is_true(value: &bool) -> bool {
    *value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl RunPlan {
    /// The plan as text that [`RunPlan::parse`] reads back to the same plan.
    pub fn to_toml(&self) -> String {
        let mut written = self.clone();
        if !self.phase.is_empty() {
            // The phases say how many steps they have, and parse refuses to hear it twice.
            written.train.steps = 0;
        }
        toml::to_string_pretty(&written).expect("a plan is made of tables, strings and numbers")
    }

    /// A hash of all that decides the weights: the whole plan with its phases, except names, places,
    /// checkpoints, the cluster and evaluation. `model.init_from` counts as it is written, whatever it leads
    /// to.
    pub fn recipe_hash(&self) -> String {
        let mut recipe = self.clone();
        recipe.run = Run { name: String::new(), store: None, seed: self.run.seed, unfenced: false };
        recipe.data.dataset = String::new();
        (recipe.data.replicas, recipe.data.cache) = (Vec::new(), None);
        recipe.data.cache_gb = defaults::cache_gb();
        recipe.checkpoint = Checkpointing::default();
        // The default when hashes were first taken, so that older runs can go on.
        recipe.cluster = Cluster { dead_after_ms: Some(5_000), ..Cluster::default() };
        recipe.guards = Guards { spike: recipe.guards.spike, ..Guards::default() };
        recipe.evaluation = None;
        format!("{:032x}", xxh3_128(recipe.to_toml().as_bytes()))
    }

    /// The micro-batch of a step that a second member computes too, counted over the step, and a number that says
    /// which one; if it is time for one.
    pub fn recomputed(&self, step: u64) -> Option<(u64, u64)> {
        let every = self.guards.recompute_every;
        if every == 0 || !step.is_multiple_of(every) {
            return None;
        }
        let mut draws = Key::root(self.run.seed).named("recompute").index(step).stream();
        Some((draws.below(self.step_micro_batches(step).count), draws.next_u64()))
    }

    /// Where the run is kept.
    pub fn store(&self) -> String {
        self.run.store.clone().unwrap_or_else(|| format!("runs/{}", self.run.name))
    }

    /// Micro-batches in a step at the full batch. Ask a phase's plan: in a run with phases each has its own.
    pub fn micro_batches(&self) -> u64 {
        self.train.micro_batches()
    }

    /// The shape of the order of samples. Ask a phase's plan: in a run with phases each has its own.
    pub fn order_shape(&self) -> OrderShape {
        let Data { lanes, window, .. } = self.data;
        OrderShape { lanes, window, micro_batch: self.train.micro_batch }
    }
}

#[cfg(test)]
mod tests;
