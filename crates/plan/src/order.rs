//! The order of the samples of a phase (or of a run in one piece), as arithmetic. Blocks are dealt to lanes
//! by a keyed permutation, windows of blocks are permuted inside each lane, and micro-batches are taken from
//! the lanes round robin. What micro-batch `g` holds is a function of (counts, key, lanes, window,
//! micro-batch size, g): nothing here knows a worker, and a position in the phase is one integer.
//!
//! Lanes end unevenly. Each lane gives whole micro-batches as long as every lane can; what is left of all
//! lanes is permuted once more and forms the tail of the epoch, whose last micro-batch may be short. So an
//! epoch holds every sample exactly once and `ceil(samples / micro_batch)` micro-batches.

use crate::{Key, Permutation};

/// The three numbers that shape the order. All are part of the recipe: changing one changes the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderShape {
    /// C: independent readers of the corpus; at least the largest number of workers.
    pub lanes: u32,
    /// W: blocks of a lane that are shuffled together.
    pub window: u32,
    /// Samples in a micro-batch.
    pub micro_batch: u32,
}

/// One sample: the `index`-th that `pack` makes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleRef {
    /// The block (row group) of the dataset.
    pub block: u32,
    /// The sample inside the block.
    pub index: u32,
}

/// One epoch's order.
#[derive(Clone, Debug)]
pub struct EpochOrder {
    shape: OrderShape,
    lanes: Vec<Lane>,
    /// Whole micro-batches that every lane can give.
    rounds: u64,
    /// Where each lane's leftover begins among all leftovers; one more entry than lanes.
    leftovers: Vec<u64>,
    tail: Permutation,
    samples: u64,
}

#[derive(Clone, Debug)]
struct Lane {
    windows: Vec<Window>,
    samples: u64,
}

#[derive(Clone, Debug)]
struct Window {
    /// First position of the window in its lane.
    start: u64,
    blocks: Vec<u32>,
    /// First sample of each block in the window, before shuffling.
    starts: Vec<u64>,
    shuffle: Permutation,
}

impl EpochOrder {
    /// The order of an epoch over blocks that hold `counts[block]` samples each; `key` names run and epoch.
    pub fn new(counts: &[u32], key: Key, shape: OrderShape) -> Self {
        let blocks = Permutation::new(counts.len() as u64, key.named("blocks"));
        let mut dealt = vec![Vec::new(); shape.lanes as usize];
        for position in 0..blocks.len() {
            dealt[(position % u64::from(shape.lanes)) as usize].push(blocks.apply(position) as u32);
        }
        let lanes: Vec<Lane> = dealt
            .iter()
            .enumerate()
            .map(|(lane, blocks)| {
                Lane::new(blocks, counts, shape.window, key.named("lane").index(lane as u64))
            })
            .collect();
        let batch = u64::from(shape.micro_batch);
        let rounds = lanes.iter().map(|lane| lane.samples / batch).min().unwrap_or(0);
        let mut leftovers = vec![0];
        for lane in &lanes {
            leftovers.push(leftovers[leftovers.len() - 1] + lane.samples - rounds * batch);
        }
        let tail = Permutation::new(leftovers[lanes.len()], key.named("tail"));
        let samples = lanes.iter().map(|lane| lane.samples).sum();
        EpochOrder { shape, lanes, rounds, leftovers, tail, samples }
    }

    /// Micro-batches in the epoch.
    pub fn micro_batches(&self) -> u64 {
        self.samples.div_ceil(u64::from(self.shape.micro_batch))
    }

    /// The samples of the epoch's micro-batch `index`, in order.
    ///
    /// # Panics
    /// If the epoch has no such micro-batch.
    pub fn micro_batch(&self, index: u64) -> Vec<SampleRef> {
        assert!(index < self.micro_batches(), "micro-batch {index} of {}", self.micro_batches());
        let (batch, lanes) = (u64::from(self.shape.micro_batch), u64::from(self.shape.lanes));
        if index < self.rounds * lanes {
            let lane = &self.lanes[(index % lanes) as usize];
            let start = index / lanes * batch;
            return (start..start + batch).map(|position| lane.sample(position)).collect();
        }
        let start = (index - self.rounds * lanes) * batch;
        (start..(start + batch).min(self.tail.len())).map(|position| self.tail_sample(position)).collect()
    }

