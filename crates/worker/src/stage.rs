//! Samples of one recipe over one dataset, in the order of one phase: what a micro-batch's index stands for. Knows
//! neither caches nor threads.

use std::sync::Arc;

use corpus::Block;
use families::{HostBatch, Recipe};
use plan::{Key, Order, OrderShape, SampleRef};
use store::{Dataset, PackedBlock};

use crate::FeedError;

/// A phase of the run, or its held-out samples.
pub struct Stage {
    pub(crate) dataset: Dataset,
    recipe: Arc<dyn Recipe>,
    pub(crate) order: Order,
    /// Samples of every block, in every variant.
    counts: Vec<Vec<u32>>,
    /// The root of the draws of its samples.
    key: Key,
}

impl Stage {
    /// Samples that were counted per variant and block; `key` names the phase ([`plan::Phase::key`]).
    pub fn new(
        dataset: Dataset,
        recipe: Arc<dyn Recipe>,
        counts: Vec<Vec<u32>>,
        key: Key,
        shape: OrderShape,
    ) -> Self {
        let order = Order::new(counts.clone(), key, shape);
        Stage { dataset, recipe, order, counts, key }
    }

    /// Packs a block, and makes sure that it gives what was counted.
    pub(crate) fn pack(&self, variant: u32, number: u32, block: Block) -> Result<PackedBlock, FeedError> {
        let packed = PackedBlock::new(block, &self.recipe.pack_spec(), variant);
        let counted = self.counts[variant as usize][number as usize];
        if packed.len() != counted as usize {
            let (dataset, found) = (self.dataset.place(), packed.len());
            return Err(FeedError::Changed { dataset, block: number, found, counted });
        }
        Ok(packed)
    }

    /// Masks samples of an epoch and lays them out. `packed` holds their blocks.
    pub(crate) fn collate<'a>(
        &self,
        epoch: u64,
        samples: &[SampleRef],
        packed: impl Fn(u32) -> &'a PackedBlock,
    ) -> HostBatch {
        // Masks that are drawn once belong to the way of packing, others to the epoch.
        let turn = if self.recipe.static_masks() { self.order.variant_of(epoch) } else { epoch };
        let masks = self.key.named("mask").index(turn);
        let example = |sample: &SampleRef| {
            let block = packed(sample.block);
            let key = masks.index(u64::from(sample.block)).index(u64::from(sample.index));
            self.recipe.example(&block.sample(sample.index as usize), block.ids(), key)
        };
        self.recipe.collate(&samples.iter().map(example).collect::<Vec<_>>())
    }
}
