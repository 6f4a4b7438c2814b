//! What the configurations of all families come to: an encoder, a vocabulary, and an objective. Knows no family: its
//! own keys and defaults are the caller's.

use corpus::{PackSwitches, Specials, Vocabulary};
use plan::{ConfigError, RunPlan};
use serde_json::Value;

use super::model::{Complaint, ModelDefaults, ModelSettings, hf_config};
use super::objective::{Objective, ObjectiveDefaults, ObjectiveSettings};
use super::shapes::EncoderShape;
use crate::Normaliser;
use crate::settings::{Section, keys};

/// The common part of a family's recipe.
#[derive(Clone, Debug)]
pub struct Core {
    /// The encoder.
    pub shape: EncoderShape,
    /// V: rows of the embedding table; those beyond the tokenizer's vocabulary are never used.
    pub vocab_size: usize,
    /// Longest sequence.
    pub max_positions: usize,
    /// Standard deviation of the weights at first.
    pub init_std: f64,
    /// The tokenizer's vocabulary.
    pub vocabulary: Vocabulary,
    /// What is learned.
    pub objective: Objective,
}

/// What a family takes where a configuration says nothing.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// Of `[model]`.
    pub model: ModelDefaults,
    /// Of `[objective]`.
    pub objective: ObjectiveDefaults,
}

/// The two sections of a plan, with keys that are known.
pub struct Sections<'a> {
    source: &'a str,
    /// `[model]`
    pub model: Section<'a>,
    /// `[objective]`
    pub objective: Section<'a>,
}

impl<'a> Sections<'a> {
    /// Those of a plan, for a family with these keys of its own.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`].
    pub fn new(
        plan: &'a RunPlan,
        source: &'a str,
        model_keys: &[&str],
        objective_keys: &[&str],
    ) -> Result<Self, ConfigError> {
        let model = [keys::<ModelSettings>(), model_keys];
        let objective = [keys::<ObjectiveSettings>(), keys::<PackSwitches>(), objective_keys];
        Ok(Sections {
            source,
            model: Section::new(&plan.model.settings, "model", source, &model)?,
            objective: Section::new(&plan.objective, "objective", source, &objective)?,
        })
    }

    /// The common part.
    ///
    /// # Errors
    /// What cannot be, with its key.
    pub fn core(&self, defaults: &Defaults, vocabulary: &Vocabulary) -> Result<Core, ConfigError> {
        let (model, objective) = (self.model.part()?, self.objective.part()?);
        Core::new(&model, &objective, &self.objective.part()?, defaults, vocabulary)
            .map_err(|complaint| invalid(self.source, complaint))
    }
}

/// A complaint about a configuration named `source`.
pub fn invalid(source: &str, (key, reason): Complaint) -> ConfigError {
    ConfigError::Invalid { place: source.to_owned(), key: key.to_owned(), reason }
}

impl Core {
    /// The core of an exported model. It can be evaluated; its objective is the family's own.
    ///
    /// # Errors
    /// If `config` lacks something, or describes what cannot be.
    pub fn of_hf(
        config: &Value,
        source: &str,
        defaults: &Defaults,
        vocabulary: &Vocabulary,
        positions_before_first: usize,
    ) -> Result<Self, ConfigError> {
        let mut model = ModelSettings::of_hf(config, source)?;
        model.max_positions = model.max_positions.saturating_sub(positions_before_first);
        let objective = ObjectiveSettings::of_len(model.max_positions);
        Core::new(&model, &objective, &PackSwitches::default(), defaults, vocabulary)
            .map_err(|complaint| invalid(source, complaint))
    }

    fn new(
        model: &ModelSettings,
        objective: &ObjectiveSettings,
        switches: &PackSwitches,
        defaults: &Defaults,
        vocabulary: &Vocabulary,
    ) -> Result<Self, Complaint> {
        Ok(Core {
            shape: model.shape(&defaults.model)?,
            vocab_size: model.rows(vocabulary.size)?,
            max_positions: model.max_positions,
            init_std: model.init_std,
            vocabulary: vocabulary.clone(),
            objective: objective.resolve(switches, &defaults.objective, model.max_positions)?,
        })
    }

    /// The special tokens.
    pub fn specials(&self) -> &Specials {
        &self.vocabulary.specials
    }

    /// Whether a token begins a word; the unknown token is a word of its own.
    pub fn begins_word(&self, id: u32) -> bool {
        id == self.vocabulary.specials.unk || self.vocabulary.word_start(id)
    }

    /// Refuses a normaliser that a loss of that many terms cannot have: counts of several kinds of targets over a whole
    /// step are not known before its gradients are summed.
    ///
    /// # Errors
    /// With the key and what to write instead.
    pub fn check_terms(&self, source: &str, terms: usize) -> Result<(), ConfigError> {
        if terms > 1 && self.objective.normaliser == Normaliser::Global {
            let reason = format!(
                "is global, but the loss has {terms} terms; take `group`, the mean of each micro-batch"
            );
            return Err(invalid(source, ("objective.normaliser", reason)));
        }
        Ok(())
    }

    /// The part of `config.json` that all families have, with a position table of that many rows.
    pub fn hf_config(&self, positions: usize) -> Value {
        hf_config(&self.shape, self.vocab_size, positions, self.init_std)
    }
}
