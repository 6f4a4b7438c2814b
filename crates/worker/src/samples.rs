//! Micro-batches by their number: blocks are read when they are needed and kept close at hand. Knows neither steps nor
//! members.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use families::HostBatch;
use futures::future::try_join_all;
use plan::{EpochOrder, SampleRef};
use store::PackedBlock;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};

use crate::FeedError;
use crate::stage::Stage;

/// Decoded blocks are kept up to this many bytes, or this share of the machine's memory if that is more: it may have a worker
/// for each of eight devices, with held-out samples besides. A worker's lanes times the window should fit.
const CACHE_BYTES: usize = 2 << 30;
const CACHE_SHARE: usize = 32;
/// Blocks that are read at a time, whoever wants them: those under way count for no limit of memory.
const READS: usize = 32;
/// Blocks that were thrown away and are remembered, and how many of them may be read again before somebody is told.
const THROWN_AWAY: usize = 1 << 16;
const READ_AGAIN: u32 = 64;

/// Orders of epochs that are kept.
const EPOCHS: usize = 2;

/// A block by its stage, variant and number.
type Key = (usize, u32, u32);
/// Filled by whoever comes first; everybody else waits for that.
type Slot = Arc<OnceCell<Arc<PackedBlock>>>;

/// The samples of some stages, and the blocks of them that were read last.
pub struct Samples {
    pub(crate) stages: Vec<Arc<Stage>>,
    runtime: Handle,
    cache: Arc<Mutex<Cache>>,
    reads: Arc<Semaphore>,
}

#[derive(Default)]
struct Cache {
    /// The newest first: what is prefetched may belong to the next one already.
    epochs: VecDeque<((usize, u64), Arc<EpochOrder>)>,
    /// With the time of their last use.
    blocks: BTreeMap<Key, (u64, Slot)>,
    clock: u64,
    /// Of those that are filled.
    bytes: usize,
    limit: usize,
    /// Those that were thrown away, and when; and how many of them were read again soon.
    thrown_away: BTreeMap<Key, u64>,
    read_again: u32,
}

impl Samples {
    /// Those of these stages; `runtime` reads their blocks.
    pub fn new(stages: Vec<Stage>, runtime: Handle) -> Self {
        let limit = CACHE_BYTES.max(machine_memory() / CACHE_SHARE);
        let cache = Arc::new(Mutex::new(Cache { limit, ..Cache::default() }));
        let (stages, reads) = (stages.into_iter().map(Arc::new).collect(), Arc::new(Semaphore::new(READS)));
        Samples { stages, runtime, cache, reads }
    }

    /// Micro-batch `index` of a stage. Blocks on storage if its blocks are not cached.
    ///
    /// # Errors
    /// If a block cannot be read, or is not what it was when the run began.
    pub fn micro_batch(&self, stage: usize, index: u64) -> Result<HostBatch, FeedError> {
        let (epoch, samples, keys) = self.wanted(stage, index);
        let blocks = self.runtime.block_on(try_join_all(keys.into_iter().map(|key| self.block(key))))?;
        let blocks: BTreeMap<u32, Arc<PackedBlock>> = blocks.into_iter().collect();
        Ok(self.stages[stage].collate(epoch, &samples, |block| &blocks[&block]))
    }

    /// Begins to read the blocks of a micro-batch that will be wanted, and waits for nothing. What fails will fail again
    /// where it is wanted.
    pub(crate) fn prefetch(&self, stage: usize, index: u64) {
        let (_, _, keys) = self.wanted(stage, index);
        for key in keys {
            let block = self.block(key);
            self.runtime.spawn(async move { drop(block.await) });
        }
    }

    /// The samples of micro-batch `index` of a stage.
    pub(crate) fn names(&self, stage: usize, index: u64) -> Vec<SampleRef> {
        let (epoch, place) = self.stages[stage].order.locate(index);
        self.epoch(stage, epoch).micro_batch(place)
    }

    /// A micro-batch's epoch and samples, and the blocks that hold them, once each.
    fn wanted(&self, stage: usize, index: u64) -> (u64, Vec<SampleRef>, Vec<Key>) {
        let order = &self.stages[stage].order;
        let (epoch, place) = order.locate(index);
        let (samples, variant) =
            (self.epoch(stage, epoch).micro_batch(place), order.variant_of(epoch) as u32);
        let mut keys: Vec<Key> = samples.iter().map(|sample| (stage, variant, sample.block)).collect();
        keys.sort_unstable();
        keys.dedup();
        (epoch, samples, keys)
    }

