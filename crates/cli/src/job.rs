//! From a configuration file to something that a coordinator can coordinate: plan, dataset, tokenizer and family are
//! checked against each other here, before any worker is started.

use std::path::Path;
use std::sync::Arc;

use coordinator::Job;
use families::Recipe;
use plan::RunPlan;
use store::{Dataset, RunStore, StoreError};

use crate::failure::Failure;
use crate::init;

/// A plan that has been held against its dataset.
pub struct Checked {
    /// The plan.
    pub plan: RunPlan,
    /// The family's part of it, for each of its phases.
    pub recipes: Vec<Arc<dyn Recipe>>,
    /// The dataset.
    pub dataset: Dataset,
}

/// A plan, and the text that it was read from, for messages.
pub struct Source {
    /// The plan.
    pub plan: RunPlan,
    name: String,
    text: String,
}

/// Reads a plan from a file.
///
/// # Errors
/// Names the file, or its line and key.
pub fn read_plan(path: &Path, overrides: &[String]) -> Result<Source, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::bad_input(format!("cannot read the configuration {name}: {error}")))?;
    Ok(Source { plan: RunPlan::parse(&name, &text, overrides)?, name, text })
}

/// Opens what the plan names.
///
/// # Errors
/// If the dataset is missing, its tokenizer is not the plan's, or the family cannot use it.
pub async fn check(source: Source) -> Result<Checked, Failure> {
    let Source { plan, name, text } = source;
    let located = |error: plan::ConfigError| Failure::from(error.located_in(&name, &text));
    let family = families::find(&plan.model.family).map_err(located)?;
    let dataset = Dataset::of_run(&plan.data).await?;
    if let Some(wanted) = &plan.data.tokenizer
        && *wanted != dataset.tokenizer_hash()
    {
        return Err(Failure::bad_input(format!(
            "{name}: the run wants the tokenizer {wanted}, but {} was prepared with {}; prepare the corpus with the \
             run's tokenizer, or change data.tokenizer",
            plan.data.dataset,
            dataset.tokenizer_hash()
        )));
    }
    let mut recipes = Vec::new();
    for phase in plan.phases() {
        let located =
            |error: plan::ConfigError| Failure::from(error.located_in_phase(phase.index, &name, &text));
        recipes.push((family.parse)(&phase.plan, &name, &dataset.vocabulary()).map_err(located)?);
    }
    if let Some(phase) = (1..recipes.len()).find(|&phase| !same_network(&*recipes[0], &*recipes[phase])) {
        return Err(Failure::bad_input(format!(
            "{name}: phase {phase} has another network than the first: its heads, its terms of the loss or its sampling \
             differ; phases may change lengths, masks and batches, but not what is trained"
        )));
    }
    if let Some(place) = &plan.model.init_from {
        init::check(place, &plan, recipes[0].as_ref(), &dataset).await?;
    }
    if let Some(reason) = plan.checkpoint.best_by.as_deref().and_then(|by| unmeasured(by, &*recipes[0])) {
        return Err(Failure::bad_input(format!("{name}: checkpoint.best_by {reason}")));
    }
    if let Some(evaluation) = &plan.evaluation {
        let held_out = Dataset::open(&evaluation.dataset).await?;
        if held_out.tokens() == 0 {
            let place = &evaluation.dataset;
            return Err(Failure::bad_input(format!("{name}: the held-out dataset {place} is empty")));
        }
        if held_out.tokenizer_hash() != dataset.tokenizer_hash() {
            return Err(Failure::bad_input(format!(
                "{name}: the held-out dataset {} was prepared with the tokenizer {}, but {} with {}; prepare both with \
                 the same one",
                evaluation.dataset,
                held_out.tokenizer_hash(),
                plan.data.dataset,
                dataset.tokenizer_hash()
            )));
        }
    }
    Ok(Checked { plan, recipes, dataset })
}

/// Why held-out samples never say which checkpoint is the best by this.
fn unmeasured(by: &str, recipe: &dyn Recipe) -> Option<String> {
    let terms = recipe.terms().into_iter().map(|term| term.name);
    let known: Vec<&str> = std::iter::once("loss").chain(terms).chain(recipe.ratios()).collect();
    (!known.contains(&by))
        .then(|| format!("is `{by}`, which nothing measures; known are {}", known.join(", ")))
}

/// Whether two phases train the same tensors to answer the same questions.
fn same_network(a: &dyn Recipe, b: &dyn Recipe) -> bool {
    let names = |recipe: &dyn Recipe| recipe.terms().into_iter().map(|term| term.name).collect::<Vec<_>>();
    a.parameters() == b.parameters() && names(a) == names(b) && a.network_settings() == b.network_settings()
}

/// Opens the run's store and counts the samples of every block, once per run.
///
/// # Errors
/// If there is such a run already and `resume` is false, or the other way round; or if storage fails.
pub async fn job(checked: &Checked, resume: bool) -> Result<Job, Failure> {
    let Checked { plan, recipes, dataset } = checked;
    let place = plan.store();
    let run = RunStore::open(&place)?;
    match (run.identity().await, resume) {
        (Ok(_), false) => {
            return Err(Failure::bad_input(format!(
                "there is a run at {place} already; continue it with --resume, or give this one another run.name"
            )));
        }
        (Ok(_), true) => {}
        (Err(StoreError::NotFound { .. }), false) => {}
        (Err(StoreError::NotFound { .. }), true) => {
            return Err(Failure::bad_input(format!(
                "there is no run at {place} to resume; start it without --resume"
            )));
        }
        (Err(error), _) => return Err(error.into()),
    }
    let mut packings = Vec::new();
    for (phase, recipe) in plan.phases().iter().zip(recipes) {
        let (spec, variants) = (recipe.pack_spec(), phase.plan.data.variants);
        let packing = store::packing_name(dataset, &spec, variants);
        if run.packing(&packing).await?.is_none() {
            let counted = store::count_samples(dataset, &spec, variants).await?;
            if counted.counts.iter().any(|blocks| blocks.iter().all(|&count| count == 0)) {
                let dataset = &plan.data.dataset;
                return Err(Failure::bad_input(format!(
                    "the dataset {dataset} gives no samples; it is empty"
                )));
            }
            run.put_packing(&packing, &counted).await?;
        }
        packings.push(packing);
    }
    Ok(Job {
        plan: plan.clone(),
        run,
        run_place: place,
        dataset_hash: dataset.hash(),
        tokenizer_hash: dataset.tokenizer_hash(),
        packings,
    })
}
