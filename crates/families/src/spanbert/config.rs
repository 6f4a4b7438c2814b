//! Settings of SpanBERT, from a plan or from an exported model, and what follows from them alone: shapes, names, counts.
//! Knows no tensors.

use std::sync::Arc;

use corpus::{PackFormat, PackSpec, PairTask, Sample, Vocabulary};
use plan::{ConfigError, Key, RunPlan};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::common::core::{Core, Defaults, Sections, invalid};
use crate::common::export::{BRACKETS, tokenizer_config};
use crate::common::masking::spans::{Scope, Spans};
use crate::common::masking::{Lengths, RandomIds, Replacement};
use crate::common::model::{Complaint, ModelDefaults, with};
use crate::common::objective::{MaskTiming, ObjectiveDefaults};
use crate::common::shapes::{Activation, dense, layer_norm};
use crate::settings::keys;
use crate::{
    Example, Export, ExportFile, HostBatch, Init, Normaliser, ParameterSpec, Recipe, RecipeResult, Term,
};

/// facebookresearch/SpanBERT: `fairseq/models/pair_bert.py`, `fairseq/data/masking.py`, and the README's command.
const DEFAULTS: Defaults = Defaults {
    model: ModelDefaults {
        dropout: 0.1,
        attention_dropout: 0.1,
        layer_norm_epsilon: 1e-12,
        activation: Activation::Gelu,
        truncated_init: false,
    },
    objective: ObjectiveDefaults {
        formats: &[PackFormat::SpanBlocks, PackFormat::DocSentences, PackFormat::FullSentences],
        pair_task: PairTask::Nsp,
        pair_specials: 3,
        mask_share: 0.8,
        random_share: 0.1,
        masking: MaskTiming::Dynamic,
        normaliser: Normaliser::GroupOverTargets,
    },
};

/// `[model]`, SpanBERT's own keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OwnModel {
    /// Width of the vectors of a token's place in its span.
    pair_embedding: usize,
}

impl Default for OwnModel {
    fn default() -> Self {
        // `pair_bert.py`: `--pair-positional-embedding-size`.
        OwnModel { pair_embedding: 200 }
    }
}

/// `[objective]`, SpanBERT's own keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OwnObjective {
    span_p: f64,
    max_span: usize,
    span_lengths: SpanLengths,
    whole_words: bool,
    replacement: Scoped,
    random: RandomSource,
    sbo_weight: f64,
    max_pair_targets: usize,
}

impl Default for OwnObjective {
    fn default() -> Self {
        OwnObjective {
            span_p: 0.2,
            max_span: 10,
            span_lengths: SpanLengths::Renormalised,
            whole_words: true,
            replacement: Scoped::Span,
            random: RandomSource::Corpus,
            sbo_weight: 1.0,
            max_pair_targets: 20,
        }
    }
}

/// What becomes of the geometric distribution's tail.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SpanLengths {
    /// It is shared out, as in the code.
    Renormalised,
    /// It goes to the longest span.
    Clipped,
}

/// What is masked, replaced or kept together.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Scoped {
    /// A span.
    Span,
    /// A token.
    Token,
}

/// Where random tokens come from.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RandomSource {
    /// As often as they occur.
    Corpus,
    /// The vocabulary.
    Uniform,
}

/// A SpanBERT with its objective.
#[derive(Debug)]
pub struct SpanBert {
    pub(super) core: Core,
    pub(super) spans: Spans,
    pub(super) max_pair_targets: usize,
    pair_embedding: usize,
    sbo_weight: f64,
}

/// Reads a plan.
pub fn parse(plan: &RunPlan, source: &str, vocabulary: &Vocabulary) -> RecipeResult {
    let sections = Sections::new(plan, source, keys::<OwnModel>(), keys::<OwnObjective>())?;
    let core = sections.core(&DEFAULTS, vocabulary)?;
    let (own, objective) = (sections.model.part()?, sections.objective.part()?);
    let spanbert = SpanBert::new(core, &own, &objective).map_err(|complaint| invalid(source, complaint))?;
    spanbert.core.check_terms(source, 2)?;
    Ok(Arc::new(spanbert))
}

/// Reads an exported model.
pub fn open(config: &Value, source: &str, vocabulary: &Vocabulary) -> Result<Arc<dyn Recipe>, ConfigError> {
    let core = Core::of_hf(config, source, &DEFAULTS, vocabulary, 0)?;
    let size = |key: &str, otherwise: usize| config[key].as_u64().map_or(otherwise, |size| size as usize);
    let (model, objective) = (OwnModel::default(), OwnObjective::default());
    let own = OwnModel { pair_embedding: size("cloze_pair_embedding", model.pair_embedding) };
    let objective = OwnObjective {
        max_pair_targets: size("cloze_max_pair_targets", objective.max_pair_targets),
        ..objective
    };
    let spanbert = SpanBert::new(core, &own, &objective);
    Ok(Arc::new(spanbert.map_err(|complaint| invalid(source, complaint))?))
}

