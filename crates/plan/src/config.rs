//! Configuration text to [`RunPlan`]. A plan that exists is valid; it does not know where its text came from, and it
//! leaves `[model]` and `[objective]` to the family that they belong to.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::error::{from_toml, locate};
use crate::{ConfigError, OrderShape};

/// Everything that a run is. Made by [`RunPlan::parse`] only.
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
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The prepared dataset: a path or URL.
    pub dataset: String,
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
}

/// `[model]`: the family's name; all other keys are the family's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Which of the families.
    pub family: String,
    /// What the family reads.
    #[serde(flatten)]
    pub settings: toml::Table,
}

/// `[train]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Optimizer steps in the run.
    pub steps: u64,
    /// Sequences in a step, over all workers.
    pub batch: u32,
    /// Sequences in a micro-batch: the unit of work and of numerics.
    pub micro_batch: u32,
    /// How gradients are summed.
    #[serde(default)]
    pub numerics: Numerics,
    /// Threads inside one operator on a CPU. Part of the numerics: other numbers give other bits.
    #[serde(default = "defaults::one")]
    pub threads: u32,
    /// Gradients are scaled down to this global L2 norm; 0 turns clipping off.
    #[serde(default)]
    pub clip_norm: f64,
}

/// How the gradients of micro-batches are summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Numerics {
    /// 64-bit fixed point: the same bits for any number of workers.
    #[default]
    Exact,
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
}

/// Which Adam: they differ in where epsilon stands and whether the moments are corrected for their bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// fairseq's `adam`, with which RoBERTa was trained: epsilon is added before the bias correction.
    FairseqAdam,
    /// PyTorch's `AdamW` (Loshchilov & Hutter 2019).
    AdamW,
    /// The optimizer of the original BERT: no bias correction.
    BertAdam,
}

/// `[schedule]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The shape after the warm-up.
    #[serde(default)]
    pub kind: ScheduleKind,
    /// Updates over which the rate rises from 0.
    #[serde(default)]
    pub warmup_steps: u64,
}

/// The shape of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// A straight line to 0 at the end of the run.
    #[default]
    Linear,
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
}

/// `[cluster]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// Training starts when this many workers are there.
    pub min_workers: u32,
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u64,
    /// A worker that was silent for this long is taken for dead.
    pub dead_after_ms: u64,
}

impl Default for Checkpointing {
    fn default() -> Self {
        Checkpointing { every: 1_000, keep: 3 }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster { min_workers: 1, heartbeat_ms: 500, dead_after_ms: 5_000 }
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
}

impl RunPlan {
    /// Reads and checks a configuration. `source` names the text in messages; `overrides` are `key=value` pairs
    /// with dotted keys (`train.steps=100`) that replace what the text says.
    ///
    /// # Errors
    /// Whatever is wrong first, with file, line and key.
    pub fn parse(source: &str, text: &str, overrides: &[String]) -> Result<Self, ConfigError> {
        let mut plan: RunPlan = toml::from_str(text).map_err(|error| from_toml(source, text, &error))?;
        if !overrides.is_empty() {
            let mut table: toml::Table =
                toml::from_str(text).map_err(|error| from_toml(source, text, &error))?;
            for pair in overrides {
                plan = overridden(&mut table, pair)?;
            }
        }
        plan.check().map_err(|(section, key, reason)| {
            let place = match locate(text, section, key) {
                Some(line) => format!("{source}:{line}"),
                None => source.to_owned(),
            };
            ConfigError::Invalid { place, key: format!("{section}.{key}"), reason }
        })?;
        Ok(plan)
    }

    /// The plan as text that [`RunPlan::parse`] reads back to the same plan.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a plan is made of tables, strings and numbers")
    }

    /// A hash of all that decides the weights: the whole plan except names, places, checkpoints and the cluster.
    pub fn recipe_hash(&self) -> String {
        let mut recipe = self.clone();
        recipe.run = Run { name: String::new(), store: None, seed: self.run.seed };
        recipe.data.dataset = String::new();
        recipe.checkpoint = Checkpointing::default();
        recipe.cluster = Cluster::default();
        format!("{:032x}", xxh3_128(recipe.to_toml().as_bytes()))
    }

    /// Where the run is kept.
    pub fn store(&self) -> String {
        self.run.store.clone().unwrap_or_else(|| format!("runs/{}", self.run.name))
    }

