//! What a run's network gets to see, for programs of other languages:
//! `cargo run --release --package worker --example batches -- CONFIG [--held-out] [key=value]...`
//!
//! Prints lines of JSON: first the configuration as this project reads it and the special tokens, then one line for each
//! micro-batch, in the order of the steps; with `--held-out` those of `[evaluation]` instead.
//! `tests/benchmarks/curves.py` trains another implementation on them. Knows no network.

use std::error::Error;
use std::io::{BufWriter, Write, stdout};
use std::sync::Arc;

use families::{HostBatch, Recipe};
use plan::{Phase, RunPlan};
use serde_json::{Value, json};
use store::Dataset;
use tokio::runtime::{Handle, Runtime};
use worker::{FeedError, HeldOut, Samples, Stage};

const USAGE: &str = "usage: batches CONFIG [--held-out] [key=value]...";

fn main() -> Result<(), Box<dyn Error>> {
    let (mut names, mut settings, mut held_out) = (Vec::new(), Vec::new(), false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--held-out" => held_out = true,
            text if text.contains('=') => settings.push(argument),
            _ => names.push(argument),
        }
    }
    let [config] = names.as_slice() else { return Err(USAGE.into()) };
    let plan = RunPlan::parse(config, &std::fs::read_to_string(config)?, &settings)?;
    let runtime = Runtime::new()?;
    let dataset = runtime.block_on(Dataset::open(&plan.data.dataset))?.weighted(&plan.data.weights)?;
    let vocabulary = dataset.vocabulary();
    let parse = families::find(&plan.model.family)?.parse;
    let recipe = |phase: &Phase| parse(&phase.plan, config, &vocabulary);

    let mut out = BufWriter::new(stdout().lock());
    let specials = &vocabulary.specials;
    writeln!(
        out,
        "{}",
        json!({ "config": plan.to_toml(), "vocab": {
            "size": vocabulary.size, "bos": specials.bos, "pad": specials.pad, "eos": specials.eos,
            "unk": specials.unk, "mask": specials.mask,
        }})
    )?;
    let phases = plan.phases();
    let mut print = |batch: Result<HostBatch, FeedError>| -> Result<(), Box<dyn Error>> {
        Ok(writeln!(out, "{}", line_of(&batch?))?)
    };
    if held_out {
        let last = phases.last().ok_or("a run has a phase")?;
        let found = runtime.block_on(evaluated(&plan, recipe(last)?, last.plan.train.micro_batch))?;
        found.micro_batches().try_for_each(|batch| print(batch()))?;
    } else {
        let recipes = phases.iter().map(recipe).collect::<Result<Vec<_>, _>>()?;
        let samples = runtime.block_on(trained(dataset, &phases, recipes))?;
        for step in 0..plan.train.steps {
            let batch = plan.step_micro_batches(step);
            let indices = batch.first..batch.first + batch.count;
            indices.into_iter().try_for_each(|index| print(samples.micro_batch(batch.phase, index)))?;
        }
    }
    Ok(out.flush()?)
}

/// The samples of all phases, as a run counts and orders them.
async fn trained(
    dataset: Dataset,
    phases: &[Phase],
    recipes: Vec<Arc<dyn Recipe>>,
) -> Result<Samples, Box<dyn Error>> {
    let mut stages = Vec::new();
    for (phase, recipe) in phases.iter().zip(recipes) {
        let counted =
            store::count_samples(&dataset, &recipe.pack_spec(), phase.plan.data.variants).await?.counts;
        stages.push(Stage::new(dataset.clone(), recipe, counted, phase.key(), phase.plan.order_shape()));
    }
    Ok(Samples::new(stages, Handle::current()))
}

/// The samples that the run is measured on.
async fn evaluated(
    plan: &RunPlan,
    recipe: Arc<dyn Recipe>,
    micro_batch: u32,
) -> Result<HeldOut, Box<dyn Error>> {
    let evaluation = plan.evaluation.as_ref().ok_or("--held-out: the configuration has no [evaluation]")?;
    let (place, sequences, seed) = (&evaluation.dataset, evaluation.sequences, evaluation.seed);
    Ok(HeldOut::open(place, recipe, sequences, micro_batch, seed).await?)
}

fn line_of(batch: &HostBatch) -> Value {
    let spans = &batch.spans;
    json!({
        "rows": batch.rows, "len": batch.len, "lengths": batch.lengths, "input_ids": batch.input_ids,
        "segment_ids": batch.segment_ids, "target_positions": batch.target_positions,
        "target_ids": batch.target_ids, "relations": batch.relations,
        "spans": { "left": spans.left, "right": spans.right, "offset": spans.offset, "ids": spans.ids },
    })
}