    fn tail_sample(&self, position: u64) -> SampleRef {
        let leftover = self.tail.apply(position);
        let lane = self.leftovers.partition_point(|&start| start <= leftover) - 1;
        let offset = leftover - self.leftovers[lane];
        self.lanes[lane].sample(self.rounds * u64::from(self.shape.micro_batch) + offset)
    }
}

impl Lane {
    fn new(blocks: &[u32], counts: &[u32], window: u32, key: Key) -> Self {
        let (mut windows, mut samples) = (Vec::new(), 0);
        for (number, blocks) in blocks.chunks(window as usize).enumerate() {
            let (mut starts, mut len) = (Vec::with_capacity(blocks.len()), 0u64);
            for &block in blocks {
                starts.push(len);
                len += u64::from(counts[block as usize]);
            }
            let shuffle = Permutation::new(len, key.index(number as u64));
            windows.push(Window { start: samples, blocks: blocks.to_vec(), starts, shuffle });
            samples += len;
        }
        Lane { windows, samples }
    }

    fn sample(&self, position: u64) -> SampleRef {
        let window = &self.windows[self.windows.partition_point(|window| window.start <= position) - 1];
        let shuffled = window.shuffle.apply(position - window.start);
        let block = window.starts.partition_point(|&start| start <= shuffled) - 1;
        SampleRef { block: window.blocks[block], index: (shuffled - window.starts[block]) as u32 }
    }
}

/// The order of a phase, or of a run in one piece: epochs end to end, each with its own shuffle and its own
/// variant of packing.
#[derive(Clone, Debug)]
pub struct Order {
    /// `counts[variant][block]` samples.
    counts: Vec<Vec<u32>>,
    key: Key,
    shape: OrderShape,
}

impl Order {
    /// The order over `counts[variant][block]` samples of the phase that `key` stands for
    /// ([`crate::Phase::key`]). Epoch `e` uses variant `e mod counts.len()`.
    ///
    /// # Panics
    /// If a variant has no samples: a run over nothing has no order.
    pub fn new(counts: Vec<Vec<u32>>, key: Key, shape: OrderShape) -> Self {
        let order = Order { counts, key: key.named("order"), shape };
        assert!(
            (0..order.variants()).all(|variant| order.epoch_len(variant) > 0),
            "a dataset without samples"
        );
        order
    }

    /// How many ways of packing the epochs cycle through.
    pub fn variants(&self) -> u64 {
        self.counts.len() as u64
    }

    /// The variant of packing that an epoch uses.
    pub fn variant_of(&self, epoch: u64) -> u64 {
        epoch % self.variants()
    }

    /// Samples in an epoch.
    pub fn epoch_samples(&self, epoch: u64) -> u64 {
        self.counts[self.variant_of(epoch) as usize].iter().map(|&count| u64::from(count)).sum()
    }

    /// Micro-batches in an epoch.
    pub fn epoch_len(&self, epoch: u64) -> u64 {
        self.epoch_samples(epoch).div_ceil(u64::from(self.shape.micro_batch))
    }

    /// The epoch of the phase's micro-batch `index`, and its place in that epoch.
    pub fn locate(&self, index: u64) -> (u64, u64) {
        let cycle: u64 = (0..self.variants()).map(|variant| self.epoch_len(variant)).sum();
        let (mut epoch, mut rest) = (index / cycle * self.variants(), index % cycle);
        while rest >= self.epoch_len(epoch) {
            rest -= self.epoch_len(epoch);
            epoch += 1;
        }
        (epoch, rest)
    }

