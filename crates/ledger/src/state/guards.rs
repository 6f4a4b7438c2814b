//! Guards: members that contradict each other, steps that cannot be used, a loss that jumps. What is in doubt is not
//! committed, or is computed again from a state that nobody doubts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Attempt, FAILURES_BEFORE_GIVING_UP, Ledger};
use crate::{Command, Ending, Generation, Poisoned, Record, StepReport, WorkerId};

/// Contradictions after which a worker is sent away: by two others, or twice by the same one.
const CONTRADICTIONS: usize = 2;
/// Jumps of the loss in a row that are taken for jumps.
const JUMPS: u32 = 3;
/// Micro-batches that a record of a skipped step names.
const NAMED: usize = 16;

/// The losses of the last steps: whether one jumps is a function of those before it alone, so that it does not depend on
/// who computes, or how often.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Losses {
    /// The step behind the last one.
    next: u64,
    /// Of one phase: the losses of another say nothing of it.
    phase: usize,
    last: VecDeque<f64>,
    /// How often steps were left out since the last of them.
    jumps: u32,
}

impl Losses {
    /// Takes a step's loss in. Steps that are computed again say nothing new.
    pub(crate) fn take(&mut self, step: u64, phase: usize, loss: f64) {
        if step < self.next || !loss.is_finite() {
            return;
        }
        if phase != self.phase {
            self.last.clear();
        }
        (self.next, self.phase, self.jumps) = (step + 1, phase, 0);
        self.last.push_back(loss);
        if self.last.len() > plan::Spike::LONGEST_WINDOW as usize {
            self.last.pop_front();
        }
    }

    /// Steps are left out because the loss jumped. If it stays where it jumped to, it is no jump, and what was before says
    /// nothing any more.
    pub(crate) fn leave_out(&mut self) {
        self.jumps += 1;
        if self.jumps == JUMPS {
            self.last.clear();
        }
    }

    /// How many standard deviations a loss lies above the mean of the window, if that is too many.
    fn jump(&self, step: u64, phase: usize, loss: f64, spike: &plan::Spike) -> Option<f64> {
        let window = spike.window as usize;
        if step < self.next || phase != self.phase || self.last.len() < window {
            return None;
        }
        let before: Vec<f64> = self.last.iter().rev().take(window).copied().collect();
        let mean = before.iter().sum::<f64>() / window as f64;
        let variance = before.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / window as f64;
        // Losses that are all the same have no deviation to speak of.
        let deviations = (loss - mean) / variance.sqrt().max(1e-9 * mean.abs()).max(f64::MIN_POSITIVE);
        (deviations > spike.deviations).then_some(deviations)
    }
}

/// Somebody whose vote is not that of most others, and these; none if all agree.
pub(super) fn minority(votes: &[(WorkerId, &str)]) -> Option<(WorkerId, Vec<WorkerId>)> {
    let mut holders: BTreeMap<&str, Vec<WorkerId>> = BTreeMap::new();
    for &(worker, vote) in votes {
        holders.entry(vote).or_default().push(worker);
    }
    let (_, rarest) = holders.iter().min_by_key(|(_, workers)| workers.len())?;
    let others = holders.values().filter(|workers| workers[0] != rarest[0]);
    others.max_by_key(|workers| workers.len()).map(|others| (rarest[0], others.clone()))
}

impl Ledger {
    /// Whether the votes on a step contradict each other. If so, the generation is over.
    pub(super) fn doubts(&mut self, open: &Generation, out: &mut Vec<Command>) -> bool {
        let digests = open.members.iter().filter_map(|member| {
            self.ready[member].share.state_digest.as_deref().map(|digest| (*member, digest))
        });
        if let Some((worker, others)) = minority(&digests.collect::<Vec<_>>()) {
            let why =
                format!("the weights of {worker} before step {} are not those of {}", self.step, others[0]);
            self.doubt_weights(worker, &others, &why, out);
            return true;
        }
        if let Some((worker, other, index)) = self.other_results() {
            let why = format!(
                "{worker} and {other} computed micro-batch {index} of step {} differently",
                self.step
            );
            self.doubt(&[worker, other], false, &why, out);
            self.contradict(worker, other, out);
            self.contradict(other, worker, out);
            return true;
        }
        let sums = self.ready.iter().map(|(&member, vote)| (member, vote.report.digest.as_str()));
        let Some((worker, others)) = minority(&sums.collect::<Vec<_>>()) else { return false };
        let why = format!("{worker} and {} disagree on the gradient of step {}", others[0], self.step);
        let its = &self.ready[&worker].report.digest;
        let alike = self.ready.values().filter(|vote| vote.report.digest == *its).count();
        self.doubt(&[worker, others[0]], false, &why, out);
        match (alike, others.len()) {
            (1, 1) => {
                self.contradict(worker, others[0], out);
                self.contradict(others[0], worker, out);
            }
            // Of as many against as many nobody can say who is wrong.
            (these, those) if these == those => {}
            _ => self.contradict_by_another(worker, &others, out),
        }
        true
    }