    fn epoch(&self, stage: usize, epoch: u64) -> Arc<EpochOrder> {
        let wanted = (stage, epoch);
        if let Some((_, order)) = lock(&self.cache).epochs.iter().find(|(cached, _)| *cached == wanted) {
            return order.clone();
        }
        let order = Arc::new(self.stages[stage].order.epoch(epoch));
        let mut cache = lock(&self.cache);
        cache.epochs.push_front((wanted, order.clone()));
        cache.epochs.truncate(EPOCHS);
        order
    }

    /// A block with its number: from the cache, from whoever is reading it already, or read now.
    fn block(
        &self,
        key: Key,
    ) -> impl Future<Output = Result<(u32, Arc<PackedBlock>), FeedError>> + Send + use<> {
        let ((stage, variant, number), cache, reads) = (key, self.cache.clone(), self.reads.clone());
        let (stage, slot) = (self.stages[stage].clone(), lock(&cache).slot(key));
        async move {
            let read = async || {
                // In the order in which they were asked for.
                let _turn = reads.acquire().await.map_err(|_| FeedError::Broken)?;
                let block = stage.dataset.block(number as usize).await?;
                // Packing takes milliseconds, and others want this thread.
                let packing = tokio::task::spawn_blocking(move || stage.pack(variant, number, block));
                let packed = Arc::new(packing.await.map_err(|_| FeedError::Broken)??);
                lock(&cache).filled(key, &packed);
                Ok::<_, FeedError>(packed)
            };
            let packed = slot.get_or_try_init(read).await?;
            Ok((number, packed.clone()))
        }
    }
}

fn lock(cache: &Mutex<Cache>) -> std::sync::MutexGuard<'_, Cache> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cache {
    fn slot(&mut self, key: Key) -> Slot {
        self.clock += 1;
        let (used, slot) = self.blocks.entry(key).or_default();
        *used = self.clock;
        slot.clone()
    }

    /// Counts a block that is there now, and forgets those that were used longest ago.
    fn filled(&mut self, key: Key, packed: &PackedBlock) {
        self.bytes += bytes_of(packed);
        // Another epoch needs them again, too, but not so soon.
        let soon = 8 * self.blocks.len() as u64;
        self.read_again += u32::from(self.thrown_away.remove(&key).is_some_and(|at| self.clock < at + soon));
        if self.read_again == READ_AGAIN {
            tracing::warn!(
                gigabytes = self.limit as f64 / 1e9,
                "blocks are thrown away before they are used up, and read again and again: the lanes of this worker times \
                 data.window blocks do not fit into this memory; more workers, a smaller data.window, or smaller blocks \
                 (prepare's dataset.block_bytes) help"
            );
        }
        let oldest_first: BTreeMap<u64, (Key, usize)> = match self.bytes > self.limit {
            false => return,
            true => self.blocks.iter().filter(|(other, _)| **other != key).filter_map(in_order).collect(),
        };
        for (oldest, bytes) in oldest_first.into_values() {
            if self.bytes <= self.limit {
                return;
            }
            self.blocks.remove(&oldest);
            self.bytes -= bytes;
            if self.thrown_away.len() == THROWN_AWAY {
                self.thrown_away.clear();
            }
            self.thrown_away.insert(oldest, self.clock);
        }
    }
}

/// The last use of a block that is filled, and how large it is.
fn in_order((key, (used, slot)): (&Key, &(u64, Slot))) -> Option<(u64, (Key, usize))> {
    Some((*used, (*key, bytes_of(slot.get()?))))
}

/// Bytes of memory that this machine has, or this container may use; 0 if nobody tells.
fn machine_memory() -> usize {
    let allowed = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let allowed = allowed.and_then(|text| text.trim().parse().ok()).unwrap_or(usize::MAX);
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total =
        told.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    total.map_or(0, |kib: usize| kib.saturating_mul(1024).min(allowed))
}

fn bytes_of(packed: &PackedBlock) -> usize {
    packed.ids().len() * 4
}
