//! One member's share of one step: which micro-batches, which of them a second time for comparison, and what is said of
//! them. Knows nothing of sessions and decisions.

use plan::Deal;
use wire::v1;

use crate::feed::Feed;
use crate::patience::Patience;
use crate::progress::Progress;
use crate::{Materials, Purpose, StepEngine, WorkerError};

/// Micro-batches that cannot be used and that are named, per step and member.
const NAMED: usize = 4;

/// A member's place, as the coordinator last dealt it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) generation: u64,
    pub(crate) rank: u32,
    pub(crate) deal: Deal,
    /// Steps that nobody computes.
    pub(crate) left_out: Vec<v1::StepRange>,
}

impl Place {
    pub(crate) fn of(open: &v1::Open) -> Self {
        let even = open.weights.is_empty();
        Place {
            generation: open.generation,
            rank: open.rank,
            deal: if even { Deal::even(open.world) } else { Deal::new(open.weights.clone()) },
            left_out: open.left_out.clone(),
        }
    }

    pub(crate) fn leaves_out(&self, step: u64) -> bool {
        self.left_out.iter().any(|range| (range.first..range.end).contains(&step))
    }

    /// The micro-batch of a step that two members compute for the sake of comparison, as far as this one is concerned.
    /// With every generation another second one is asked, so that of two that contradict each other a third one can say
    /// who is right. Alone, a member is asked twice.
    fn compared(&self, materials: &Materials, step: u64) -> Option<Compared> {
        let (index, draw) = materials.plan().recomputed(step)?;
        let owner = materials.owner(&self.deal, step, index);
        let others = self.deal.weights().len() as u64 - 1;
        let other =
            draw.wrapping_add(self.generation).checked_rem(others).map_or(0, |other| 1 + other as u32);
        let second = (owner + other) % (others as u32 + 1);
        Some(Compared { index, first: self.rank == owner, second: self.rank == second })
    }
}

/// A micro-batch that two members compute, counted over the step.
struct Compared {
    index: u64,
    /// It is in this member's share.
    first: bool,
    /// This member is the one that is asked, too.
    second: bool,
}

/// The share of a step in the making.
pub(crate) struct Share<'a> {
    materials: &'a Materials,
    progress: &'a Progress,
    step: u64,
    compared: Option<Compared>,
    left: usize,
    /// With storage.
    patience: Patience,
    said: v1::Share,
}

impl<'a> Share<'a> {
    pub(crate) fn begin(materials: &'a Materials, progress: &'a Progress, place: &Place, step: u64) -> Self {
        let left = materials.share(&place.deal, place.rank, step).len();
        let compared = place.compared(materials, step);
        let patience = Patience::begin(place.deal.weights().len() == 1);
        Share { materials, progress, step, compared, left, patience, said: v1::Share::default() }
    }

    /// Computes one more micro-batch, if its data is there. Says whether there may be more.
    pub(crate) fn go_on(
        &mut self,
        engine: &mut dyn StepEngine,
        feed: &mut Feed,
    ) -> Result<bool, WorkerError> {
        if self.left == 0 {
            return self.second_opinion(engine);
        }
        self.progress.now(v1::Doing::Unspecified);
        let next = feed.next()?;
        let waited = self.progress.now(v1::Doing::Computing).as_secs_f64() * 1e3;
        (self.said.compute_ms, self.said.data_ms) =
            (self.said.compute_ms + waited, self.said.data_ms + waited);
        let Some((index, batch)) = next else { return Ok(true) };
        self.left -= 1;
        let hashed = self.compared.as_ref().is_some_and(|compared| compared.first && compared.index == index);
        let purpose = if hashed { Purpose::AddAndHash } else { Purpose::Add };
        let computed = engine.micro_batch(purpose, index, &batch)?;
        let took = self.progress.computed();
        self.said.micro_batches += 1;
        self.said.compute_ms += took.as_secs_f64() * 1e3;
        self.say_digest(index, computed.digest);
        if !computed.usable && self.said.poisoned.len() < NAMED {
            let samples = self.materials.samples_of(self.step, index);
            tracing::warn!(step = self.step, micro_batch = index, samples, "a gradient cannot be used");
            self.said.poisoned.push(v1::Poisoned { micro_batch: index, samples });
        }
        Ok(true)
    }

    /// Computes what is compared with another's result.
    fn second_opinion(&mut self, engine: &mut dyn StepEngine) -> Result<bool, WorkerError> {
        let Some(compared @ Compared { index, second: true, .. }) = self.compared.take() else {
            return Ok(false);
        };
        self.progress.now(v1::Doing::Unspecified);
        let batch = match self.materials.of_step(self.step, index) {
            Err(error) if self.patience.bears(&error) => {
                self.compared = Some(compared);
                return Ok(true);
            }
            batch => batch?,
        };
        self.progress.now(v1::Doing::Computing);
        let computed = engine.micro_batch(Purpose::Hash, index, &batch)?;
        self.progress.computed();
        self.say_digest(index, computed.digest);
        Ok(true)
    }

    fn say_digest(&mut self, micro_batch: u64, digest: Option<String>) {
        self.said.recomputed.extend(digest.map(|digest| v1::Recomputed { micro_batch, digest }));
    }

    /// What is said of it, and of the state before the step.
    pub(crate) fn end(self, state_digest: Option<String>) -> v1::Share {
        v1::Share { state_digest, ..self.said }
    }
}
