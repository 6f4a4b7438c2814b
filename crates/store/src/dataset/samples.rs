//! How many samples each block of a dataset gives: counted once per run from the lengths of sentences. Knows nothing
//! of the order in which they are used.

use corpus::{Block, Layout, PackSpec, Sample, Weights};
use futures::{StreamExt, TryStreamExt};

use super::{Dataset, hex};
use crate::{Packing, StoreError};

/// Blocks that are read at a time.
const IN_FLIGHT: usize = 16;

/// A block in memory, and where its samples lie in it.
#[derive(Debug)]
pub struct PackedBlock {
    block: Block,
    layout: Layout,
}

impl PackedBlock {
    /// Packs a block.
    pub fn new(block: Block, spec: &PackSpec, variant: u32) -> Self {
        let layout = corpus::layout(block.sentence_lens(), spec, variant);
        PackedBlock { block, layout }
    }

    /// How many samples it gives.
    pub fn len(&self) -> usize {
        self.layout.len()
    }

    /// Whether it gives none.
    pub fn is_empty(&self) -> bool {
        self.layout.is_empty()
    }

    /// The tokens of sample `index`.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn sample(&self, index: usize) -> Sample {
        self.block.sample(self.layout.sample(index))
    }

    /// All tokens of the block.
    pub fn ids(&self) -> &[u32] {
        self.block.ids()
    }
}

/// The name of a way of packing a dataset: counts under the same name are the same.
pub fn packing_name(dataset: &Dataset, spec: &PackSpec, variants: u32) -> String {
    named(&dataset.hash(), dataset.weights(), spec, variants)
}

fn named(dataset_hash: &str, weights: &Weights, spec: &PackSpec, variants: u32) -> String {
    let weights = if weights.are_even() { String::new() } else { format!(" {weights}") };
    hex(format!("{dataset_hash} {spec} {variants}{weights}").as_bytes())
}

/// Counts the samples of every block in every variant.
///
/// # Errors
/// As [`Dataset::sentence_lens`].
pub async fn count_samples(dataset: &Dataset, spec: &PackSpec, variants: u32) -> Result<Packing, StoreError> {
    let blocks = (0..dataset.blocks()).map(|block| async move {
        let lens = dataset.sentence_lens(block).await?;
        let counts: Vec<u32> =
            (0..variants).map(|variant| corpus::sample_count(&lens, spec, variant)).collect();
        Ok::<_, StoreError>(counts)
    });
    let by_block: Vec<Vec<u32>> = futures::stream::iter(blocks).buffered(IN_FLIGHT).try_collect().await?;
    let of = |variant: usize| by_block.iter().map(|counts| counts[variant]).collect();
    Ok(Packing { counts: (0..variants as usize).map(of).collect() })
}
