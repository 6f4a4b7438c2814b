//! How fast the members are, and how long anything may take: measured, so that nobody has to guess it. A slower worker
//! gets fewer micro-batches; one that makes no progress for much longer than it ever took hangs.

use plan::Deal;

use super::Ledger;
use crate::{Generation, Share, StepReport, Waits, WorkerId};

/// What a worker's older steps count for, beside its last one.
const FADE: f64 = 0.9;
/// Micro-batches are dealt anew if a step then takes less than this share of its time.
const WORTH_DEALING: f64 = 0.9;
/// Steps between two deals: a worker's speed under the last one must show first.
const STEPS_BETWEEN_DEALS: u64 = 5;
/// The silence after which a worker is dead lies between a few heartbeats and this, in milliseconds.
const LONGEST_SILENCE: f64 = 30_000.0;
/// Heartbeats that may be missing.
const MISSED_HEARTBEATS: f64 = 5.0;
/// The longest pause between two messages of a worker counts so often.
const PAUSES: f64 = 2.0;
/// Whoever computes may take this many times as long for a micro-batch as any member ever took, and at least that long.
const SLOWER_THAN_EVER: f64 = 8.0;
/// The same for an all-reduce.
const REDUCE_SLOWER_THAN_EVER: f64 = 20.0;
const SHORTEST_LIMIT: f64 = 10_000.0;
/// How fast the longest times fade: by half in 700 steps.
const REMEMBERED: f64 = 0.999;

/// A worker's speed over its last steps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    micro_batches: f64,
    milliseconds: f64,
}

impl Pace {
    fn learn(&mut self, share: &Share) {
        if share.micro_batches > 0 {
            self.micro_batches = self.micro_batches * FADE + share.micro_batches as f64;
            self.milliseconds = self.milliseconds * FADE + share.compute_ms.max(1e-3);
        }
    }

    /// Micro-batches per millisecond.
    fn speed(self) -> Option<f64> {
        (self.micro_batches > 0.0).then(|| self.micro_batches / self.milliseconds)
    }
}

/// How long things took, in milliseconds; none if it is not known yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timing {
    /// A step, on average.
    step: Option<f64>,
    /// When the last step of the open generation was committed.
    committed_at: Option<u64>,
    /// The slowest micro-batch.
    micro_batch: Option<f64>,
    /// The slowest all-reduce of the fastest member to leave it: without waiting for who is still computing.
    reduce: Option<f64>,
    /// The longest pause between two messages of a worker that lived.
    pause: f64,
}

impl Timing {
    /// A worker was heard of after so long.
    pub(super) fn heard_after(&mut self, pause: u64) {
        self.pause = (self.pause * 0.999_9).max(pause as f64);
    }

    /// A generation begins: what its first step takes says nothing.
    ///
    /// What an all-reduce took among others, or in memory, says nothing about these members.
    pub(super) fn begin(&mut self, same_members: bool) {
        self.committed_at = None;
        self.reduce = self.reduce.filter(|_| same_members);
    }

    fn committed(&mut self, now: u64) {
        if let Some(before) = self.committed_at.replace(now) {
            let took = now.saturating_sub(before) as f64;
            self.step = Some(self.step.map_or(took, |step| step * FADE + took * (1.0 - FADE)));
        }
    }
}

fn longest(known: Option<f64>, new: f64) -> Option<f64> {
    Some(known.map_or(new, |known| (known * REMEMBERED).max(new)))
}

impl Ledger {
    /// Learns from a step that all members computed.
    pub(super) fn learn_pace(&mut self, now: u64) {
        if self.ready.values().all(|vote| vote.share.micro_batches == 0) {
            return; // A step that is left out.
        }
        self.timing.committed(now);
        let mut reduce = f64::INFINITY;
        for (member, vote) in &self.ready {
            if let Some(worker) = self.workers.get_mut(member) {
                worker.pace.learn(&vote.share);
            }
            if vote.share.micro_batches > 0 {
                let each = vote.share.compute_ms / vote.share.micro_batches as f64;
                self.timing.micro_batch = longest(self.timing.micro_batch, each);
            }
            reduce = reduce.min(vote.share.reduce_ms);
        }
        if reduce.is_finite() && self.ready.len() > 1 {
            self.timing.reduce = longest(self.timing.reduce, reduce);
        }
    }

