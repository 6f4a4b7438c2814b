//! The feed: the run's micro-batches, read, packed, masked and collated ahead of the engine. What a micro-batch holds
//! is a function of its index; this file only keeps the blocks that are needed close at hand.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use corpus::{Block, Layout};
use families::{HostBatch, Recipe};
use futures::future::try_join_all;
use plan::{EpochOrder, Key, Order, RunPlan, SampleRef};
use store::{Dataset, StoreError};
use thiserror::Error;
use tokio::runtime::Handle;

/// Micro-batches that are ready before the engine asks.
const AHEAD: usize = 4;
/// Decoded blocks are kept up to this many bytes. A worker's lanes times the window should fit.
const CACHE_BYTES: usize = 2 << 30;

/// Data that cannot be turned into micro-batches.
#[derive(Debug, Error)]
pub enum FeedError {
    /// A block cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The dataset is not the one that the run's samples were counted on.
    #[error(
        "block {block} of {dataset} has {found} samples, but the run counted {counted}: the dataset has changed; prepare it again or start another run"
    )]
    Changed {
        /// The dataset's place.
        dataset: String,
        /// The block.
        block: u32,
        /// Samples that packing found.
        found: usize,
        /// Samples that the run counted when it began.
        counted: u32,
    },
    /// The feeding thread ended early.
    #[error("the feed broke; this is a bug, see the log")]
    Broken,
}

/// Everything that turns an index into a micro-batch.
pub struct Materials {
    plan: RunPlan,
    recipe: Arc<dyn Recipe>,
    dataset: Dataset,
    order: Order,
    counts: Vec<Vec<u32>>,
    runtime: Handle,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    epoch: Option<(u64, Arc<EpochOrder>)>,
    blocks: BTreeMap<(u32, u32), (u64, Arc<Packed>)>,
    clock: u64,
    bytes: usize,
}

/// A block in memory, and where its samples lie in it.
struct Packed {
    block: Block,
    layout: Layout,
}

impl Packed {
    fn bytes(&self) -> usize {
        self.block.ids().len() * 4
    }
}

impl Materials {
    /// Ties plan, dataset and the samples counted per variant and block together.
    pub fn new(
        plan: RunPlan,
        recipe: Arc<dyn Recipe>,
        dataset: Dataset,
        counts: Vec<Vec<u32>>,
        runtime: Handle,
    ) -> Self {
        let order = Order::new(counts.clone(), plan.run.seed, plan.order_shape());
        Materials { plan, recipe, dataset, order, counts, runtime, cache: Mutex::default() }
    }

    /// How many micro-batches of a step a member computes.
    pub(crate) fn share(&self, rank: u32, world: u32, step: u64) -> usize {
        let (count, lanes) = (self.plan.micro_batches(), self.plan.data.lanes);
        plan::micro_batches_of(rank, world, step * count, count, lanes).count()
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run's micro-batch `index`. Blocks on storage if its blocks are not cached.
    ///
    /// # Errors
    /// If a block cannot be read, or is not what it was when the run began.
    pub fn micro_batch(&self, index: u64) -> Result<HostBatch, FeedError> {
        let (epoch, place) = self.order.locate(index);
        let variant = self.order.variant_of(epoch) as u32;
        let samples = self.epoch(epoch).micro_batch(place);
        let blocks = self.blocks(variant, &samples)?;
        let masks = Key::root(self.plan.run.seed).named("mask").index(epoch);
        let examples: Vec<_> = samples
            .iter()
            .map(|sample| {
                let packed = &blocks[&sample.block];
                let segments = packed.layout.sample(sample.index as usize);
                let key = masks.index(u64::from(sample.block)).index(u64::from(sample.index));
                self.recipe.example(&packed.block.sample(segments), key)
            })
            .collect();
        Ok(self.recipe.collate(&examples))
    }

    fn epoch(&self, epoch: u64) -> Arc<EpochOrder> {
        if let Some((cached, order)) = &self.cache().epoch
            && *cached == epoch
        {
            return order.clone();
        }
        let order = Arc::new(self.order.epoch(epoch));
        self.cache().epoch = Some((epoch, order.clone()));
        order
    }

    fn blocks(&self, variant: u32, samples: &[SampleRef]) -> Result<BTreeMap<u32, Arc<Packed>>, FeedError> {
        let mut found = BTreeMap::new();
        let mut missing: Vec<u32> = Vec::new();
        {
            let mut cache = self.cache();
            cache.clock += 1;
            let clock = cache.clock;
            for sample in samples {
                match cache.blocks.get_mut(&(variant, sample.block)) {
                    Some((used, packed)) => {
                        *used = clock;
                        found.insert(sample.block, packed.clone());
                    }
                    None => missing.push(sample.block),
                }
            }
        }
        missing.sort_unstable();
        missing.dedup();
        let read = missing.iter().map(|&block| self.dataset.block(block as usize));
        let read = self.runtime.block_on(try_join_all(read))?;
        for (number, block) in missing.into_iter().zip(read) {
            let packed = Arc::new(self.pack(variant, number, block)?);
            self.cache().insert((variant, number), packed.clone());
            found.insert(number, packed);
        }
        Ok(found)
    }

    fn pack(&self, variant: u32, number: u32, block: Block) -> Result<Packed, FeedError> {
        let layout = corpus::layout(block.sentence_lens(), &self.recipe.pack_spec(), variant);
        let counted = self.counts[variant as usize][number as usize];
        if layout.len() != counted as usize {
            let (dataset, found) = (self.plan.data.dataset.clone(), layout.len());
            return Err(FeedError::Changed { dataset, block: number, found, counted });
        }
        Ok(Packed { block, layout })
    }
}

impl Cache {
    fn insert(&mut self, key: (u32, u32), packed: Arc<Packed>) {
        self.bytes += packed.bytes();
        if let Some((_, old)) = self.blocks.insert(key, (self.clock, packed)) {
            self.bytes -= old.bytes();
        }
        while self.bytes > CACHE_BYTES && self.blocks.len() > 1 {
            let oldest = self.blocks.iter().min_by_key(|(_, (used, _))| *used).map(|(&key, _)| key);
            if let Some((_, evicted)) = oldest.and_then(|key| self.blocks.remove(&key)) {
                self.bytes -= evicted.bytes();
            }
        }
    }
}

type Fed = Result<(u64, HostBatch), FeedError>;

/// A member's micro-batches from a step on, made ahead by a thread of their own. The thread ends with the feed.
pub(crate) struct Feed {
    batches: Receiver<Fed>,
}

impl Feed {
    pub(crate) fn start(materials: Arc<Materials>, rank: u32, world: u32, step: u64) -> Self {
        let (sender, batches) = sync_channel(AHEAD);
        let thread = std::thread::Builder::new().name("feed".into());
        let spawned = thread.spawn(move || feed(&materials, rank, world, step, &sender));
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread for the feed");
        }
        Feed { batches }
    }

    /// The next micro-batch of this member, with its index.
    pub(crate) fn next(&mut self) -> Fed {
        self.batches.recv().unwrap_or(Err(FeedError::Broken))
    }
}

fn feed(materials: &Materials, rank: u32, world: u32, step: u64, sender: &SyncSender<Fed>) {
    let (count, lanes) = (materials.plan.micro_batches(), materials.plan.data.lanes);
    for step in step..materials.plan.train.steps {
        for index in plan::micro_batches_of(rank, world, step * count, count, lanes) {
            let batch = materials.micro_batch(index).map(|batch| (index, batch));
            let failed = batch.is_err();
            if sender.send(batch).is_err() || failed {
                return;
            }
        }
    }
}
