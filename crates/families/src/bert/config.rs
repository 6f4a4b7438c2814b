//! Settings of BERT, from a plan or from an exported model, and what follows from them alone: shapes, names, counts.
//! Knows no tensors.

use std::sync::Arc;

use corpus::{PackFormat, PackSpec, PairTask, Sample, Vocabulary};
use plan::{ConfigError, Key, RunPlan};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::common::core::{Core, Defaults, Sections, invalid};
use crate::common::export::{BRACKETS, tokenizer_config};
use crate::common::masking::words::Words;
use crate::common::masking::{RandomIds, Replacement};
use crate::common::model::{Complaint, ModelDefaults, with};
use crate::common::objective::{MaskTiming, ObjectiveDefaults};
use crate::common::shapes::{Activation, dense, layer_norm};
use crate::settings::keys;
use crate::{
    Example, Export, ExportFile, HostBatch, Init, Normaliser, ParameterSpec, Recipe, RecipeResult, Term,
};

/// google-research/bert: `modeling.py`, `create_pretraining_data.py`, `run_pretraining.py`.
const DEFAULTS: Defaults = Defaults {
    model: ModelDefaults {
        dropout: 0.1,
        attention_dropout: 0.1,
        layer_norm_epsilon: 1e-12,
        // `modeling.py` computes it with tanh since 2019; the first release had the error function.
        activation: Activation::GeluTanh,
        truncated_init: true,
    },
    objective: ObjectiveDefaults {
        formats: &[
            PackFormat::SegmentPair,
            PackFormat::SentencePair,
            PackFormat::FullSentences,
            PackFormat::DocSentences,
            PackFormat::SpanBlocks,
        ],
        pair_task: PairTask::Nsp,
        pair_specials: 3,
        mask_share: 0.8,
        random_share: 0.1,
        masking: MaskTiming::Static,
        normaliser: Normaliser::Group,
    },
};

/// `[objective]`, BERT's own keys.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OwnObjective {
    /// Mask all pieces of a word or none.
    whole_words: bool,
    /// The most tokens that are hidden in a sample.
    max_predictions: Option<usize>,
}

/// A BERT with its objective.
#[derive(Debug)]
pub struct Bert {
    pub(super) core: Core,
    pub(super) words: Words,
}

/// Reads a plan.
pub fn parse(plan: &RunPlan, source: &str, vocabulary: &Vocabulary) -> RecipeResult {
    let sections = Sections::new(plan, source, &[], keys::<OwnObjective>())?;
    let core = sections.core(&DEFAULTS, vocabulary)?;
    let bert =
        Bert::new(core, &sections.objective.part()?).map_err(|complaint| invalid(source, complaint))?;
    bert.core.check_terms(source, bert.terms().len())?;
    Ok(Arc::new(bert))
}

/// Reads an exported model.
pub fn open(config: &Value, source: &str, vocabulary: &Vocabulary) -> Result<Arc<dyn Recipe>, ConfigError> {
    let mut core = Core::of_hf(config, source, &DEFAULTS, vocabulary, 0)?;
    if config["architectures"][0] != "BertForPreTraining" {
        core.objective = core.objective.without_pairs();
    }
    let bert = Bert::new(core, &OwnObjective::default());
    Ok(Arc::new(bert.map_err(|complaint| invalid(source, complaint))?))
}

impl Bert {
    fn new(core: Core, own: &OwnObjective) -> Result<Self, Complaint> {
        let objective = &core.objective;
        let words = Words {
            rate: objective.mask_rate,
            max_predictions: objective.max_predictions(own.max_predictions)?,
            whole_words: own.whole_words,
            replacement: Replacement {
                mask_share: objective.mask_share,
                random_share: objective.random_share,
                mask: core.specials().mask,
                // `rng.randint(0, len(vocab_words) - 1)`: special tokens and unused ones included.
                random: RandomIds::Uniform { vocabulary: core.vocabulary.size, excluded: Vec::new() },
            },
        };
        Ok(Bert { core, words })
    }

    pub(super) fn pair_task(&self) -> Option<PairTask> {
        self.core.objective.pair_task()
    }

    /// The head that is asked about pairs.
    fn pair_head(&self) -> Vec<ParameterSpec> {
        let (h, init) = (self.core.shape.hidden, self.core.shape.init);
        match self.pair_task() {
            Some(_) => {
                [dense("bert.pooler.dense", h, h, init), dense("cls.seq_relationship", 2, h, init)].concat()
            }
            None => Vec::new(),
        }
    }
}

impl Recipe for Bert {
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
        let (h, init) = (shape.hidden, shape.init);
        let table = |name: &str, rows| {
            ParameterSpec::weight(format!("bert.embeddings.{name}_embeddings.weight"), &[rows, h], init)
        };
        let mut specs =
            vec![table("word", *vocab_size), table("position", *max_positions), table("token_type", 2)];
        specs.extend(layer_norm("bert.embeddings.LayerNorm", h));
        specs.extend(shape.parameters(&shape.plain_names("bert.encoder")));
        specs.extend(dense("cls.predictions.transform.dense", h, h, init));
        specs.extend(layer_norm("cls.predictions.transform.LayerNorm", h));
        specs.push(ParameterSpec::vector("cls.predictions.bias", *vocab_size, Init::Zeros));
        specs.extend(self.pair_head());
        specs
    }

    fn exports(&self) -> Vec<Export> {
        let specials = self.core.specials();
        let class = if self.pair_task().is_some() { "BertForPreTraining" } else { "BertForMaskedLM" };
        let config = with(
            self.core.hf_config(self.core.max_positions),
            json!({
                "architectures": [class],
                "model_type": "bert",
                "pad_token_id": specials.pad,
                "type_vocab_size": 2,
            }),
        );
        let names = self.parameters().into_iter().map(|spec| spec.name);
        vec![Export { folder: "", config, files: vec![ExportFile::new("model.safetensors", names)] }]
    }

    fn hf_tokenizer_config(&self) -> Value {
        tokenizer_config(&self.core, BRACKETS)
    }

    #[cfg(feature = "torch")]
    fn build(&self, parameters: &crate::Parameters) -> Box<dyn crate::Network> {
        Box::new(super::net::net(self, parameters))
    }
}
