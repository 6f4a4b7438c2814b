//! Plans from text: what is read, what is refused and how, and what survives a round trip.

mod phases;
mod refused;

use super::*;
use crate::ConfigError;

/// A run in one piece.
pub(super) const TEXT: &str = r#"
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

/// The two phases that [`phased`] puts behind the plan; the first line is line 25 of the whole.
pub(super) const PHASES: &str = r#"[[phase]]
train.steps = 90
objective.max_len = 128
[[phase]]
train.steps = 20
train.batch = 32
train.micro_batch = 4
objective.max_len = 512
"#;

/// A run in two phases.
pub(super) fn phased() -> String {
    TEXT.replace("steps = 100\n", "# no steps\n") + PHASES
}

pub(super) fn read(text: &str, set: &[&str]) -> Result<RunPlan, ConfigError> {
    let set: Vec<String> = set.iter().map(|&pair| pair.to_owned()).collect();
    RunPlan::parse("test.toml", text, &set)
}

#[test]
fn a_plan_survives_its_own_text() {
    let plan = read(TEXT, &[]).unwrap();
    assert_eq!(plan.micro_batches(), 8);
    assert_eq!(read(&plan.to_toml(), &[]).unwrap(), plan);
}

#[test]
fn every_key_survives_its_own_text() {
    let text = TEXT
        .replace("layers = 2", "layers = 2\ninit_from = \"runs/other\"")
        .replace("steps = 100", "steps = 100\nprecision = \"bf16\"\nbatch_warmup_steps = 50\nbatch_start = 5")
        .replace("kind = \"fairseq-adam\"", "kind = \"lamb\"\nbias_correction = true")
        .replace("[schedule]", "[schedule]\nkind = \"linear-from-start\"\nend_learning_rate = 1e-9")
        + "[evaluation]\ndataset = \"s3://held/out\"\nevery = 10\nseed = 4\n"
        + "[data.weights]\nbooks = 2.5\n\"cc news\" = 0.0\n";
    let text = text.replace("micro_batch = 8", "micro_batch = 8\ngradient_checkpointing = true");
    let plan = read(&text, &[]).unwrap();
    assert_eq!(plan.model.init_from.as_deref(), Some("runs/other"));
    assert_eq!(plan.model.settings.keys().collect::<Vec<_>>(), ["layers"]);
    assert_eq!((plan.data.weights["books"], plan.data.weights["cc news"]), (2.5, 0.0));
    assert!(plan.train.gradient_checkpointing && !read(TEXT, &[]).unwrap().train.gradient_checkpointing);
    assert_eq!(plan.train.precision, Precision::Bf16);
    assert_eq!((plan.train.batch_warmup_steps, plan.train.batch_start), (50, 5));
    assert_eq!((plan.optimizer.kind, plan.optimizer.bias_correction), (OptimizerKind::Lamb, true));
    assert_eq!(plan.schedule.kind, ScheduleKind::LinearFromStart);
    assert_eq!(plan.schedule.end_learning_rate, 1e-9);
    let dataset = "s3://held/out".to_owned();
    assert_eq!(plan.evaluation, Some(Evaluation { dataset, every: 10, sequences: 1024, seed: 4 }));
    assert_eq!(read(&plan.to_toml(), &[]).unwrap(), plan);
    let times = read(TEXT, &["schedule.kind=linear-times-warmup"]).unwrap();
    assert_eq!(times.schedule.kind, ScheduleKind::LinearTimesWarmup);
}

#[test]
fn what_is_not_said_has_its_default() {
    let plan = read(TEXT, &[]).unwrap();
    assert_eq!(plan.train.precision, Precision::Fp32);
    assert_eq!((plan.train.batch_warmup_steps, plan.train.batch_start), (0, 0));
    assert_eq!((plan.optimizer.bias_correction, plan.schedule.end_learning_rate), (false, 0.0));
    assert_eq!((plan.model.init_from, plan.evaluation), (None, None));
    let held = read(TEXT, &["evaluation.dataset=held"]).unwrap().evaluation.unwrap();
    assert_eq!((held.every, held.sequences, held.seed), (1000, 1024, 0));
}

#[test]
fn overrides_may_come_in_any_order() {
    let plan = read(TEXT, &["evaluation.every=7", "train.steps=90", "evaluation.dataset=held"]).unwrap();
    assert_eq!((plan.evaluation.unwrap().every, plan.train.steps), (7, 90));
    let message = read(TEXT, &["evaluation.every=7", "train.steps=90"]).unwrap_err().to_string();
    assert!(message.starts_with("--set evaluation.every=7: ") && message.contains("`dataset`"), "{message}");
}

#[test]
fn overrides_replace_what_the_text_says() {
    let plan =
        read(TEXT, &["train.steps=7", "schedule.warmup_steps=2", "data.dataset=/elsewhere/x"]).unwrap();
    assert_eq!((plan.train.steps, plan.data.dataset.as_str()), (7, "/elsewhere/x"));
}

#[test]
fn the_recipe_hash_ignores_places_but_not_numbers() {
    let hash = |pair: &str| read(TEXT, &[pair]).unwrap().recipe_hash();
    let base = hash("run.name=other");
    for same in [
        "checkpoint.every=7",
        "checkpoint.keep_every=7",
        "checkpoint.read_back=false",
        "data.dataset=elsewhere",
        "data.replicas=[\"a\"]",
        "data.cache=b",
        "data.cache_gb=2",
        "run.unfenced=true",
        "cluster.min_workers=2",
        "evaluation.dataset=held",
    ] {
        assert_eq!(hash(same), base, "{same}");
    }
    for other in [
        "run.seed=4",
        "model.layers=3",
        "model.init_from=elsewhere",
        "train.precision=bf16",
        "schedule.kind=linear-from-start",
        "schedule.end_learning_rate=1e-9",
    ] {
        assert_ne!(hash(other), base, "{other}");
    }
    assert_ne!(hash("model.init_from=a"), hash("model.init_from=b"));
}

#[test]
fn a_recipe_that_uses_no_later_key_keeps_its_hash() {
    // The hash from before there were phases, precisions and the growth of the batch. A run finds its
    // checkpoints by it.
    assert_eq!(read(TEXT, &[]).unwrap().recipe_hash(), "4e83173cee29c8cfe96e285660d42ea1");
}
