//! Micro-batches by their number: blocks are read when they are needed and kept close at hand. Knows neither steps nor
//! members.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use families::HostBatch;
use futures::future::try_join_all;
use plan::{EpochOrder, SampleRef};
use store::PackedBlock;
use tokio::runtime::Handle;

use crate::FeedError;
use crate::stage::Stage;

/// Decoded blocks are kept up to this many bytes. A worker's lanes times the window should fit.
const CACHE_BYTES: usize = 2 << 30;

/// The samples of some stages, and the blocks of them that were read last.
pub struct Samples {
    pub(crate) stages: Vec<Stage>,
    runtime: Handle,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    epoch: Option<((usize, u64), Arc<EpochOrder>)>,
    /// By stage, variant and number.
    blocks: BTreeMap<(usize, u32, u32), (u64, Arc<PackedBlock>)>,
    clock: u64,
    bytes: usize,
}

impl Samples {
    /// Those of these stages; `runtime` reads their blocks.
    pub fn new(stages: Vec<Stage>, runtime: Handle) -> Self {
        Samples { stages, runtime, cache: Mutex::default() }
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Micro-batch `index` of a stage. Blocks on storage if its blocks are not cached.
    ///
    /// # Errors
    /// If a block cannot be read, or is not what it was when the run began.
    pub fn micro_batch(&self, stage: usize, index: u64) -> Result<HostBatch, FeedError> {
        let order = &self.stages[stage].order;
        let (epoch, place) = order.locate(index);
        let samples = self.epoch(stage, epoch).micro_batch(place);
        let blocks = self.blocks(stage, order.variant_of(epoch) as u32, &samples)?;
        Ok(self.stages[stage].collate(epoch, &samples, |block| &blocks[&block]))
    }

    /// The samples of micro-batch `index` of a stage.
    pub(crate) fn names(&self, stage: usize, index: u64) -> Vec<SampleRef> {
        let (epoch, place) = self.stages[stage].order.locate(index);
        self.epoch(stage, epoch).micro_batch(place)
    }

    fn epoch(&self, stage: usize, epoch: u64) -> Arc<EpochOrder> {
        if let Some((cached, order)) = &self.cache().epoch
            && *cached == (stage, epoch)
        {
            return order.clone();
        }
        let order = Arc::new(self.stages[stage].order.epoch(epoch));
        self.cache().epoch = Some(((stage, epoch), order.clone()));
        order
    }

    fn blocks(
        &self,
        stage: usize,
        variant: u32,
        samples: &[SampleRef],
    ) -> Result<BTreeMap<u32, Arc<PackedBlock>>, FeedError> {
        let mut found = BTreeMap::new();
        let mut missing: Vec<u32> = Vec::new();
        {
            let mut cache = self.cache();
            cache.clock += 1;
            let clock = cache.clock;
            for sample in samples {
                match cache.blocks.get_mut(&(stage, variant, sample.block)) {
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
        let dataset = &self.stages[stage].dataset;
        let read = missing.iter().map(|&block| dataset.block(block as usize));
        let read = self.runtime.block_on(try_join_all(read))?;
        for (number, block) in missing.into_iter().zip(read) {
            let packed = Arc::new(self.stages[stage].pack(variant, number, block)?);
            self.cache().insert((stage, variant, number), packed.clone());
            found.insert(number, packed);
        }
        Ok(found)
    }
}

impl Cache {
    fn insert(&mut self, key: (usize, u32, u32), packed: Arc<PackedBlock>) {
        self.bytes += bytes_of(&packed);
        if let Some((_, old)) = self.blocks.insert(key, (self.clock, packed)) {
            self.bytes -= bytes_of(&old);
        }
        while self.bytes > CACHE_BYTES && self.blocks.len() > 1 {
            let oldest = self.blocks.iter().min_by_key(|(_, (used, _))| *used).map(|(&key, _)| key);
            if let Some((_, evicted)) = oldest.and_then(|key| self.blocks.remove(&key)) {
                self.bytes -= bytes_of(&evicted);
            }
        }
    }
}

fn bytes_of(packed: &PackedBlock) -> usize {
    packed.ids().len() * 4
}
