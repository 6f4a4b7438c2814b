//! Settings of ELECTRA, from a plan or from an exported model. Knows no tensors; what they are called and how large they
//! are is in `parameters.rs`.

use std::sync::Arc;

use corpus::{PackFormat, PackSpec, PairTask, Sample, Vocabulary};
use plan::{ConfigError, Key, RunPlan};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::common::core::{Core, Defaults, Sections, invalid};
use crate::common::export::{BRACKETS, tokenizer_config};
use crate::common::masking::draws::Draws;
use crate::common::masking::{RandomIds, Replacement};
use crate::common::model::{Complaint, ModelDefaults};
use crate::common::objective::{MaskTiming, ObjectiveDefaults};
use crate::common::shapes::{Activation, EncoderShape};
use crate::settings::keys;
use crate::{Example, Export, HostBatch, Normaliser, ParameterSpec, Recipe, RecipeResult, Term};

/// google-research/electra: `configure_pretraining.py`, `model/modeling.py`, `run_pretraining.py`.
const DEFAULTS: Defaults = Defaults {
    model: ModelDefaults {
        dropout: 0.1,
        attention_dropout: 0.1,
        layer_norm_epsilon: 1e-12,
        activation: Activation::Gelu,
        truncated_init: true,
    },
    objective: ObjectiveDefaults {
        formats: &[PackFormat::SegmentHalves, PackFormat::FullSentences, PackFormat::DocSentences],
        pair_task: PairTask::Nsp,
        pair_specials: 3,
        // `pretrain_helpers.py`, `mask`: 85 % are masked, 15 % stay, none is random.
        mask_share: 0.85,
        random_share: 0.0,
        masking: MaskTiming::Dynamic,
        normaliser: Normaliser::Group,
    },
};

/// `[model]`, ELECTRA's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnModel {
    /// E, the width of the word vectors: that of the discriminator, except in the small model.
    embedding: Option<usize>,
    /// The generator's width as a share of the discriminator's.
    #[serde(default = "defaults::generator_hidden")]
    generator_hidden: f64,
    /// The generator's number of layers as a share of the discriminator's.
    #[serde(default = "defaults::one")]
    generator_layers: f64,
    /// What generator and discriminator share.
    #[serde(default)]
    share: Share,
}

/// What generator and discriminator share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Share {
    /// Words, positions, segments and the layer norm over them.
    #[default]
    Embeddings,
    /// The whole encoder (`untied_generator` off).
    All,
    /// Nothing (`untied_generator_embeddings`).
    None,
}

/// `[objective]`, ELECTRA's own keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OwnObjective {
    max_predictions: Option<usize>,
    with_replacement: bool,
    generator_weight: f64,
    discriminator_weight: f64,
    temperature: f64,
    sampling: Sampling,
}

impl Default for OwnObjective {
    fn default() -> Self {
        OwnObjective {
            max_predictions: None,
            with_replacement: true,
            generator_weight: 1.0,
            discriminator_weight: 50.0,
            temperature: 1.0,
            sampling: Sampling::Gumbel,
        }
    }
}

/// How the generator's tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sampling {
    /// Drawn from its distribution: the greatest of the scores with Gumbel noise added.
    Gumbel,
    /// The most probable one.
    Argmax,
}

mod defaults {
    // `configure_pretraining.py`, small model; 1/3 and 1/4 in base and large.
    pub fn generator_hidden() -> f64 {
        0.25
    }
    pub fn one() -> f64 {
        1.0
    }
}

/// An ELECTRA with its objective.
#[derive(Debug)]
pub struct Electra {
    /// The discriminator.
    pub(super) core: Core,
    /// The generator's encoder.
    pub(super) generator: EncoderShape,
    /// E.
    pub(super) embedding: usize,
    pub(super) share: Share,
    pub(super) draws: Draws,
    weights: [f64; 2],
    pub(super) temperature: f64,
    pub(super) sampling: Sampling,
}

/// Reads a plan.
pub fn parse(plan: &RunPlan, source: &str, vocabulary: &Vocabulary) -> RecipeResult {
    let sections = Sections::new(plan, source, keys::<OwnModel>(), keys::<OwnObjective>())?;
    let core = sections.core(&DEFAULTS, vocabulary)?;
    let (own, objective) = (sections.model.part()?, sections.objective.part()?);
    let electra = Electra::new(core, &own, &objective).map_err(|complaint| invalid(source, complaint))?;
    electra.core.check_terms(source, 2)?;
    Ok(Arc::new(electra))
}

/// Reads an exported model: the discriminator of a directory, whose generator lies in a folder of its own.
pub fn open(config: &Value, source: &str, vocabulary: &Vocabulary) -> Result<Arc<dyn Recipe>, ConfigError> {
    let core = Core::of_hf(config, source, &DEFAULTS, vocabulary, 0)?;
    let size = |key: &str, otherwise: usize| config[key].as_u64().map_or(otherwise, |size| size as usize);
    let hidden = core.shape.hidden as f64;
    let own = OwnModel {
        embedding: Some(size("embedding_size", core.shape.hidden)),
        generator_hidden: config["cloze_generator_hidden"].as_f64().unwrap_or_else(|| {
            // Transformers' own field of a configuration that knows its generator's size.
            size("generator_hidden_size", core.shape.hidden / 4) as f64 / hidden
        }),
        generator_layers: config["cloze_generator_layers"].as_f64().unwrap_or(1.0),
        share: Share::deserialize(&config["cloze_share"]).unwrap_or_default(),
    };
    let electra = Electra::new(core, &own, &OwnObjective::default());
    Ok(Arc::new(electra.map_err(|complaint| invalid(source, complaint))?))
}