    fn doubt(&mut self, who: &[WorkerId], weights: bool, why: &str, out: &mut Vec<Command>) {
        self.record(
            Record::Doubted {
                generation: self.record.generations,
                step: self.step,
                members: who.to_vec(),
                weights,
                reason: why.to_owned(),
            },
            out,
        );
        self.failures_in_a_row += 1;
        self.close_generation(why, out);
        if self.failures_in_a_row >= FAILURES_BEFORE_GIVING_UP {
            let reason = format!("{why}, and {FAILURES_BEFORE_GIVING_UP} generations failed in a row");
            match weights {
                true => self.end(Ending::Failed(reason), out),
                false => self.give_up(reason, out),
            }
        }
    }

    /// Members hold different weights. Since when is not known, but a checkpoint is of weights that all agreed on: the run
    /// goes on from there.
    pub(super) fn doubt_weights(
        &mut self,
        worker: WorkerId,
        others: &[WorkerId],
        why: &str,
        out: &mut Vec<Command>,
    ) {
        self.doubt(&[worker], true, why, out);
        // What is on its way to storage is in doubt, too.
        for (_, attempt) in std::mem::take(&mut self.attempts) {
            self.linger(attempt);
        }
        self.go_back_on_purpose();
        self.doubts_since_checkpoint += 1;
        if self.doubts_since_checkpoint >= FAILURES_BEFORE_GIVING_UP {
            let reason = format!(
                "{why}; members disagreed on their weights {FAILURES_BEFORE_GIVING_UP} times since the checkpoint of step {}",
                self.durable
            );
            return self.end(Ending::Failed(reason), out);
        }
        self.contradict_by_another(worker, others, out);
    }

    /// By one of the others who has not contradicted it yet, if there is one.
    fn contradict_by_another(&mut self, worker: WorkerId, others: &[WorkerId], out: &mut Vec<Command>) {
        let known = self.contradicted.get(&worker).cloned().unwrap_or_default();
        let witness = others.iter().find(|other| !known.contains(other)).unwrap_or(&others[0]);
        self.contradict(worker, *witness, out);
    }

    /// Two members that computed the same micro-batch with different results; or one, twice.
    fn other_results(&self) -> Option<(WorkerId, WorkerId, u64)> {
        let mut first: BTreeMap<u64, (WorkerId, &str)> = BTreeMap::new();
        for (&worker, vote) in &self.ready {
            for (index, digest) in &vote.share.recomputed {
                let (other, known) = *first.entry(*index).or_insert((worker, digest));
                if known != digest {
                    return Some((other, worker, *index));
                }
            }
        }
        None
    }

    /// Remembers who contradicted whom; who was contradicted too often computes no more.
    fn contradict(&mut self, worker: WorkerId, by: WorkerId, out: &mut Vec<Command>) {
        let contradictions = self.contradicted.entry(worker).or_default();
        contradictions.push(by);
        let by: BTreeSet<WorkerId> = contradictions.iter().copied().collect();
        let itself = by.contains(&worker);
        // Of two that contradict each other nobody can say who is wrong: a third one is needed.
        if contradictions.len() < CONTRADICTIONS || (by.len() == 1 && !itself) {
            return;
        }
        let others = by.len();
        if let Some(known) = self.workers.remove(&worker) {
            let reason = format!(
                "{} computed other results than {others} other members: its machine should be looked at",
                known.info.name
            );
            self.do_without(worker, &reason, out);
            out.push(Command::Refuse { worker, reason });
        }
        // What it said of others counts no more.
        self.contradicted.remove(&worker);
        self.contradicted.values_mut().for_each(|by| by.retain(|other| *other != worker));
    }

    /// Whether the loss of the step jumps. If so, the run goes back to its newest checkpoint, and the steps up to this one
    /// are left out.
    pub(super) fn goes_back_before(&mut self, report: &StepReport, out: &mut Vec<Command>) -> bool {
        let Some(spike) = self.settings.guards.spike.clone() else { return false };
        let losses = &self.record.losses;
        let phase = self.settings.batches.of(self.step).phase;
        let Some(deviations) =
            losses.jump(self.step, phase, report.loss, &spike).filter(|_| !report.overflowed)
        else {
            return false;
        };
        if !self.looked {
            return true; // It is not known yet what there is to go back to.
        }
        let every = self.settings.checkpoint_every;
        // A function of the step, and not of which checkpoints happen to be there.
        let first =
            (self.step + 1).saturating_sub(spike.skip).max(self.step / every * every).max(self.durable);
        let stored = |attempt: &Attempt| attempt.parts.len() == attempt.members.len();
        if self.attempts.range(first + 1..).any(|(_, attempt)| stored(attempt)) {
            return true; // It is about to be seen, and there is no going back before it then.
        }
        let why = format!(
            "the loss of step {} is {:.4}, {deviations:.1} standard deviations above the {} before it: steps {first} to {} \
             are left out",
            self.step, report.loss, spike.window, self.step
        );
        self.record(Record::LeftOut { first, end: self.step + 1, reason: why.clone() }, out);
        self.close_generation(&why, out);
        // What is on its way to storage may have learned from them.
        for (_, attempt) in self.attempts.split_off(&(first + 1)) {
            self.linger(attempt);
        }
        self.go_back_on_purpose();
        true
    }

