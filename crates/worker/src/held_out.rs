//! Samples that are not learned from. Their order, their packing and their masks are always the same, so that what is
//! measured on them can be compared from run to run. Knows no network.

use std::sync::Arc;

use families::{HostBatch, Recipe};
use plan::{Key, OrderShape};
use store::Dataset;
use tokio::runtime::Handle;

use crate::samples::Samples;
use crate::stage::Stage;
use crate::{FeedError, WorkerError};

/// Blocks that are shuffled together.
const WINDOW: u32 = 16;

/// The first samples of a dataset, in an order that a seed decides.
pub struct HeldOut {
    samples: Samples,
    micro_batches: u64,
}

impl HeldOut {
    /// `sequences` samples of the dataset at `place`, or all of them if there are fewer, masked as `recipe` has it, in
    /// micro-batches of `micro_batch`.
    ///
    /// # Errors
    /// If the dataset cannot be read, or has no sample.
    pub async fn open(
        place: &str,
        recipe: Arc<dyn Recipe>,
        sequences: u64,
        micro_batch: u32,
        seed: u64,
    ) -> Result<Self, WorkerError> {
        let dataset = Dataset::open(place).await?;
        let counted = store::count_samples(&dataset, &recipe.pack_spec(), 1).await?;
        if counted.counts[0].iter().all(|&count| count == 0) {
            return Err(WorkerError::Unusable(format!("the held-out dataset {place} gives no samples")));
        }
        let shape = OrderShape { lanes: 1, window: WINDOW, micro_batch };
        let key = Key::root(seed).named("evaluation");
        let stage = Stage::new(dataset, recipe, counted.counts, key, shape);
        let micro_batches = sequences.div_ceil(u64::from(micro_batch)).min(stage.order.epoch_len(0));
        Ok(HeldOut { samples: Samples::new(vec![stage], Handle::current()), micro_batches })
    }

    /// How many micro-batches there are.
    pub fn len(&self) -> u64 {
        self.micro_batches
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.micro_batches == 0
    }

    /// Each micro-batch, to be read when it is wanted; reading blocks.
    pub fn micro_batches(&self) -> impl Iterator<Item = impl Fn() -> Result<HostBatch, FeedError>> {
        (0..self.micro_batches).map(move |index| move || self.samples.micro_batch(0, index))
    }
}
