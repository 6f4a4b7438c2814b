//! A worker process, as `worker::member` behaves: it enters generations, computes, votes, applies what is committed,
//! and says what it holds whenever a connection begins or a generation ends. Knows neither the ledger nor the other workers'
//! weights.

use std::collections::{BTreeMap, VecDeque};

use ledger::{Generation, Opening, Progress, StateSource, Tail, WorkerId};
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

    /// After a step that changes nothing.
    pub(crate) fn unchanged(self) -> State {
        State { applied: self.applied + 1, hash: self.hash }
    }

    /// After an update with that gradient.
    pub(crate) fn after(self, gradient: u64) -> State {
        State { applied: self.applied + 1, hash: xxh3_64_with_seed(&gradient.to_le_bytes(), self.hash) }
    }

    /// The gradient of micro-batch `index` of the next step.
    pub(crate) fn gradient(self, index: u64) -> u64 {
        xxh3_64_with_seed(&index.to_le_bytes(), self.hash ^ self.applied.rotate_left(32))
    }
}

/// As many lanes as simulated workers ever need.
const LANES: u32 = 64;

/// Where a member is in its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Waits for all members, and for the weights.
    Joining,
    /// Computes its share.
    Computing,
    /// Waits in the all-reduce.
    Reducing,
    /// Waits for the decision, with the gradient of the whole step; without one for a step that is left out.
    Voting { gradient: Option<u64> },
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

    /// The micro-batches of a step of `count` that this member computes.
    pub(crate) fn share(&self, count: u64) -> Vec<u64> {
        self.generation.deal.micro_batches(self.rank, 0, count, LANES)
    }

    /// Whether nobody computes this step.
    pub(crate) fn leaves_out(&self, step: u64) -> bool {
        self.generation.left_out.iter().any(|&(first, end)| (first..end).contains(&step))
    }

    /// What two members compute of a step: micro-batch `index` by its owner and by one of the others, if there is one.
    pub(crate) fn twice(&self, index: u64, draw: u64, count: u64) -> [u32; 2] {
        let owner = self.generation.deal.owner(index, 0, count, LANES);
        let others = (self.generation.members.len() as u64).saturating_sub(1);
        let other =
            draw.wrapping_add(self.generation.number).checked_rem(others).map_or(0, |other| 1 + other as u32);
        [owner, (owner + other) % self.generation.members.len() as u32]
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
    /// The highest term of any coordinator so far: an older one is not obeyed.
    pub(crate) term: u64,
    /// Whether it has read plan and dataset.
    pub(crate) prepared: bool,
    pub(crate) leaving: bool,
    pub(crate) held: Option<State>,
    /// The generation that it holds them from.
    pub(crate) since: Opening,
    /// The last generation of its session that it has taken up.
    pub(crate) entered: u64,
    pub(crate) membership: Option<Membership>,
    /// What it was told of the run's record and does not know to be durable.
    pub(crate) tail: Tail,
    /// How many times as long as others it takes for a micro-batch.
    pub(crate) slowness: u64,
    /// Everything that it has finished.
    pub(crate) done: u64,
    /// What its share of the present step takes, and since when it waits for the others, in milliseconds.
    pub(crate) computes: u64,
    pub(crate) waits_since: u64,
    /// Its results are wrong.
    pub(crate) miscomputes: bool,
    /// It computes and never gets on.
    pub(crate) hangs: bool,
    /// Until then no other worker reaches it; the coordinator does.
    pub(crate) unreachable_until: u64,
}

impl Worker {
    /// Whether it computes and will not come back from it.
    pub(crate) fn is_stuck(&self) -> bool {
        let computes = |membership: &Membership| membership.doing == Doing::Computing;
        self.hangs && self.membership.as_ref().is_some_and(computes)
    }

    /// What its heartbeats say.
    pub(crate) fn progress(&self) -> Progress {
        let doing = match self.membership.as_ref().map(|membership| membership.doing) {
            Some(Doing::Computing) => ledger::Doing::Computing,
            Some(Doing::Joining | Doing::Reducing) => ledger::Doing::Collective,
            Some(Doing::Voting { .. }) | None => ledger::Doing::Waiting,
        };
        Progress { done: self.done, doing }
    }

    pub(crate) fn applied(&self) -> Option<u64> {
        self.held.map(|state| state.applied)
    }
}

pub(crate) type Workers = BTreeMap<WorkerId, Worker>;
