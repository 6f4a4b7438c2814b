//! Who computes which micro-batch. Lanes are dealt to the members of a generation; a micro-batch follows its lane,
//! so that a worker keeps reading the same blocks. Numerics do not depend on any of this: see `Order`.

/// The lane that micro-batch `index` (counted from the start of its phase) draws on.
pub fn lane_of(index: u64, lanes: u32) -> u32 {
    (index % u64::from(lanes)) as u32
}

/// The rank that computes a lane's micro-batches when `world` members share the lanes: round robin, so that any
/// run of consecutive micro-batches is spread as evenly as its length allows.
pub fn owner_of(lane: u32, world: u32) -> u32 {
    lane % world
}

/// The micro-batches of `rank` among `first..first + count`, in order.
///
/// ```
/// // Five micro-batches over four lanes and three workers: 2 + 2 + 1, and no divisibility is asked for.
/// let of = |rank| plan::micro_batches_of(rank, 3, 0, 5, 4).collect::<Vec<_>>();
/// assert_eq!((of(0), of(1), of(2)), (vec![0, 3, 4], vec![1], vec![2]));
/// ```
pub fn micro_batches_of(
    rank: u32,
    world: u32,
    first: u64,
    count: u64,
    lanes: u32,
) -> impl Iterator<Item = u64> {
    (first..first + count).filter(move |&index| owner_of(lane_of(index, lanes), world) == rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_micro_batch_has_one_owner(world in 1u32..9, first in 0u64..1000, count in 0u64..100, log in 3u32..7) {
            let mut all: Vec<u64> = (0..world)
                .flat_map(|rank| micro_batches_of(rank, world, first, count, 1 << log))
                .collect();
            all.sort_unstable();
            prop_assert_eq!(all, (first..first + count).collect::<Vec<_>>());
        }
    }
}
