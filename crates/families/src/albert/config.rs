//! Settings of ALBERT, from a plan or from an exported model, and what follows from them alone: shapes, names, counts.
//! Knows no tensors.

use std::sync::Arc;

use corpus::{PackFormat, PackSpec, PairTask, Sample, Vocabulary};
use plan::{ConfigError, Key, RunPlan};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::common::core::{Core, Defaults, Sections, invalid};
use crate::common::export::{MIXED, tokenizer_config};
use crate::common::masking::ngrams::Ngrams;
use crate::common::masking::{Lengths, RandomIds, Replacement};
use crate::common::model::{Complaint, ModelDefaults, with};
use crate::common::objective::{MaskTiming, ObjectiveDefaults};
use crate::common::shapes::{Activation, LayerNames, dense, layer_norm};
use crate::settings::keys;
use crate::{
    Example, Export, ExportFile, ExportTensor, HostBatch, Init, Normaliser, ParameterSpec, Recipe,
    RecipeResult, Term,
};

/// google-research/albert: `modeling.py`, `create_pretraining_data.py`, `run_pretraining.py`. Dropout is that of
/// version 2 of the models.
const DEFAULTS: Defaults = Defaults {
    model: ModelDefaults {
        dropout: 0.0,
        attention_dropout: 0.0,
        layer_norm_epsilon: 1e-12,
        activation: Activation::GeluTanh,
        truncated_init: true,
    },
    objective: ObjectiveDefaults {
        formats: &[
            PackFormat::SegmentPair,
            PackFormat::SentencePair,
            PackFormat::FullSentences,
            PackFormat::DocSentences,
        ],
        pair_task: PairTask::Sop,
        pair_specials: 3,
        mask_share: 0.8,
        random_share: 0.1,
        masking: MaskTiming::Static,
        normaliser: Normaliser::Group,
    },
};

/// `[model]`, ALBERT's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OwnModel {
    /// E, the width of the word vectors.
    embedding: usize,
    /// What the layers share.
    share: Share,
    /// Groups of layers; those of a group share everything.
    groups: usize,
    /// Different layers inside a group, applied one after the other each time.
    inner_groups: usize,
}

impl Default for OwnModel {
    fn default() -> Self {
        OwnModel { embedding: 128, share: Share::All, groups: 1, inner_groups: 1 }
    }
}

/// What the layers share (Lan et al. 2020, table 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Share {
    /// Everything.
    All,
    /// The feed-forward block and its layer norm.
    Ffn,
    /// Attention and its layer norm.
    Attention,
    /// Nothing.
    None,
}

/// `[objective]`, ALBERT's own keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OwnObjective {
    /// The longest run of words that is masked together.
    ngram: usize,
    /// Whether shorter runs are more likely.
    favor_shorter: bool,
    /// Mask all pieces of a word or none.
    whole_words: bool,
    /// The most tokens that are hidden in a sample.
    max_predictions: Option<usize>,
}

impl Default for OwnObjective {
    // `create_pretraining_data.py`'s flags.
    fn default() -> Self {
        OwnObjective { ngram: 3, favor_shorter: true, whole_words: true, max_predictions: None }
    }
}

/// An ALBERT with its objective.
#[derive(Debug)]
pub struct Albert {
    pub(super) core: Core,
    own: OwnModel,
    pub(super) ngrams: Ngrams,
}

/// Reads a plan.
pub fn parse(plan: &RunPlan, source: &str, vocabulary: &Vocabulary) -> RecipeResult {
    let sections = Sections::new(plan, source, keys::<OwnModel>(), keys::<OwnObjective>())?;
    let core = sections.core(&DEFAULTS, vocabulary)?;
    let (own, objective) = (sections.model.part()?, sections.objective.part()?);
    let albert = Albert::new(core, own, &objective).map_err(|complaint| invalid(source, complaint))?;
    albert.core.check_terms(source, albert.terms().len())?;
    Ok(Arc::new(albert))
}

/// What is read from an exported `config.json` besides what all families have.
#[derive(Deserialize)]
struct HfConfig {
    embedding_size: usize,
    #[serde(default = "one")]
    num_hidden_groups: usize,
    #[serde(default = "one")]
    inner_group_num: usize,
    #[serde(default)]
    cloze_share: Option<Share>,
}