    /// The weights at hand are not used, and nobody is waited for who may hold them.
    fn go_back_on_purpose(&mut self) {
        self.reject_what_is_not_used();
        let held = self.workers.values().any(|worker| worker.applied == Some(self.step));
        if !held {
            self.step = self.durable;
        }
    }

    /// The micro-batches whose gradients could not be used, as far as their members know.
    pub(super) fn poisoned(&self) -> Vec<Poisoned> {
        let all = self.ready.values().flat_map(|vote| vote.share.poisoned.iter().cloned());
        let mut all: Vec<Poisoned> = all.collect();
        all.sort_by_key(|poisoned| poisoned.micro_batch);
        all.truncate(NAMED);
        all
    }

    /// Too many steps in a row that changed nothing.
    pub(super) fn give_up_if_all_is_skipped(&mut self, report: &StepReport, out: &mut Vec<Command>) {
        let left_out = self.record.is_left_out(self.step - 1);
        self.skipped_in_a_row = match report.overflowed {
            true if left_out => self.skipped_in_a_row,
            true => self.skipped_in_a_row + 1,
            false => 0,
        };
        let most = self.settings.guards.skipped_in_a_row;
        if most > 0 && self.skipped_in_a_row >= most {
            let reason = format!(
                "the gradients of {most} steps in a row, up to step {}, could not be used: not finite, or out of range; a \
                 lower learning rate or more warm-up may help (guards.skipped_in_a_row = {most})",
                self.step - 1
            );
            self.end(Ending::Failed(reason), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_jumps_against_the_steps_before_it_and_only_once() {
        let spike = plan::Spike { deviations: 4.0, window: 4, skip: 1 };
        let mut losses = Losses::default();
        for (step, loss) in [(0, 9.0), (1, 2.0), (2, 2.1), (3, 1.9)] {
            assert_eq!(losses.jump(step, 0, 100.0, &spike), None, "the window is not full");
            losses.take(step, 0, loss);
        }
        losses.take(4, 0, 2.0);
        assert!(losses.jump(5, 0, 2.5, &spike).is_some());
        assert_eq!(losses.jump(5, 0, 2.2, &spike), None);
        let before = losses.clone();
        losses.take(2, 0, 50.0);
        losses.take(5, 0, f64::NAN);
        assert_eq!(losses, before, "computed again, or no number");
        assert_eq!(losses.jump(4, 0, 100.0, &spike), None, "it was looked at before");
    }

    fn level(losses: &mut Losses, phase: usize, steps: std::ops::Range<u64>) {
        steps.for_each(|step| losses.take(step, phase, 2.0 + (step % 2) as f64 / 100.0));
    }

    #[test]
    fn a_loss_that_stays_where_it_jumped_to_is_a_new_level() {
        let spike = plan::Spike { deviations: 4.0, window: 4, skip: 1 };
        let mut losses = Losses::default();
        level(&mut losses, 0, 0..10);
        for step in 10..13 {
            assert!(losses.jump(step, 0, 5.0, &spike).is_some(), "jump at step {step}");
            losses.leave_out();
        }
        assert_eq!(losses.jump(13, 0, 5.0, &spike), None, "it was left out three times in a row");
        let mut losses = Losses::default();
        level(&mut losses, 0, 0..10);
        for step in [10, 12, 14, 16] {
            assert!(losses.jump(step, 0, 5.0, &spike).is_some(), "jump at step {step}");
            losses.leave_out();
            level(&mut losses, 0, step + 1..step + 2);
        }
    }

    #[test]
    fn another_phase_has_a_level_of_its_own() {
        let spike = plan::Spike { deviations: 4.0, window: 4, skip: 1 };
        let mut losses = Losses::default();
        level(&mut losses, 0, 0..10);
        assert_eq!(losses.jump(10, 1, 5.0, &spike), None);
        losses.take(10, 1, 5.0);
        assert_eq!(losses.jump(11, 1, 50.0, &spike), None, "one step is no window");
        level(&mut losses, 1, 11..20);
        assert!(losses.jump(20, 1, 50.0, &spike).is_some());
    }
}
