//! Whether a directory's weights can be those that a run begins with: found out before there is a run. Knows shapes, no
//! values.

use std::collections::BTreeMap;

use families::Recipe;
use plan::RunPlan;
use store::{Dataset, Location, StoreError};

use crate::failure::Failure;

/// Holds a Hugging Face directory against the plan and its dataset.
///
/// # Errors
/// If it is not there, of another family, of other sizes, or made for other tokens.
pub async fn check(
    place: &str,
    plan: &RunPlan,
    recipe: &dyn Recipe,
    dataset: &Dataset,
) -> Result<(), Failure> {
    let refused = |reason: String| Failure::bad_input(format!("model.init_from = \"{place}\": {reason}"));
    let at = Location::open(place)?;
    let config = match at.get("config.json").await {
        Err(StoreError::NotFound { .. }) => {
            let remedy = "it must be a Hugging Face directory; a run becomes one with `cloze export`";
            return Err(refused(format!("there is no config.json; {remedy}")));
        }
        config => config?,
    };
    let config: serde_json::Value = serde_json::from_slice(&config)
        .map_err(|error| refused(format!("its config.json is not JSON: {error}")))?;
    let family = families::find_exported(&config).map_err(|error| refused(error.to_string()))?;
    if family.name != plan.model.family {
        return Err(refused(format!("is of the family {}, not {}", family.name, plan.model.family)));
    }
    match store::get_tokenizer(&at, "tokenizer.json").await {
        Ok(tokenizer) if *tokenizer.vocabulary() != dataset.vocabulary() => {
            let reason = "has another tokenizer than the dataset; prepare the dataset with it (`cloze tokenizer import`)";
            return Err(refused(reason.into()));
        }
        Ok(_) | Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let theirs = (family.open)(&config, "config.json", &dataset.vocabulary())?;
    let shapes: BTreeMap<String, Vec<usize>> =
        theirs.parameters().into_iter().map(|spec| (spec.name, spec.shape)).collect();
    for spec in recipe.parameters() {
        if let Some(shape) = shapes.get(&spec.name).filter(|shape| **shape != spec.shape) {
            let (name, here) = (&spec.name, &spec.shape);
            return Err(refused(format!("{name} has the shape {shape:?} there, and {here:?} in the plan")));
        }
    }
    Ok(())
}