fn one() -> usize {
    1
}

/// Reads an exported model.
pub fn open(config: &Value, source: &str, vocabulary: &Vocabulary) -> Result<Arc<dyn Recipe>, ConfigError> {
    let mut core = Core::of_hf(config, source, &DEFAULTS, vocabulary, 0)?;
    if config["architectures"][0] != "AlbertForPreTraining" {
        core.objective = core.objective.without_pairs();
    }
    let hf = HfConfig::deserialize(config)
        .map_err(|error| ConfigError::Syntax { place: source.to_owned(), reason: error.to_string() })?;
    let share = hf.cloze_share.unwrap_or(Share::All);
    let own = OwnModel {
        embedding: hf.embedding_size,
        share,
        groups: if share == Share::All { hf.num_hidden_groups } else { 1 },
        inner_groups: hf.inner_group_num,
    };
    let albert = Albert::new(core, own, &OwnObjective::default());
    Ok(Arc::new(albert.map_err(|complaint| invalid(source, complaint))?))
}

impl OwnModel {
    fn check(&self, layers: usize) -> Result<(), Complaint> {
        let sizes = [
            ("model.embedding", self.embedding),
            ("model.groups", self.groups),
            ("model.inner_groups", self.inner_groups),
        ];
        if let Some((key, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err((key, "must be at least 1".into()));
        }
        if self.groups > layers {
            return Err(("model.groups", format!("is {}, more than model.layers = {layers}", self.groups)));
        }
        if self.share != Share::All && (self.groups > 1 || self.inner_groups > 1) {
            let reason = "groups layers only where they share everything; leave groups and inner_groups out";
            return Err(("model.share", reason.into()));
        }
        Ok(())
    }
}

impl Albert {
    fn new(core: Core, own: OwnModel, objective: &OwnObjective) -> Result<Self, Complaint> {
        own.check(core.shape.layers)?;
        if objective.ngram == 0 {
            return Err(("objective.ngram", "must be at least 1".into()));
        }
        let masks = &core.objective;
        let ngrams = Ngrams {
            rate: masks.mask_rate,
            max_predictions: masks.max_predictions(objective.max_predictions)?,
            lengths: Lengths::harmonic(objective.ngram, objective.favor_shorter),
            whole_words: objective.whole_words,
            replacement: Replacement {
                mask_share: masks.mask_share,
                random_share: masks.random_share,
                mask: core.specials().mask,
                random: RandomIds::Uniform { vocabulary: core.vocabulary.size, excluded: Vec::new() },
            },
        };
        Ok(Albert { core, own, ngrams })
    }

    pub(super) fn pair_task(&self) -> Option<PairTask> {
        self.core.objective.pair_task()
    }

    /// The names of the layers in the order in which they are applied; shared tensors have the name of their first use.
    pub(super) fn layers(&self) -> Vec<LayerNames> {
        (0..self.core.shape.layers).flat_map(|layer| self.group(layer, self.own.share)).collect()
    }

    /// The layers of one group, which are applied in the place of layer `layer`.
    fn group(&self, layer: usize, share: Share) -> Vec<LayerNames> {
        let layers = self.core.shape.layers;
        let (attention, ffn) = match share {
            // Transformers' `AlbertTransformer`: `int(i / (layers / groups))`.
            Share::All => (layer * self.own.groups / layers, layer * self.own.groups / layers),
            Share::Attention => (0, layer),
            Share::Ffn => (layer, 0),
            Share::None => (layer, layer),
        };
        (0..self.own.inner_groups).map(|inner| names(attention, ffn, inner)).collect()
    }

    /// Transformers knows groups only: a sharing of parts looks there like layers of their own that hold the same.
    fn export_tensors(&self) -> Vec<ExportTensor> {
        let mut tensors: Vec<ExportTensor> =
            ExportFile::new("", self.parameters().into_iter().map(|spec| spec.name)).tensors;
        if matches!(self.own.share, Share::Attention | Share::Ffn) {
            for layer in 0..self.core.shape.layers {
                let [ours] = self.group(layer, self.own.share).try_into().unwrap_or_else(|_| unreachable!());
                let theirs = names(layer, layer, 0);
                for (name, parameter) in parts(&theirs).into_iter().zip(parts(&ours)) {
                    for part in ["weight", "bias"] {
                        let tensor = ExportTensor {
                            name: format!("{name}.{part}"),
                            parameter: format!("{parameter}.{part}"),
                        };
                        tensors.push(tensor);
                    }
                }
            }
            tensors.sort();
            tensors.dedup();
        }
        tensors
    }