    /// The report of a step with what held its members up.
    pub(super) fn with_waits(&self, report: StepReport) -> StepReport {
        let longest =
            |of: fn(&Share) -> f64| self.ready.values().map(|vote| of(&vote.share)).fold(0.0, f64::max);
        let waits = Waits {
            data_ms: longest(|share| share.data_ms),
            checkpoint_ms: longest(|share| share.checkpoint_ms),
        };
        StepReport { waits, ..report }
    }

    /// How micro-batches are dealt to these workers: by what is known of them; a newcomer is taken for average.
    pub(super) fn deal_for(&self, members: &[WorkerId]) -> Deal {
        let speeds: Vec<Option<f64>> = members
            .iter()
            .map(|member| self.workers.get(member).and_then(|worker| worker.pace.speed()))
            .collect();
        let known: Vec<f64> = speeds.iter().flatten().copied().collect();
        if known.is_empty() {
            return Deal::even(members.len() as u32);
        }
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        Deal::in_proportion(&speeds.into_iter().map(|speed| speed.unwrap_or(mean)).collect::<Vec<_>>())
    }

    /// Another deal for the steps from the next on, if it makes them faster.
    pub(super) fn better_deal(&mut self, open: &Generation) -> Option<Deal> {
        if self.step < self.dealt_at + STEPS_BETWEEN_DEALS || open.members.len() == 1 {
            return None;
        }
        let speed = |member| self.workers.get(member).and_then(|worker| worker.pace.speed());
        let speeds = open.members.iter().map(speed).collect::<Option<Vec<f64>>>()?;
        let count = self.settings.batches.of(self.step).count;
        let slowest = |deal: &Deal| {
            let times =
                deal.shares(count).into_iter().zip(&speeds).map(|(share, speed)| share as f64 / speed);
            times.fold(0.0, f64::max)
        };
        let deal = Deal::in_proportion(&speeds);
        if slowest(&deal) >= WORTH_DEALING * slowest(&open.deal) {
            return None;
        }
        self.dealt_at = self.step;
        Some(deal)
    }

    /// The silence after which a worker is taken for dead, in milliseconds. To be wrong costs about a step: the others
    /// do theirs again. So it is no use to wait much longer than that, nor much less.
    pub(super) fn silence_limit(&self) -> u64 {
        let measured = || {
            let least =
                (MISSED_HEARTBEATS * self.settings.heartbeat_ms as f64).max(PAUSES * self.timing.pause);
            let least = least.clamp(1_000.0, LONGEST_SILENCE);
            self.timing.step.unwrap_or(2.0 * least).clamp(least, LONGEST_SILENCE) as u64
        };
        self.settings.dead_after_ms.unwrap_or_else(measured)
    }

    /// The micro-batches of another phase take another time.
    pub(super) fn forget_pace(&mut self) {
        self.timing.micro_batch = None;
        self.workers.values_mut().for_each(|worker| worker.pace = Pace::default());
    }

    /// How long a member may compute without getting on. Of whoever has not finished a step nothing is known.
    pub(super) fn compute_limit(&self, worker: WorkerId) -> u64 {
        if self.workers.get(&worker).and_then(|worker| worker.pace.speed()).is_none() {
            return self.settings.unmeasured_ms;
        }
        let limit = |took: f64| (SLOWER_THAN_EVER * took).max(SHORTEST_LIMIT) as u64;
        self.timing.micro_batch.map_or(self.settings.unmeasured_ms, limit)
    }

    /// How long a member may wait for its data: whoever waits for storage says that it still does.
    pub(super) fn waiting_limit(&self) -> u64 {
        self.settings.unmeasured_ms
    }

    /// How long all members may wait for each other in a collective.
    pub(super) fn collective_limit(&self) -> u64 {
        let limit = |took: f64| (REDUCE_SLOWER_THAN_EVER * took).max(SHORTEST_LIMIT) as u64;
        self.timing.reduce.map_or(self.settings.unmeasured_ms, limit)
    }
}