    /// The order inside one epoch. Costs time and memory in proportion to the number of blocks; keep it.
    pub fn epoch(&self, epoch: u64) -> EpochOrder {
        let counts = &self.counts[self.variant_of(epoch) as usize];
        EpochOrder::new(counts, self.key.index(epoch), self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn shapes() -> impl Strategy<Value = OrderShape> {
        (0u32..5, 1u32..5, 1u32..9).prop_map(|(log, window, micro_batch)| OrderShape {
            lanes: 1 << log,
            window,
            micro_batch,
        })
    }

    proptest! {
        #[test]
        fn an_epoch_holds_every_sample_once(
            counts in prop::collection::vec(0u32..20, 1..40), seed: u64, shape in shapes(),
        ) {
            let order = EpochOrder::new(&counts, Key::root(seed), shape);
            let mut seen: Vec<SampleRef> =
                (0..order.micro_batches()).flat_map(|index| order.micro_batch(index)).collect();
            seen.sort_unstable();
            let all: Vec<SampleRef> = (0u32..)
                .zip(&counts)
                .flat_map(|(block, &count)| (0..count).map(move |index| SampleRef { block, index }))
                .collect();
            prop_assert_eq!(seen, all);
        }

        #[test]
        fn only_the_last_micro_batch_is_short(
            counts in prop::collection::vec(1u32..20, 1..40), seed: u64, shape in shapes(),
        ) {
            let order = EpochOrder::new(&counts, Key::root(seed), shape);
            for index in 0..order.micro_batches() - 1 {
                prop_assert_eq!(order.micro_batch(index).len(), shape.micro_batch as usize);
            }
        }

        #[test]
        fn any_number_of_workers_sees_the_same_micro_batches(
            counts in prop::collection::vec(1u32..20, 1..20), seed: u64, shape in shapes(),
            world in 1u32..9, per_step in 1u64..12,
        ) {
            let order = Order::new(vec![counts], Key::root(seed), shape);
            let content = |index| {
                let (epoch, place) = order.locate(index);
                (epoch, order.epoch(epoch).micro_batch(place))
            };
            let mut gathered = BTreeMap::new();
            for step in 0..4 {
                for rank in 0..world.min(shape.lanes) {
                    let world = world.min(shape.lanes);
                    let deal = crate::Deal::even(world);
                    for index in deal.micro_batches(rank, step * per_step, per_step, shape.lanes) {
                        prop_assert!(gathered.insert(index, content(index)).is_none());
                    }
                }
            }
            for (index, found) in gathered {
                prop_assert_eq!(found, content(index));
            }
        }

        #[test]
        fn epochs_follow_one_another(
            a in prop::collection::vec(1u32..9, 1..9), b in prop::collection::vec(1u32..9, 1..9), shape in shapes(),
        ) {
            let order = Order::new(vec![a, b], Key::root(7), shape);
            let (mut epoch, mut place) = (0, 0);
            for index in 0..200 {
                prop_assert_eq!(order.locate(index), (epoch, place));
                place += 1;
                if place == order.epoch_len(epoch) {
                    (epoch, place) = (epoch + 1, 0);
                }
            }
        }
    }

    #[test]
    fn the_order_is_pinned() {
        // A change here changes every run ever made: it must be on purpose.
        let shape = OrderShape { lanes: 8, window: 16, micro_batch: 8 };
        let found = Order::new(vec![vec![50; 4]], Key::root(7), shape).epoch(1).micro_batch(2);
        let found: Vec<(u32, u32)> = found.iter().map(|sample| (sample.block, sample.index)).collect();
        assert_eq!(found, [(3, 5), (2, 31), (1, 6), (2, 14), (1, 39), (3, 8), (0, 11), (2, 24)]);
    }

    #[test]
    fn epochs_differ() {
        let shape = OrderShape { lanes: 2, window: 2, micro_batch: 4 };
        let order = Order::new(vec![vec![50; 4]], Key::root(1), shape);
        assert_ne!(order.epoch(0).micro_batch(0), order.epoch(1).micro_batch(0));
    }

    #[test]
    fn samples_of_a_block_are_spread() {
        // 16 blocks of 64 in one window: the first 64 samples should come from many blocks, not from one.
        let shape = OrderShape { lanes: 1, window: 16, micro_batch: 64 };
        let first = EpochOrder::new(&[64; 16], Key::root(5), shape).micro_batch(0);
        let blocks: std::collections::BTreeSet<u32> = first.iter().map(|sample| sample.block).collect();
        assert!(blocks.len() > 12, "{} blocks of 16", blocks.len());
    }
}