    /// Micro-batches in a step.
    pub fn micro_batches(&self) -> u64 {
        u64::from(self.train.batch / self.train.micro_batch)
    }

    /// The shape of the order of samples.
    pub fn order_shape(&self) -> OrderShape {
        let Data { lanes, window, .. } = self.data;
        OrderShape { lanes, window, micro_batch: self.train.micro_batch }
    }

    /// The learning rate of step `step` (the first is 0).
    pub fn learning_rate(&self, step: u64) -> f64 {
        self.schedule.learning_rate(self.optimizer.peak_learning_rate, step, self.train.steps)
    }

    fn check(&self) -> Result<(), (&'static str, &'static str, String)> {
        let Train { steps, batch, micro_batch, threads, clip_norm, .. } = self.train;
        let Data { lanes, window, variants, .. } = self.data;
        let Optimizer { peak_learning_rate, betas, epsilon, weight_decay, .. } = self.optimizer;
        let no = |section, key, reason: String| Err((section, key, reason));
        let name_ok = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.run.name.is_empty() || !self.run.name.chars().all(name_ok) {
            return no("run", "name", "must be made of letters, digits, '-', '_' and '.'".into());
        }
        if !lanes.is_power_of_two() || lanes > 65_536 {
            return no("data", "lanes", format!("is {lanes}; it must be a power of two up to 65536"));
        }
        if window == 0 || variants == 0 {
            let key = if window == 0 { "window" } else { "variants" };
            return no("data", key, "must be at least 1".into());
        }
        if steps == 0 || threads == 0 {
            let key = if steps == 0 { "steps" } else { "threads" };
            return no("train", key, "must be at least 1".into());
        }
        if micro_batch == 0 || batch == 0 || batch % micro_batch != 0 {
            let reason = format!("is {batch}; it must be a multiple of train.micro_batch = {micro_batch}");
            return no("train", "batch", reason);
        }
        if !(clip_norm >= 0.0 && clip_norm.is_finite()) {
            return no("train", "clip_norm", "must be 0 (off) or a positive number".into());
        }
        if !(peak_learning_rate > 0.0 && peak_learning_rate.is_finite()) {
            return no("optimizer", "peak_learning_rate", "must be a positive number".into());
        }
        if !betas.iter().all(|beta| (0.0..1.0).contains(beta)) {
            return no("optimizer", "betas", "must both be at least 0 and below 1".into());
        }
        if !(epsilon > 0.0 && weight_decay >= 0.0) {
            let key = if epsilon > 0.0 { "weight_decay" } else { "epsilon" };
            return no("optimizer", key, "must not be negative, and epsilon not 0".into());
        }
        if self.schedule.warmup_steps > steps {
            let warmup = self.schedule.warmup_steps;
            let reason = format!("is {warmup}, longer than the run (train.steps = {steps})");
            return no("schedule", "warmup_steps", reason);
        }
        if self.checkpoint.every == 0 || self.checkpoint.keep == 0 {
            let key = if self.checkpoint.every == 0 { "every" } else { "keep" };
            return no("checkpoint", key, "must be at least 1".into());
        }
        self.check_cluster()
    }

    fn check_cluster(&self) -> Result<(), (&'static str, &'static str, String)> {
        let Cluster { min_workers, heartbeat_ms, dead_after_ms } = self.cluster;
        if min_workers == 0 || min_workers > self.data.lanes {
            let reason =
                format!("is {min_workers}; it must lie between 1 and data.lanes = {}", self.data.lanes);
            return Err(("cluster", "min_workers", reason));
        }
        if heartbeat_ms == 0 || dead_after_ms < 2 * heartbeat_ms {
            let reason = format!("is {dead_after_ms}; it must be at least twice cluster.heartbeat_ms");
            return Err(("cluster", "dead_after_ms", reason));
        }
        Ok(())
    }
}

