//! Settings of RoBERTa, from a plan or from an exported model, and what follows from them alone: shapes, names,
//! counts. Knows no tensors.

use std::sync::Arc;

use corpus::{PackFormat, PackSpec, PairTask, Sample, Vocabulary};
use plan::{ConfigError, Key, RunPlan};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::common::core::{Core, Defaults, Sections};
use crate::common::export::{ANGLES, tokenizer_config};
use crate::common::masking::{Independent, RandomIds, Replacement};
use crate::common::model::{ModelDefaults, with};
use crate::common::objective::{MaskTiming, ObjectiveDefaults};
use crate::common::shapes::{Activation, dense, layer_norm};
use crate::settings::keys;
use crate::{
    Example, Export, ExportFile, HostBatch, Init, Normaliser, ParameterSpec, Recipe, RecipeResult, Term,
};

/// The paper's numbers (Liu et al. 2019, table 9 and §2, §4), and fairseq's where the paper is silent.
const DEFAULTS: Defaults = Defaults {
    model: ModelDefaults {
        dropout: 0.1,
        attention_dropout: 0.1,
        // fairseq, `modules/layer_norm.py`; BERT has 1e-12.
        layer_norm_epsilon: 1e-5,
        activation: Activation::Gelu,
        // fairseq, `modules/transformer_sentence_encoder.py`, `init_bert_params`.
        truncated_init: false,
    },
    objective: ObjectiveDefaults {
        formats: &[
            PackFormat::FullSentences,
            PackFormat::DocSentences,
            PackFormat::SegmentPair,
            PackFormat::SentencePair,
        ],
        pair_task: PairTask::Nsp,
        pair_specials: 4,
        mask_share: 0.8,
        random_share: 0.1,
        masking: MaskTiming::Dynamic,
        normaliser: Normaliser::Global,
    },
};

/// `[objective]`, RoBERTa's own keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OwnObjective {
    /// Whether `<s>` and `</s>` may be masked.
    mask_specials: bool,
}

impl Default for OwnObjective {
    fn default() -> Self {
        // fairseq, `data/mask_tokens_dataset.py`, makes no exception for them.
        OwnObjective { mask_specials: true }
    }
}

/// A RoBERTa with its objective.
#[derive(Debug)]
pub struct Roberta {
    pub(super) core: Core,
    pub(super) masking: Independent,
    pub(super) mask_specials: bool,
}

/// Reads a plan.
pub fn parse(plan: &RunPlan, source: &str, vocabulary: &Vocabulary) -> RecipeResult {
    let sections = Sections::new(plan, source, &[], keys::<OwnObjective>())?;
    let core = sections.core(&DEFAULTS, vocabulary)?;
    let roberta = Roberta::new(core, &sections.objective.part()?);
    roberta.core.check_terms(source, roberta.terms().len())?;
    Ok(Arc::new(roberta))
}

/// Reads an exported model. It can be evaluated; trained on, it would have the objective's defaults.
pub fn open(config: &Value, source: &str, vocabulary: &Vocabulary) -> Result<Arc<dyn Recipe>, ConfigError> {
    let before_first = vocabulary.specials.pad as usize + 1;
    let mut core = Core::of_hf(config, source, &DEFAULTS, vocabulary, before_first)?;
    if config["cloze_pair_head"] == true {
        core.objective = core.objective.with_pairs(DEFAULTS.objective.pair_specials);
    }
    Ok(Arc::new(Roberta::new(core, &OwnObjective::default())))
}

impl Roberta {
    fn new(core: Core, own: &OwnObjective) -> Self {
        let mut excluded = core.specials().all().to_vec();
        excluded.sort_unstable();
        excluded.dedup();
        let objective = &core.objective;
        let masking = Independent {
            rate: objective.mask_rate,
            replacement: Replacement {
                mask_share: objective.mask_share,
                random_share: objective.random_share,
                mask: core.specials().mask,
                random: RandomIds::Uniform { vocabulary: core.vocabulary.size, excluded },
            },
        };
        Roberta { core, masking, mask_specials: own.mask_specials }
    }

    /// Rows of the position table that are before the first token's: fairseq counts positions from the padding's id + 1.
    pub(super) fn positions_before_first(&self) -> usize {
        self.core.specials().pad as usize + 1
    }

    fn position_rows(&self) -> usize {
        self.core.max_positions + self.positions_before_first()
    }
}

impl Recipe for Roberta {
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
        let (h, v) = (self.core.shape.hidden, self.core.vocab_size);
        let (shape, init) = (&self.core.shape, self.core.shape.init);
        let padded =
            Init::Normal { std: self.core.init_std, zero_row: Some(self.core.specials().pad as usize) };
        let table = |name: &str, rows, init| {
            ParameterSpec::weight(format!("roberta.embeddings.{name}_embeddings.weight"), &[rows, h], init)
        };
        let mut specs = vec![
            table("word", v, padded),
            table("position", self.position_rows(), padded),
            // RoBERTa has no segments; the file format has a row for them, and what was trained with fairseq has
            // zeros there.
            table("token_type", 1, Init::Zeros).frozen(),
        ];
        specs.extend(layer_norm("roberta.embeddings.LayerNorm", h));
        specs.extend(shape.parameters(&shape.plain_names("roberta.encoder")));
        specs.extend(dense("lm_head.dense", h, h, init));
        specs.extend(layer_norm("lm_head.layer_norm", h));
        specs.push(ParameterSpec::vector("lm_head.bias", v, Init::Zeros));
        if self.core.objective.pair_task().is_some() {
            specs.extend(dense("pair_head.pooler", h, h, init));
            specs.extend(dense("pair_head.seq_relationship", 2, h, init));
        }
        specs
    }

    fn exports(&self) -> Vec<Export> {
        let specials = self.core.specials();
        let config = with(
            self.core.hf_config(self.position_rows()),
            json!({
                "architectures": ["RobertaForMaskedLM"],
                "model_type": "roberta",
                "bos_token_id": specials.bos,
                "eos_token_id": specials.eos,
                "pad_token_id": specials.pad,
                "type_vocab_size": 1,
            }),
        );
        let names = |pair: bool| {
            let specs = self.parameters().into_iter().map(|spec| spec.name);
            specs.filter(move |name| name.starts_with("pair_head.") == pair)
        };
        let mut files = vec![ExportFile::new("model.safetensors", names(false))];
        let mut config = config;
        if self.core.objective.pair_task().is_some() {
            // Transformers has no such head for RoBERTa.
            config = with(config, json!({"cloze_pair_head": true}));
            files.push(ExportFile::new("pair_head.safetensors", names(true)));
        }
        vec![Export { folder: "", config, files }]
    }

    fn hf_tokenizer_config(&self) -> Value {
        tokenizer_config(&self.core, ANGLES)
    }

    #[cfg(feature = "torch")]
    fn build(&self, parameters: &crate::Parameters) -> Box<dyn crate::Network> {
        Box::new(super::net::net(self, parameters))
    }
}