impl OwnObjective {
    fn check(&self) -> Result<(), Complaint> {
        if !(self.span_p > 0.0 && self.span_p <= 1.0) {
            let reason = format!("is {}; it must lie above 0 and not above 1", self.span_p);
            return Err(("objective.span_p", reason));
        }
        let sizes =
            [("objective.max_span", self.max_span), ("objective.max_pair_targets", self.max_pair_targets)];
        if let Some((key, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err((key, "must be at least 1".into()));
        }
        if !(self.sbo_weight >= 0.0 && self.sbo_weight.is_finite()) {
            let reason = format!("is {}; it must be 0 or a positive number", self.sbo_weight);
            return Err(("objective.sbo_weight", reason));
        }
        Ok(())
    }
}

impl SpanBert {
    fn new(core: Core, own: &OwnModel, objective: &OwnObjective) -> Result<Self, Complaint> {
        objective.check()?;
        if own.pair_embedding == 0 {
            return Err(("model.pair_embedding", "must be at least 1".into()));
        }
        let masks = &core.objective;
        let spans = Spans {
            rate: masks.mask_rate,
            lengths: match objective.span_lengths {
                SpanLengths::Renormalised => Lengths::geometric(objective.span_p, objective.max_span),
                SpanLengths::Clipped => Lengths::clipped_geometric(objective.span_p, objective.max_span),
            },
            whole_words: objective.whole_words,
            scope: match objective.replacement {
                Scoped::Span => Scope::Span,
                Scoped::Token => Scope::Token,
            },
            replacement: Replacement {
                mask_share: masks.mask_share,
                random_share: masks.random_share,
                mask: core.specials().mask,
                random: match objective.random {
                    RandomSource::Corpus => RandomIds::Stream,
                    RandomSource::Uniform => {
                        RandomIds::Uniform { vocabulary: core.vocabulary.size, excluded: Vec::new() }
                    }
                },
            },
        };
        Ok(SpanBert {
            spans,
            max_pair_targets: objective.max_pair_targets,
            pair_embedding: own.pair_embedding,
            sbo_weight: objective.sbo_weight,
            core,
        })
    }

    /// The head that guesses from the ends of a span (`pair_bert.py`): two dense layers, each with GELU and layer norm, and
    /// a decoder that is the embedding table with a bias of its own.
    fn boundary_head(&self) -> Vec<ParameterSpec> {
        let (h, p, init) = (self.core.shape.hidden, self.pair_embedding, self.core.shape.init);
        let places = [self.max_pair_targets, p];
        let mut specs = vec![ParameterSpec::weight("sbo.position_embeddings.weight", &places, init)];
        specs.extend(dense("sbo.dense1", h, 2 * h + p, init));
        specs.extend(layer_norm("sbo.norm1", h));
        specs.extend(dense("sbo.dense2", h, h, init));
        specs.extend(layer_norm("sbo.norm2", h));
        specs.push(ParameterSpec::vector("sbo.bias", self.core.vocab_size, Init::Zeros));
        specs
    }
}

impl Recipe for SpanBert {
    fn pack_spec(&self) -> PackSpec {
        self.core.objective.pack
    }

    fn static_masks(&self) -> bool {
        self.core.objective.static_masks
    }

    fn example(&self, sample: &Sample, neighbours: &[u32], key: Key) -> Example {
        self.masked(sample, neighbours, key)
    }

    fn collate(&self, examples: &[Example]) -> HostBatch {
        HostBatch::collate(examples, self.pack_spec().max_len() as usize, self.core.specials().pad)
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term { name: "mlm", weight: 1.0 }, Term { name: "sbo", weight: self.sbo_weight }]
    }

    fn ratios(&self) -> Vec<&'static str> {
        vec!["mlm_accuracy", "sbo_accuracy"]
    }

    fn normaliser(&self) -> Normaliser {
        self.core.objective.normaliser
    }

    fn expected_targets(&self, sequences: u64) -> Vec<f64> {
        vec![self.core.objective.masked_targets(sequences); 2]
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let Core { shape, vocab_size, max_positions, .. } = &self.core;
        let (h, init) = (shape.hidden, shape.init);
        // `pair_bert.py`, `init_bert_weights`, spares no row of the tables.
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
        specs.extend(self.boundary_head());
        specs
    }

    fn exports(&self) -> Vec<Export> {
        let config = with(
            self.core.hf_config(self.core.max_positions),
            json!({
                "architectures": ["BertForMaskedLM"],
                "model_type": "bert",
                "pad_token_id": self.core.specials().pad,
                "type_vocab_size": 2,
                // Not known to Transformers, which keeps it: what this is, and the sizes of its second head.
                "cloze_family": "spanbert",
                "cloze_pair_embedding": self.pair_embedding,
                "cloze_max_pair_targets": self.max_pair_targets,
            }),
        );
        let names = |boundary: bool| {
            let specs = self.parameters().into_iter().map(|spec| spec.name);
            specs.filter(move |name| name.starts_with("sbo.") == boundary)
        };
        let files = vec![
            ExportFile::new("model.safetensors", names(false)),
            ExportFile::new("sbo_head.safetensors", names(true)),
        ];
        vec![Export { folder: "", config, files }]
    }

    fn hf_tokenizer_config(&self) -> Value {
        tokenizer_config(&self.core, BRACKETS)
    }

    #[cfg(feature = "torch")]
    fn build(&self, parameters: &crate::Parameters) -> Box<dyn crate::Network> {
        Box::new(super::net::Net::new(self, parameters))
    }
}
