//! What every family must be able to do, as the other rooms see it. Knows no family in particular.

use crate::{Example, HostBatch, ParameterSpec};

/// A model with its objective, as one configuration describes them.
pub trait Recipe: Send + Sync {
    /// How documents are packed into the samples that [`Recipe::example`] takes.
    fn pack_spec(&self) -> corpus::PackSpec;

    /// Masks a sample. All draws come from `key`, which stands for the seed, the epoch and the sample.
    fn example(&self, sample: &corpus::Sample, key: plan::Key) -> Example;

    /// Lays out the examples of a micro-batch as the network takes them.
    fn collate(&self, examples: &[Example]) -> HostBatch;

    /// How many positions are predicted in that many sequences, if all are full, on average.
    ///
    /// Gradients are scaled by its inverse before they are converted to fixed point: it has to be about right, and the
    /// same for everybody.
    fn expected_targets(&self, sequences: u64) -> f64;

    /// The tensors of the network, in the order in which they lie in memory.
    fn parameters(&self) -> Vec<ParameterSpec>;

    /// `config.json` of an exported model.
    fn hf_config(&self) -> serde_json::Value;

    /// `tokenizer_config.json` of an exported model; `tokenizer.json` is the dataset's own.
    fn hf_tokenizer_config(&self) -> serde_json::Value;

    /// The network on these parameters, which it shares with the caller.
    #[cfg(feature = "torch")]
    fn build(&self, parameters: &crate::Parameters) -> Box<dyn crate::Network>;
}
