//! All families, by name. A new one adds a line here and a folder beside this file. Knows nothing of what they do.

use std::sync::Arc;

use corpus::Vocabulary;
use plan::{ConfigError, RunPlan, nearest};

use crate::{Recipe, albert, bert, electra, roberta, spanbert};

/// What the other rooms can ask of a family by its name.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name in `model.family` of a plan, and in `model_type` of an exported model.
    pub name: &'static str,
    /// Reads `[model]` and `[objective]` of a plan for the tokenizer of its dataset. `source` names the plan's text in
    /// messages.
    pub parse: fn(plan: &RunPlan, source: &str, vocabulary: &Vocabulary) -> RecipeResult,
    /// Reads `config.json` of an exported model. `source` names it in messages.
    pub open: fn(config: &serde_json::Value, source: &str, vocabulary: &Vocabulary) -> RecipeResult,
}

/// A recipe, or what is wrong with its configuration.
pub type RecipeResult = Result<Arc<dyn Recipe>, ConfigError>;

/// All families.
pub const FAMILIES: &[Family] =
    &[bert::FAMILY, albert::FAMILY, roberta::FAMILY, electra::FAMILY, spanbert::FAMILY];

/// The family of that name.
///
/// # Errors
/// [`ConfigError::Invalid`] that says which families there are, and which one was probably meant.
pub fn find(name: &str) -> Result<&'static Family, ConfigError> {
    FAMILIES.iter().find(|family| family.name == name).ok_or_else(|| {
        let known = FAMILIES.iter().map(|family| family.name);
        let remedy = match nearest(name, known.clone()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are: {}", known.collect::<Vec<_>>().join(", ")),
        };
        let reason = format!("is `{name}`, which is no family that is known; {remedy}");
        ConfigError::Invalid { place: "configuration".into(), key: "model.family".into(), reason }
    })
}

/// The family of an exported `config.json`.
///
/// # Errors
/// As [`find`].
pub fn find_exported(config: &serde_json::Value) -> Result<&'static Family, ConfigError> {
    // A family whose network Transformers has under another name says so itself.
    let name = config["cloze_family"].as_str().or(config["model_type"].as_str());
    find(name.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_or_corrected() {
        for family in FAMILIES {
            assert_eq!(find(family.name).unwrap().name, family.name);
        }
        let message = find("robertta").unwrap_err().to_string();
        assert!(message.ends_with("did you mean `roberta`?"), "{message}");
        let message = find("xyz").unwrap_err().to_string();
        assert!(message.contains("there are: "), "{message}");
    }
}