/// Sets one `key=value` in the table and reads the plan again.
fn overridden(table: &mut toml::Table, pair: &str) -> Result<RunPlan, ConfigError> {
    let place = format!("--set {pair}");
    let syntax = |reason: &str| ConfigError::Syntax { place: place.clone(), reason: reason.to_owned() };
    let (path, value) =
        pair.split_once('=').ok_or_else(|| syntax("expected key=value, as in train.steps=100"))?;
    // A value that is not TOML (a bare word, a path) is meant as a string.
    let value = toml::from_str::<toml::Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let (section, key) = path.trim().split_once('.').ok_or_else(|| syntax("expected section.key=value"))?;
    table
        .entry(section)
        .or_insert_with(|| toml::Value::Table(toml::Table::new()))
        .as_table_mut()
        .ok_or_else(|| syntax("is not a section"))?
        .insert(key.to_owned(), value);
    let text = toml::to_string(table).map_err(|error| syntax(&error.to_string()))?;
    toml::from_str(&text).map_err(|error| match from_toml(&place, &text, &error) {
        ConfigError::UnknownKey { key, nearest, known, .. } => {
            ConfigError::UnknownKey { place: place.clone(), key, nearest, known }
        }
        other => syntax(&other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[run]
name = "test"
seed = 3
[data]
dataset = "data/test"
lanes = 8
[model]
family = "roberta"
layers = 2
[objective]
mask_rate = 0.15
[train]
steps = 100
batch = 64
micro_batch = 8
[optimizer]
kind = "fairseq-adam"
peak_learning_rate = 6e-4
betas = [0.9, 0.98]
epsilon = 1e-6
weight_decay = 0.01
[schedule]
warmup_steps = 10
"#;

    fn refused(change: impl Fn(&str) -> String) -> String {
        RunPlan::parse("test.toml", &change(TEXT), &[]).unwrap_err().to_string()
    }

    #[test]
    fn a_plan_survives_its_own_text() {
        let plan = RunPlan::parse("test.toml", TEXT, &[]).unwrap();
        assert_eq!(plan.micro_batches(), 8);
        assert_eq!(RunPlan::parse("again", &plan.to_toml(), &[]).unwrap(), plan);
    }

    #[test]
    fn mistakes_name_file_line_key_and_remedy() {
        let cases = [
            (
                refused(|text| text.replace("warmup_steps", "warmup_step")),
                "test.toml:24: unknown key `warmup_step`; did you mean `warmup_steps`?",
            ),
            (
                refused(|text| text.replace("[schedule]", "[shedule]")),
                "test.toml:23: unknown key `shedule`; did you mean `schedule`?",
            ),
            (
                refused(|text| text.replace("batch = 64", "batch = 60")),
                "test.toml:15: `train.batch` is 60; it must be a multiple of train.micro_batch = 8",
            ),
            (
                refused(|text| text.replace("lanes = 8", "lanes = 6")),
                "test.toml:7: `data.lanes` is 6; it must be a power of two up to 65536",
            ),
            (
                refused(|text| text.replace("steps = 100", "steps = 5")),
                "test.toml:24: `schedule.warmup_steps` is 10, longer than the run (train.steps = 5)",
            ),
        ];
        for (message, expected) in cases {
            assert_eq!(message, expected);
        }
        assert!(refused(|text| text.replace("steps = 100", "steps = \"x\"")).starts_with("test.toml:14: "));
        assert!(refused(|text| text.replace("[train]", "[train")).starts_with("test.toml:13: "));
    }

    #[test]
    fn overrides_replace_what_the_text_says() {
        let set = |pairs: &[&str]| {
            let pairs: Vec<String> = pairs.iter().map(|&pair| pair.to_owned()).collect();
            RunPlan::parse("test.toml", TEXT, &pairs)
        };
        let plan = set(&["train.steps=7", "schedule.warmup_steps=2", "data.dataset=/elsewhere/x"]).unwrap();
        assert_eq!((plan.train.steps, plan.data.dataset.as_str()), (7, "/elsewhere/x"));
        assert_eq!(
            set(&["train.stepz=7"]).unwrap_err().to_string(),
            "--set train.stepz=7: unknown key `stepz`; did you mean `steps`?"
        );
        assert!(set(&["steps"]).unwrap_err().to_string().contains("expected key=value"));
    }

    #[test]
    fn the_recipe_hash_ignores_places_but_not_numbers() {
        let hash = |pair: &str| RunPlan::parse("t", TEXT, &[pair.to_owned()]).unwrap().recipe_hash();
        let base = hash("run.name=other");
        assert_eq!(base, hash("checkpoint.every=7"));
        assert_eq!(base, hash("data.dataset=elsewhere"));
        assert_ne!(base, hash("run.seed=4"));
        assert_ne!(base, hash("model.layers=3"));
    }
}
