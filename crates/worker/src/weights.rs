//! Weights from elsewhere: of a run's checkpoint, or of a Hugging Face directory. Knows what a recipe calls its tensors,
//! and no network.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use corpus::Tokenizer;
use families::Recipe;
use plan::RunPlan;
use store::{Dataset, Location, RunStore, StoreError, Tensor};

use crate::WorkerError;

/// What stands before the names of the weights in a checkpoint.
const OF_MODEL: &str = "model.";

/// Weights by the names of the model's parameters.
#[derive(Debug, Default)]
pub struct Weights {
    /// Name and little-endian `f32` values.
    pub tensors: Vec<(String, Bytes)>,
    /// Parameters that were not found.
    pub missing: Vec<String>,
}

/// A model to be looked at: its recipe, its weights, and the tokenizer that it reads with.
pub struct Subject {
    /// The model with its objective: the run's in its last phase, or the family's own.
    pub recipe: Arc<dyn Recipe>,
    /// Its weights.
    pub weights: Weights,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Updates behind the weights, as far as known.
    pub step: Option<u64>,
}

impl Subject {
    /// The newest whole checkpoint of a run, or a Hugging Face directory: whatever is at `place`.
    ///
    /// # Errors
    /// If there is neither, or it is not whole, or no family knows it.
    pub async fn open(place: &str) -> Result<Self, WorkerError> {
        let at = Location::open(place)?;
        match at.get("config.json").await {
            Ok(config) => Subject::directory(place, &at, &config).await,
            Err(StoreError::NotFound { .. }) => Subject::run(place).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn directory(place: &str, at: &Location, config: &[u8]) -> Result<Self, WorkerError> {
        let source = format!("{place}/config.json");
        let config: serde_json::Value = serde_json::from_slice(config)
            .map_err(|error| WorkerError::Unusable(format!("{source} is not JSON: {error}")))?;
        let family = families::find_exported(&config)
            .map_err(|error| WorkerError::Unusable(format!("{source}: {error}")))?;
        let tokenizer = store::get_tokenizer(at, "tokenizer.json").await?;
        let recipe = (family.open)(&config, &source, tokenizer.vocabulary())?;
        let weights = weights(place, recipe.as_ref()).await?;
        Ok(Subject { recipe, weights, tokenizer, step: None })
    }

    async fn run(place: &str) -> Result<Self, WorkerError> {
        let run = RunStore::open(place)?;
        let plan = run.plan().await.map_err(|error| match error {
            StoreError::NotFound { .. } => WorkerError::Unusable(format!(
                "{place} is neither a run nor a Hugging Face directory: it has no plan.toml and no config.json"
            )),
            error => error.into(),
        })?;
        let plan = RunPlan::parse("the run's plan", &plan, &[])?;
        let dataset = Dataset::open(&plan.data.dataset).await?;
        let family = families::find(&plan.model.family)?;
        let last = plan.phases().pop().map_or(plan, |phase| phase.plan);
        let recipe = (family.parse)(&last, "the run's plan", &dataset.vocabulary())?;
        let manifest = run.checkpoints().newest_verified().await?.manifest.ok_or_else(|| {
            WorkerError::Unusable(format!("{place} has no checkpoint yet; train until the first one"))
        })?;
        let mut tensors = Vec::new();
        let keep = |tensor: Tensor| -> Result<(), StoreError> {
            if let Some(name) = tensor.name.strip_prefix(OF_MODEL) {
                tensors.push((name.to_owned(), tensor.bytes));
            }
            Ok(())
        };
        run.checkpoints().load_into(&manifest, keep).await?;
        let tokenizer = dataset.tokenizer().await?;
        let weights = Weights { tensors, missing: Vec::new() };
        Ok(Subject { recipe, weights, tokenizer, step: Some(manifest.step) })
    }
}

/// The weights of a Hugging Face directory (not of a run: export it first), as far as the recipe has a place for them.
///
/// # Errors
/// If there is nothing for this recipe, or two tensors that shall be one differ.
pub async fn weights(place: &str, recipe: &dyn Recipe) -> Result<Weights, WorkerError> {
    let mut missing: BTreeSet<String> = recipe.parameters().into_iter().map(|spec| spec.name).collect();
    let mut tensors: Vec<(String, Bytes)> = Vec::new();
    for export in recipe.exports() {
        let at = Location::open(place)?;
        let at = if export.folder.is_empty() { at } else { at.child(export.folder) };
        for file in &export.files {
            let found = match store::get_safetensors(&at, file.name).await {
                // A model that was not trained here has neither a generator beside it nor a head of ours.
                Err(StoreError::NotFound { .. }) if !tensors.is_empty() => continue,
                found => found?,
            };
            for tensor in &found {
                for parameter in file.parameters_of(&tensor.name) {
                    if missing.remove(parameter) {
                        tensors.push((parameter.to_owned(), tensor.bytes.clone()));
                    } else if tensors.iter().any(|(name, bytes)| name == parameter && *bytes != tensor.bytes)
                    {
                        return Err(WorkerError::Unusable(format!(
                            "{}: {} differs from another tensor that this model shares it with",
                            at.place(file.name),
                            tensor.name
                        )));
                    }
                }
            }
        }
    }
    let stem = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    // A head, or a whole second network, may be lacking; a part of an encoder that is there may not.
    let part = |name: &String| name.contains(".encoder.") || name.contains(".embeddings.");
    let begun = |name: &String| tensors.iter().any(|(found, _)| stem(found) == stem(name));
    if let Some(first) = missing.iter().find(|name| part(name) && begun(name)) {
        let reason = format!("{place} lacks {first}: its encoder is another one than the plan's");
        return Err(WorkerError::Unusable(reason));
    }
    if tensors.is_empty() {
        let reason = format!("{place} has no tensor of this model; is it a directory of the same family?");
        return Err(WorkerError::Unusable(reason));
    }
    Ok(Weights { tensors, missing: missing.into_iter().collect() })
}
