//! A worker process, as `worker::member` behaves: it enters generations, computes, votes, applies what is committed,
//! and says what it holds whenever a connection begins. Knows neither the ledger nor the other workers' weights.

use std::collections::{BTreeMap, VecDeque};

use ledger::{Generation, StateSource, Tail, WorkerId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::world::Planned;

/// Weights: how many updates were applied, and a hash of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) applied: u64,
    pub(crate) hash: u64,
}

impl State {
    /// The weights that the seed gives.
    pub(crate) const FIRST: State = State { applied: 0, hash: 1 };

    /// After an update with that gradient.
    pub(crate) fn after(self, gradient: u64) -> State {
        State { applied: self.applied + 1, hash: xxh3_64_with_seed(&gradient.to_le_bytes(), self.hash) }
    }

    /// The gradient of micro-batch `index` of the next step.
    pub(crate) fn gradient(self, index: u64) -> u64 {
        xxh3_64_with_seed(&index.to_le_bytes(), self.hash ^ self.applied.rotate_left(32))
    }
}

/// Where a member is in its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Waits for all members, and for the weights.
    Joining,
    /// Computes its share.
    Computing,
    /// Waits in the all-reduce.
    Reducing,
    /// Waits for the decision, with the gradient of the whole step.
    Voting { gradient: u64 },
}

/// A generation that a worker takes part in.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pub(crate) term: u64,
    pub(crate) generation: Generation,
    pub(crate) rank: u32,
    pub(crate) doing: Doing,
}

impl Membership {
    /// Term and number.
    pub(crate) fn key(&self) -> (u64, u64) {
        (self.term, self.generation.number)
    }

    pub(crate) fn source(&self) -> StateSource {
        self.generation.sources[self.rank as usize]
    }

    /// The micro-batches of a step of `count` that this member computes: lane `l` is rank `l mod members`'s.
    pub(crate) fn share(&self, count: u64) -> Vec<u64> {
        let members = self.generation.members.len() as u64;
        (0..count).filter(|micro_batch| micro_batch % members == u64::from(self.rank)).collect()
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Worker {
    /// Nothing happens in it before this time.
    pub(crate) frozen_until: u64,
    /// What would have happened in it meanwhile, in order.
    pub(crate) backlog: VecDeque<Planned>,
    /// The connection that it takes for open.
    pub(crate) session: Option<u64>,
    /// Whether it has read plan and dataset.
    pub(crate) prepared: bool,
    pub(crate) leaving: bool,
    pub(crate) held: Option<State>,
    pub(crate) membership: Option<Membership>,
    /// What it was told of the run's record and does not know to be durable.
    pub(crate) tail: Tail,
}

impl Worker {
    pub(crate) fn applied(&self) -> Option<u64> {
        self.held.map(|state| state.applied)
    }
}

pub(crate) type Workers = BTreeMap<WorkerId, Worker>;
