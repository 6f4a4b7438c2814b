//! What the members of a generation do together: they meet, hand on the weights, add up gradients. It succeeds for all or
//! fails for those who wait in it. Knows no time.

use std::collections::{BTreeMap, BTreeSet};

use ledger::WorkerId;

/// The members of one generation, as far as they have come.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) members: Vec<WorkerId>,
    joined: BTreeSet<WorkerId>,
    /// What was added to the step at hand, by member.
    shares: BTreeMap<WorkerId, Vec<u64>>,
    gradients: BTreeMap<u64, u64>,
    /// Somebody has left: nothing succeeds any more.
    pub(crate) broken: bool,
}

impl Group {
    pub(crate) fn new(members: Vec<WorkerId>) -> Self {
        Group {
            members,
            joined: BTreeSet::new(),
            shares: BTreeMap::new(),
            gradients: BTreeMap::new(),
            broken: false,
        }
    }

    /// A member is there. Says whether all are.
    pub(crate) fn join(&mut self, worker: WorkerId) -> bool {
        self.joined.insert(worker);
        self.joined.len() == self.members.len()
    }

    /// A member adds the gradients of its micro-batches. Says whether all have.
    pub(crate) fn add(&mut self, worker: WorkerId, gradients: Vec<(u64, u64)>) -> bool {
        self.shares.insert(worker, gradients.iter().map(|&(index, _)| index).collect());
        for (index, gradient) in gradients {
            // A sum: whoever adds a micro-batch twice changes it.
            let sum = self.gradients.entry(index).or_default();
            *sum = sum.wrapping_add(gradient);
        }
        self.shares.len() == self.members.len()
    }

    /// The sum of the step, and who added what; the next step begins.
    pub(crate) fn reduce(&mut self) -> (u64, Vec<(WorkerId, Vec<u64>)>) {
        let gradients = std::mem::take(&mut self.gradients);
        let sum = gradients.into_values().fold(0, u64::wrapping_add);
        (sum, std::mem::take(&mut self.shares).into_iter().collect())
    }
}
