//! What every family must be able to do, as the other rooms see it. Knows no family in particular.

use serde::{Deserialize, Serialize};

use crate::{Example, HostBatch, ParameterSpec};

/// A model with its objective, as one configuration describes them.
pub trait Recipe: Send + Sync {
    /// How documents are packed into the samples that [`Recipe::example`] takes.
    fn pack_spec(&self) -> corpus::PackSpec;

    /// Whether a sample is masked in the same way in every epoch that packs it alike, as when masks are made once
    /// and stored.
    fn static_masks(&self) -> bool;

    /// Masks a sample. All draws come from `key`, which stands for the seed, the epoch and the sample. `neighbours` are
    /// tokens of the corpus, for rules that draw random tokens as often as they occur.
    fn example(&self, sample: &corpus::Sample, neighbours: &[u32], key: plan::Key) -> Example;

    /// Lays out the examples of a micro-batch as the network takes them.
    fn collate(&self, examples: &[Example]) -> HostBatch;

    /// What the loss is made of.
    fn terms(&self) -> Vec<Term>;

    /// Names of what is counted besides: accuracies, mostly.
    fn ratios(&self) -> Vec<&'static str>;

    /// What the sums of losses are divided by.
    fn normaliser(&self) -> Normaliser;

    /// How many targets of each term that many sequences have, if all are full, on average.
    ///
    /// Gradients are scaled by its inverse before they are converted to fixed point: it has to be about right, and the
    /// same for everybody.
    fn expected_targets(&self, sequences: u64) -> Vec<f64>;

    /// What the network computes with besides its tensors and its sizes, as text: phases of a run must not differ in it.
    fn network_settings(&self) -> String {
        String::new()
    }

    /// The tensors of the network, in the order in which they lie in memory.
    fn parameters(&self) -> Vec<ParameterSpec>;

    /// How the model looks to Hugging Face Transformers: a directory for each network.
    fn exports(&self) -> Vec<Export>;

    /// `tokenizer_config.json` of an exported model; `tokenizer.json` is the dataset's own.
    fn hf_tokenizer_config(&self) -> serde_json::Value;

    /// The network on these parameters, which it shares with the caller.
    #[cfg(feature = "torch")]
    fn build(&self, parameters: &crate::Parameters) -> Box<dyn crate::Network>;
}

/// A summand of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// Its name in reports: `mlm`, `nsp`, `sop`, `sbo`, `rtd`.
    pub name: &'static str,
    /// What its mean is multiplied by.
    pub weight: f64,
}

/// What the sum of the losses of a step's targets is divided by. Where micro-batches have different numbers of targets
/// this is not the same, and the originals differ in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normaliser {
    /// The number of targets in the whole step, over all workers (fairseq's `trainer.py`). For a single term only.
    Global,
    /// The number of targets in the micro-batch; the step takes the mean of the micro-batches. The originals that ran
    /// on TPUs do so per shard.
    Group,
    /// The number of targets in the micro-batch, and the sum over micro-batches is divided again by the number of targets
    /// in the step: SpanBERT's `spanbert_loss.py` divides once and its `trainer.py` a second time.
    GroupOverTargets,
}

/// A directory that Hugging Face Transformers opens.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// Its name inside the exported directory; empty for the directory itself.
    pub folder: &'static str,
    /// `config.json`.
    pub config: serde_json::Value,
    /// The files of tensors.
    pub files: Vec<ExportFile>,
}

/// A safetensors file of an export.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportFile {
    /// The file's name.
    pub name: &'static str,
    /// The tensors in it.
    pub tensors: Vec<ExportTensor>,
}

/// A tensor of an export.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExportTensor {
    /// Its name in the file.
    pub name: String,
    /// The parameter that it holds; several tensors may hold the same.
    pub parameter: String,
}

impl ExportFile {
    /// A file of parameters under their own names.
    pub fn new(name: &'static str, parameters: impl IntoIterator<Item = String>) -> Self {
        let tensors = parameters.into_iter().map(|name| ExportTensor { parameter: name.clone(), name });
        ExportFile { name, tensors: tensors.collect() }
    }

    /// The parameters that a tensor of a file like this holds: none if the model has no place for it. Besides the names
    /// that are written here, those of a bare encoder are read (`encoder.layer.0…` for `bert.encoder.layer.0…`), and what
    /// models converted from TensorFlow call the parts of a layer norm.
    pub fn parameters_of<'a>(&'a self, tensor: &str) -> impl Iterator<Item = &'a str> {
        let tensor = match tensor.rsplit_once('.') {
            Some((at, "gamma")) => format!("{at}.weight"),
            Some((at, "beta")) => format!("{at}.bias"),
            _ => tensor.to_owned(),
        };
        let holds = move |known: &&ExportTensor| {
            let bare = known.name.split_once('.').map(|(_, bare)| bare);
            known.name == tensor || bare == Some(tensor.as_str())
        };
        self.tensors.iter().filter(holds).map(|known| known.parameter.as_str())
    }
}