    fn hf_groups(&self) -> usize {
        if self.own.share == Share::All { self.own.groups } else { self.core.shape.layers }
    }
}

/// A layer whose attention is that of one group and whose feed-forward block is that of another.
fn names(attention: usize, ffn: usize, inner: usize) -> LayerNames {
    let at = |group: usize, part: &str| {
        format!("albert.encoder.albert_layer_groups.{group}.albert_layers.{inner}.{part}")
    };
    LayerNames {
        query: at(attention, "attention.query"),
        key: at(attention, "attention.key"),
        value: at(attention, "attention.value"),
        projection: at(attention, "attention.dense"),
        attention_norm: at(attention, "attention.LayerNorm"),
        expand: at(ffn, "ffn"),
        contract: at(ffn, "ffn_output"),
        output_norm: at(ffn, "full_layer_layer_norm"),
    }
}

fn parts(names: &LayerNames) -> [&String; 8] {
    let LayerNames { query, key, value, projection, attention_norm, expand, contract, output_norm } = names;
    [query, key, value, projection, attention_norm, expand, contract, output_norm]
}

impl Recipe for Albert {
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
        self.core.objective.masked_and_pair_terms()
    }

    fn ratios(&self) -> Vec<&'static str> {
        self.core.objective.masked_and_pair_ratios()
    }

    fn normaliser(&self) -> Normaliser {
        self.core.objective.normaliser
    }

    fn expected_targets(&self, sequences: u64) -> Vec<f64> {
        self.core.objective.masked_and_pair_targets(sequences)
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let Core { shape, vocab_size, max_positions, .. } = &self.core;
        let (h, e, init) = (shape.hidden, self.own.embedding, shape.init);
        let table = |name: &str, rows| {
            ParameterSpec::weight(format!("albert.embeddings.{name}_embeddings.weight"), &[rows, e], init)
        };
        let mut specs =
            vec![table("word", *vocab_size), table("position", *max_positions), table("token_type", 2)];
        specs.extend(layer_norm("albert.embeddings.LayerNorm", e));
        specs.extend(dense("albert.encoder.embedding_hidden_mapping_in", h, e, init));
        specs.extend(shape.parameters(&self.layers()));
        specs.extend(dense("predictions.dense", e, h, init));
        specs.extend(layer_norm("predictions.LayerNorm", e));
        specs.push(ParameterSpec::vector("predictions.bias", *vocab_size, Init::Zeros));
        if self.pair_task().is_some() {
            specs.extend(dense("albert.pooler", h, h, init));
            specs.extend(dense("sop_classifier.classifier", 2, h, init));
        }
        specs
    }

    fn exports(&self) -> Vec<Export> {
        let specials = self.core.specials();
        let class = if self.pair_task().is_some() { "AlbertForPreTraining" } else { "AlbertForMaskedLM" };
        let config = with(
            self.core.hf_config(self.core.max_positions),
            json!({
                "architectures": [class],
                "model_type": "albert",
                "bos_token_id": specials.bos,
                "eos_token_id": specials.eos,
                "pad_token_id": specials.pad,
                "classifier_dropout_prob": 0.0,
                "embedding_size": self.own.embedding,
                "inner_group_num": self.own.inner_groups,
                "num_hidden_groups": self.hf_groups(),
                "type_vocab_size": 2,
                // Not known to Transformers, which keeps it: what layers share here.
                "cloze_share": self.own.share,
            }),
        );
        let file = ExportFile { name: "model.safetensors", tensors: self.export_tensors() };
        vec![Export { folder: "", config, files: vec![file] }]
    }

    fn hf_tokenizer_config(&self) -> Value {
        tokenizer_config(&self.core, MIXED)
    }

    #[cfg(feature = "torch")]
    fn build(&self, parameters: &crate::Parameters) -> Box<dyn crate::Network> {
        Box::new(super::net::net(self, parameters))
    }
}