impl Electra {
    fn new(core: Core, own: &OwnModel, objective: &OwnObjective) -> Result<Self, Complaint> {
        let generator = generator_shape(&core.shape, own)?;
        for (key, weight) in [
            ("objective.generator_weight", objective.generator_weight),
            ("objective.discriminator_weight", objective.discriminator_weight),
        ] {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err((key, format!("is {weight}; it must be 0 or a positive number")));
            }
        }
        if !(objective.temperature > 0.0 && objective.temperature.is_finite()) {
            let reason = format!("is {}; it must be a positive number", objective.temperature);
            return Err(("objective.temperature", reason));
        }
        let embedding = own.embedding.unwrap_or(core.shape.hidden);
        if embedding == 0 {
            return Err(("model.embedding", "must be at least 1".into()));
        }
        let masks = &core.objective;
        // `max_predictions_per_seq` of `configure_pretraining.py`.
        let slots = ((masks.mask_rate + 0.005) * f64::from(masks.pack.max_len())) as usize;
        let draws = Draws {
            rate: masks.mask_rate,
            max_predictions: masks.max_predictions(objective.max_predictions.or(Some(slots.max(1))))?,
            with_replacement: objective.with_replacement,
            replacement: Replacement {
                mask_share: masks.mask_share,
                random_share: masks.random_share,
                mask: core.specials().mask,
                random: RandomIds::Uniform { vocabulary: core.vocabulary.size, excluded: Vec::new() },
            },
        };
        Ok(Electra {
            generator,
            embedding,
            share: own.share,
            draws,
            weights: [objective.generator_weight, objective.discriminator_weight],
            temperature: objective.temperature,
            sampling: objective.sampling,
            core,
        })
    }
}

/// `get_generator_config` of `run_pretraining.py`: a narrower encoder with heads of 64.
fn generator_shape(shape: &EncoderShape, own: &OwnModel) -> Result<EncoderShape, Complaint> {
    let scaled = |share: f64, size: usize| (share * size as f64).round() as usize;
    let hidden = scaled(own.generator_hidden, shape.hidden);
    let layers = scaled(own.generator_layers, shape.layers);
    if own.share == Share::All {
        if (hidden, layers) != (shape.hidden, shape.layers) {
            let reason =
                "is all, so generator_hidden and generator_layers must be 1: one encoder has one size";
            return Err(("model.share", reason.into()));
        }
        return Ok(*shape);
    }
    if layers == 0 {
        let reason = format!("is {}, which makes a generator without layers", own.generator_layers);
        return Err(("model.generator_layers", reason));
    }
    let heads = (hidden / HEAD).max(1);
    if hidden == 0 || !hidden.is_multiple_of(heads) {
        let reason = format!(
            "is {}, which makes a generator of {layers} layers of width {hidden} with {heads} heads; take another \
             share of model.hidden = {}",
            own.generator_hidden, shape.hidden
        );
        return Err(("model.generator_hidden", reason));
    }
    Ok(EncoderShape { layers, hidden, heads, feed_forward: 4 * hidden, ..*shape })
}

/// The width of an attention head of the generator.
const HEAD: usize = 64;

impl Recipe for Electra {
    fn pack_spec(&self) -> PackSpec {
        self.core.objective.pack
    }

    fn static_masks(&self) -> bool {
        self.core.objective.static_masks
    }

    fn example(&self, sample: &Sample, _neighbours: &[u32], key: Key) -> Example {
        self.masked(sample, key)
    }

    fn collate(&self, examples: &[Example]) -> HostBatch {
        HostBatch::collate(examples, self.pack_spec().max_len() as usize, self.core.specials().pad)
    }

    fn terms(&self) -> Vec<Term> {
        let [generator, discriminator] = self.weights;
        vec![Term { name: "mlm", weight: generator }, Term { name: "rtd", weight: discriminator }]
    }

    fn ratios(&self) -> Vec<&'static str> {
        vec!["mlm_accuracy", "rtd_accuracy", "rtd_precision", "rtd_recall"]
    }

    fn normaliser(&self) -> Normaliser {
        self.core.objective.normaliser
    }

    fn expected_targets(&self, sequences: u64) -> Vec<f64> {
        let tokens = f64::from(self.pack_spec().max_len()) * sequences as f64;
        vec![self.core.objective.masked_targets(sequences), tokens]
    }

    fn network_settings(&self) -> String {
        format!("sampling {:?}, temperature {}", self.sampling, self.temperature)
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        self.tensors()
    }

    fn exports(&self) -> Vec<Export> {
        self.directories()
    }

    fn hf_tokenizer_config(&self) -> Value {
        tokenizer_config(&self.core, BRACKETS)
    }

    #[cfg(feature = "torch")]
    fn build(&self, parameters: &crate::Parameters) -> Box<dyn crate::Network> {
        Box::new(super::net::Net::new(self, parameters))
    }
}
