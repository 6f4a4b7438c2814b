//! A model to be looked at, with its weights loaded. Knows no command.

use std::sync::Arc;

use families::Recipe;
use store::Tokenizer;
use tokio::runtime::Runtime;
use trainer::Model;
use worker::{Subject, WorkerError};

/// A model that can be asked.
pub struct Opened {
    pub model: Model,
    pub recipe: Arc<dyn Recipe>,
    pub tokenizer: Tokenizer,
    pub step: Option<u64>,
}

/// What the worker's room says, with the exit code.
pub fn failed(error: WorkerError) -> (u8, String) {
    (if error.is_bad_input() { 2 } else { 1 }, error.to_string())
}

/// What a model is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Its whole objective: every head must be there.
    Objective,
    /// Its predictions: heads that Transformers does not know may be missing, for what it has saved lacks them.
    Predictions,
}

/// Opens a run's newest checkpoint or a Hugging Face directory. On failure: the exit code and what to say.
pub fn open(runtime: &Runtime, place: &str, need: Need) -> Result<Opened, (u8, String)> {
    if !place.contains("://") && !std::path::Path::new(place).is_dir() {
        let remedy = "write one with `cloze export RUN --to DIR`, or name a run";
        return Err((2, format!("there is no directory {place}; {remedy}")));
    }
    let Subject { recipe, weights, tokenizer, step } =
        runtime.block_on(Subject::open(place)).map_err(failed)?;
    let refused = |error: trainer::Error| (2, format!("{place}: {error}"));
    let mut model = Model::new(recipe.as_ref(), tch::Device::Cpu).map_err(refused)?;
    for (name, bytes) in &weights.tensors {
        model.load(name, bytes).map_err(refused)?;
    }
    if need == Need::Predictions {
        let extra = recipe.exports().into_iter().flat_map(|export| export.files.into_iter().skip(1));
        extra.flat_map(|file| file.tensors).for_each(|tensor| model.leave_out(&tensor.parameter));
    }
    model.finish_load().map_err(refused)?;
    Ok(Opened { model, recipe, tokenizer, step })
}
