//! The model card of an export: what was trained, on what, how far, and the last training loss. Knows no files.

use families::Recipe;
use plan::RunPlan;
use store::{CheckpointManifest, Dataset};

use crate::show::thousands;

/// `README.md` of an exported directory.
pub fn card(
    plan: &RunPlan,
    recipe: &dyn Recipe,
    dataset: &Dataset,
    checkpoint: &CheckpointManifest,
) -> String {
    let exports = recipe.exports();
    let class = exports[0].config["architectures"][0].as_str().unwrap_or_default().to_owned();
    let parameters: usize = recipe.parameters().iter().map(|spec| spec.len()).sum();
    let sources: Vec<&str> = dataset.manifest().sources.iter().map(|source| source.name.as_str()).collect();
    let folders: String = exports
        .iter()
        .filter(|export| !export.folder.is_empty())
        .map(|export| {
            let class = export.config["architectures"][0].as_str().unwrap_or_default();
            format!("- `{}/`: {class}\n", export.folder)
        })
        .collect();
    let further: String = exports[0]
        .files
        .iter()
        .skip(1)
        .map(|file| format!("- `{}`: a head that Transformers does not know\n", file.name))
        .collect();
    let loss = checkpoint.loss.map_or("not measured".to_owned(), |loss| format!("{loss:.4}"));
    format!(
        "---\nlibrary_name: transformers\ntags: [{family}, pretraining]\n---\n\n# {name}\n\n\
         {class}, pretrained with cloze from scratch or from the weights that the plan names.\n\n\
         | | |\n|---|---|\n\
         | family | {family} |\n| parameters, all heads | {parameters} |\n\
         | steps | {step} of {steps} |\n| training loss of the last step | {loss} |\n\
         | dataset | `{dataset}` ({sources}) |\n| tokenizer | `{tokenizer}` |\n| recipe | `{recipe}` |\n\n\
         {folders}{further}\nThe run's plan:\n\n```toml\n{plan}```\n",
        family = plan.model.family,
        name = plan.run.name,
        parameters = thousands(parameters as f64),
        step = thousands(checkpoint.step as f64),
        steps = thousands(plan.train.steps as f64),
        dataset = checkpoint.dataset_hash,
        sources = sources.join(", "),
        tokenizer = checkpoint.tokenizer_hash,
        recipe = checkpoint.recipe_hash,
        plan = plan.to_toml(),
    )
}
