//! Who computes which micro-batch. A step's micro-batches are dealt to the members of a generation in proportion to
//! their speeds, lane by lane, so that a worker keeps reading the same blocks. Numerics do not depend on any of this: see
//! `Order`.

/// The lane that micro-batch `index` (counted from the start of its phase) draws on.
pub fn lane_of(index: u64, lanes: u32) -> u32 {
    (index % u64::from(lanes)) as u32
}

/// How steps are dealt: a weight for each rank. A step's micro-batches are laid out lane by lane and cut where the
/// weights say, so that any number of workers of any speeds can share steps of any size.
///
/// ```
/// // Five micro-batches over four lanes and three workers: no divisibility is asked for.
/// let even = plan::Deal::even(3);
/// let of = |rank| even.micro_batches(rank, 0, 5, 4);
/// assert_eq!((of(0), of(1), of(2)), (vec![0, 4], vec![1], vec![2, 3]));
/// // A worker that is three times as fast as the other.
/// assert_eq!(plan::Deal::new(vec![3, 1]).shares(8), [6, 2]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deal {
    weights: Vec<u32>,
}

impl Deal {
    /// The largest weight that [`Deal::in_proportion`] gives: a share is right to a thousandth.
    const FINEST: f64 = 1_000.0;

    /// The same for everybody.
    pub fn even(world: u32) -> Self {
        Deal { weights: vec![1; world as usize] }
    }

    /// With these weights by rank. A weight of 0 counts as 1: nobody is left without work for good.
    pub fn new(weights: Vec<u32>) -> Self {
        Deal { weights: weights.into_iter().map(|weight| weight.max(1)).collect() }
    }

    /// In proportion to speeds, in whatever unit. Equal speeds give [`Deal::even`].
    pub fn in_proportion(speeds: &[f64]) -> Self {
        let fastest = speeds.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        if speeds.iter().all(|speed| *speed == fastest) {
            return Deal { weights: vec![1; speeds.len()] };
        }
        Deal::new(speeds.iter().map(|speed| (speed / fastest * Self::FINEST) as u32).collect())
    }

    /// Whether all have the same weight.
    pub fn is_even(&self) -> bool {
        self.weights.iter().all(|weight| *weight == self.weights[0])
    }

    /// The weights by rank.
    pub fn weights(&self) -> &[u32] {
        &self.weights
    }

    /// How many of a step's `count` micro-batches each rank computes. If there are enough, everybody gets one: whoever
    /// computes nothing cannot show that it has become faster.
    pub fn shares(&self, count: u64) -> Vec<u64> {
        let total: u64 = self.weights.iter().map(|&weight| u64::from(weight)).sum();
        let mut before = 0u64;
        let ends = self.weights.iter().map(|&weight| {
            before += u64::from(weight);
            // Rounded to the nearest.
            ((2 * u128::from(before) * u128::from(count) + u128::from(total)) / (2 * u128::from(total)))
                as u64
        });
        let ends: Vec<u64> = ends.collect();
        let mut shares: Vec<u64> =
            ends.iter().scan(0, |start, &end| Some(end - std::mem::replace(start, end))).collect();
        while count >= shares.len() as u64
            && let Some(idle) = shares.iter().position(|&share| share == 0)
        {
            let most = (0..shares.len()).max_by_key(|&rank| shares[rank]).unwrap_or(idle);
            shares[most] -= 1;
            shares[idle] += 1;
        }
        shares
    }

    /// The micro-batches of `rank` among `first..first + count`, in order.
    pub fn micro_batches(&self, rank: u32, first: u64, count: u64, lanes: u32) -> Vec<u64> {
        let shares = self.shares(count);
        let start: u64 = shares[..rank as usize].iter().sum();
        let mut all: Vec<u64> = (first..first + count).collect();
        all.sort_by_key(|&index| (lane_of(index, lanes), index));
        let mut mine = all[start as usize..(start + shares[rank as usize]) as usize].to_vec();
        mine.sort_unstable();
        mine
    }

    /// The rank that computes micro-batch `index` of `first..first + count`.
    pub fn owner(&self, index: u64, first: u64, count: u64, lanes: u32) -> u32 {
        let ranks = 0..self.weights.len() as u32;
        ranks
            .into_iter()
            .find(|&rank| self.micro_batches(rank, first, count, lanes).contains(&index))
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_micro_batch_has_one_owner(
            weights in prop::collection::vec(0u32..1000, 1..9), first in 0u64..1000, count in 0u64..100, log in 3u32..7
        ) {
            let deal = Deal::new(weights.clone());
            let of = |rank| deal.micro_batches(rank, first, count, 1 << log);
            let mut all: Vec<u64> = (0..weights.len() as u32).flat_map(of).collect();
            all.sort_unstable();
            prop_assert_eq!(&all, &(first..first + count).collect::<Vec<_>>());
            if let Some(&index) = all.last() {
                prop_assert!(of(deal.owner(index, first, count, 1 << log)).contains(&index));
            }
        }

        /// As near to the speeds as whole numbers come, but that everybody gets something.
        #[test]
        fn shares_follow_the_speeds(speeds in prop::collection::vec(0.05f64..1.0, 1..9), count in 0u64..2_000) {
            let shares = Deal::in_proportion(&speeds).shares(count);
            let total: f64 = speeds.iter().sum();
            prop_assert_eq!(shares.iter().sum::<u64>(), count);
            for (share, speed) in shares.iter().zip(&speeds) {
                let exact = count as f64 * speed / total;
                let rounding = 1.0 + count as f64 * speeds.len() as f64 / Deal::FINEST;
                prop_assert!((*share as f64 - exact).abs() <= rounding + speeds.len() as f64 - 1.0, "{share} for {exact}");
                prop_assert!(*share > 0 || count < speeds.len() as u64);
            }
        }
    }

    #[test]
    fn a_worker_reads_few_lanes() {
        // 256 micro-batches, 64 lanes, 7 workers: four micro-batches of a lane stay together but where a cut is.
        let deal = Deal::even(7);
        for rank in 0..7 {
            let mine = deal.micro_batches(rank, 512, 256, 64);
            let mut lanes: Vec<u32> = mine.iter().map(|&index| lane_of(index, 64)).collect();
            lanes.sort_unstable();
            lanes.dedup();
            assert!(
                lanes.len() <= mine.len() / 4 + 2,
                "{} micro-batches of {} lanes",
                mine.len(),
                lanes.len()
            );
        }
    }
}
