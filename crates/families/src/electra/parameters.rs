//! The tensors of both networks, and the two directories that they make for Hugging Face Transformers. Knows names and
//! shapes, no values.

use serde_json::{Value, json};

use super::config::{Electra, Share};
use crate::common::model::{hf_config, with};
use crate::common::shapes::{EncoderShape, LayerNames, dense, layer_norm};
use crate::{Export, ExportFile, ExportTensor, Init, ParameterSpec};

const GENERATOR: &str = "generator";
const DISCRIMINATOR: &str = "discriminator";

impl Electra {
    /// The network that a generator's tensors belong to: those that are shared are the discriminator's.
    pub(super) fn owner(&self, shared: bool) -> &'static str {
        if shared { DISCRIMINATOR } else { GENERATOR }
    }

    /// Where the generator's embeddings are.
    pub(super) fn generator_embeddings(&self) -> String {
        format!("{}.electra.embeddings", self.owner(self.share != Share::None))
    }

    /// Where the generator's encoder is, and the projection in front of it.
    pub(super) fn generator_encoder(&self) -> String {
        format!("{}.electra", self.owner(self.share == Share::All))
    }

    /// The width of the generator's word vectors: its own where it has tables of its own (`run_pretraining.py`,
    /// `untied_generator_embeddings`).
    pub(super) fn generator_embedding(&self) -> usize {
        if self.share == Share::None { self.generator.hidden } else { self.embedding }
    }

    fn embeddings(&self, at: &str, e: usize) -> Vec<ParameterSpec> {
        let init = self.core.shape.init;
        let table = |name: &str, rows| {
            ParameterSpec::weight(format!("{at}.{name}_embeddings.weight"), &[rows, e], init)
        };
        let mut specs = vec![
            table("word", self.core.vocab_size),
            table("position", self.core.max_positions),
            table("token_type", 2),
        ];
        specs.extend(layer_norm(&format!("{at}.LayerNorm"), e));
        specs
    }

    fn encoder(at: &str, shape: &EncoderShape, layers: &[LayerNames], e: usize) -> Vec<ParameterSpec> {
        let mut specs = Vec::new();
        if shape.hidden != e {
            // No initialiser is given in `modeling.py`, so TensorFlow's own applies.
            let at = format!("{at}.embeddings_project");
            specs.extend(dense(&at, shape.hidden, e, Init::GlorotUniform));
        }
        specs.extend(shape.parameters(layers));
        specs
    }

    /// All tensors, the discriminator's first.
    pub(super) fn tensors(&self) -> Vec<ParameterSpec> {
        let (shape, init) = (&self.core.shape, self.core.shape.init);
        let (h, e) = (shape.hidden, self.generator_embedding());
        let mut specs = self.embeddings("discriminator.electra.embeddings", self.embedding);
        let layers = self.discriminator_layers();
        specs.extend(Electra::encoder("discriminator.electra", shape, &layers, self.embedding));
        specs.extend(dense("discriminator.discriminator_predictions.dense", h, h, init));
        // `run_pretraining.py` gives this layer no initialiser either.
        let last = "discriminator.discriminator_predictions.dense_prediction";
        specs.extend(dense(last, 1, h, Init::GlorotUniform));
        if self.share == Share::None {
            specs.extend(self.embeddings(&self.generator_embeddings(), e));
        }
        if self.share != Share::All {
            let (at, layers) = (self.generator_encoder(), self.generator_layers());
            specs.extend(Electra::encoder(&at, &self.generator, &layers, e));
        }
        specs.extend(dense("generator.generator_predictions.dense", e, self.generator.hidden, init));
        specs.extend(layer_norm("generator.generator_predictions.LayerNorm", e));
        specs.push(ParameterSpec::vector(
            "generator.generator_lm_head.bias",
            self.core.vocab_size,
            Init::Zeros,
        ));
        specs
    }

    /// The layers of the discriminator.
    pub(super) fn discriminator_layers(&self) -> Vec<LayerNames> {
        self.core.shape.plain_names("discriminator.electra.encoder")
    }

    /// The layers of the generator.
    pub(super) fn generator_layers(&self) -> Vec<LayerNames> {
        self.generator.plain_names(&format!("{}.encoder", self.generator_encoder()))
    }

    /// The discriminator is the model; the generator lies in a folder of its own.
    pub(super) fn directories(&self) -> Vec<Export> {
        let discriminator = Export {
            folder: "",
            config: with(
                self.config("ElectraForPreTraining", &self.core.shape, self.embedding),
                self.generator_facts(),
            ),
            files: vec![ExportFile {
                name: "model.safetensors",
                tensors: self.files(DISCRIMINATOR, |name| name.starts_with("discriminator.")),
            }],
        };
        let shared = |name: &str| match self.share {
            Share::None => false,
            Share::Embeddings => name.starts_with("discriminator.electra.embeddings."),
            Share::All => name.starts_with("discriminator.electra."),
        };
        let generator = Export {
            folder: GENERATOR,
            config: self.config("ElectraForMaskedLM", &self.generator, self.generator_embedding()),
            files: vec![ExportFile {
                name: "model.safetensors",
                tensors: self.files(GENERATOR, |name| name.starts_with("generator.") || shared(name)),
            }],
        };
        vec![discriminator, generator]
    }

    fn files(&self, network: &str, belongs: impl Fn(&str) -> bool) -> Vec<ExportTensor> {
        let names = self.tensors().into_iter().map(|spec| spec.name).filter(|name| belongs(name));
        let tensor = |parameter: String| {
            let bare = parameter.split_once('.').map_or("", |(_, bare)| bare);
            debug_assert!(!bare.is_empty(), "{network}: {parameter}");
            ExportTensor { name: bare.to_owned(), parameter }
        };
        names.map(tensor).collect()
    }

    /// What Transformers does not ask, but what this model needs to be opened again.
    fn generator_facts(&self) -> Value {
        let share = |part: usize, whole: usize| part as f64 / whole as f64;
        json!({
            "cloze_generator_hidden": share(self.generator.hidden, self.core.shape.hidden),
            "cloze_generator_layers": share(self.generator.layers, self.core.shape.layers),
            "cloze_share": self.share,
        })
    }

    fn config(&self, class: &str, shape: &EncoderShape, embedding: usize) -> Value {
        let core = &self.core;
        with(
            hf_config(shape, core.vocab_size, core.max_positions, core.init_std),
            json!({
                "architectures": [class],
                "model_type": "electra",
                "embedding_size": embedding,
                "pad_token_id": core.specials().pad,
                "type_vocab_size": 2,
            }),
        )
    }
}
