//! Generations that fail although nobody is lost: some link between two members does not hold. Which one, the coordinator
//! cannot see. So some members are left out for a while, and tried again later; the others go on meanwhile.

use super::{FAILURES_BEFORE_GIVING_UP, Ledger, Worker};
use crate::{Command, Ending, Generation, StateSource, WorkerId};

/// Failures in a row after which members are taken apart that have computed together: before, it may have been a moment.
const TOGETHER: u32 = 2;
/// How long a worker is left out the first time; twice as long each further time, but not longer than the other, in
/// milliseconds.
const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 600_000;
/// And so many times as long as the others were held up by it.
const HELD_UP: u64 = 4;

impl Ledger {
    /// Ends the open generation, whose members could not work together.
    pub(super) fn take_apart(&mut self, now: u64, why: &str, out: &mut Vec<Command>) {
        let Some(open) = self.generation.clone() else { return };
        let left_out = self.suspects(&open);
        let held_up = HELD_UP * now.saturating_sub(self.got_on_at);
        for worker in &left_out {
            let known = self.workers.get_mut(worker).expect("a member is a worker");
            known.trials += 1;
            let pause = FIRST_PAUSE_MS << (known.trials - 1).min(16);
            let pause = pause.max(held_up).min(LONGEST_PAUSE_MS);
            known.not_before = now + pause;
            out.push(Command::Notice(format!(
                "{} at {} is left out for {} s: {} members could not work together, and the fault may be its connection; if \
                 it comes again, see that all workers reach each other (`cloze worker --address`)",
                known.info.name,
                known.info.address,
                pause / 1_000,
                open.members.len()
            )));
        }
        // Whoever fails alone will fail again.
        let nothing_to_try = left_out.is_empty() || open.members.len() == 1;
        self.end_failed_generation(nothing_to_try, why, out);
    }

    /// Ends the open generation; if that is all there is to do about it, not too often in a row.
    pub(super) fn end_failed_generation(&mut self, counts: bool, why: &str, out: &mut Vec<Command>) {
        self.failures_in_a_row += u32::from(counts);
        self.close_generation(why, out);
        if self.failures_in_a_row >= FAILURES_BEFORE_GIVING_UP {
            self.give_up(
                format!("{FAILURES_BEFORE_GIVING_UP} generations failed in a row; the last: {why}"),
                out,
            );
        }
    }

    /// Nothing that could be tried helped: the run ends, after the weights at hand are stored.
    pub(super) fn give_up(&mut self, reason: String, out: &mut Vec<Command>) {
        out.push(Command::Notice(format!("the run is given up: {reason}")));
        (self.stopping, self.gave_up) = (true, Some(reason));
    }

    /// How a run ends that was told to.
    pub(super) fn stopped(&self) -> Ending {
        self.gave_up.clone().map_or(Ending::Stopped, Ending::Failed)
    }

    /// Whom to leave out. Half of those who come into question: if it was one of the others, it is among fewer next time.
    fn suspects(&self, open: &Generation) -> Vec<WorkerId> {
        let owned = self.failed.iter().filter(|(_, failure)| failure.own).map(|(&id, _)| id);
        let owned: Vec<WorkerId> = owned.collect();
        if !owned.is_empty() {
            // It says so itself; if all do, nobody would go on.
            return if owned.len() < open.members.len() { owned } else { Vec::new() };
        }
        let new = |rank: usize| self.step == open.step && open.sources[rank] != StateSource::Keep;
        let members = || open.members.iter().copied().enumerate();
        // Somebody goes on; whoever brings the weights does.
        let mut suspects: Vec<WorkerId> =
            members().filter(|&(rank, _)| rank > 0 && new(rank)).map(|(_, id)| id).collect();
        if suspects.is_empty() {
            if self.failures_in_a_row < TOGETHER {
                return Vec::new();
            }
            // Others hold the same weights: of one or two, none is needed.
            let holds = |worker: &Worker| worker.prepared && worker.applied == Some(self.step);
            let others = self.workers.iter().any(|(id, worker)| !open.members.contains(id) && holds(worker));
            if open.members.len() <= 2 && others {
                return open.members.clone();
            }
            suspects.extend(&open.members[1..]);
        }
        // Whoever was in such generations before comes last.
        suspects.sort_by_key(|id| self.workers.get(id).map_or(0, |worker| worker.trials));
        let left_out = suspects.split_off(suspects.len() / 2);
        // Nothing is lost if it does not begin.
        let begins = self.last.is_none() && self.step == self.durable;
        let too_few = open.members.len() - left_out.len() < self.settings.min_workers;
        if begins && too_few { Vec::new() } else { left_out }
    }

    /// Whether a worker may be a member now.
    pub(super) fn may_take_part(&self, now: u64, worker: WorkerId) -> bool {
        self.workers
            .get(&worker)
            .is_some_and(|known| known.prepared && !known.leaving && now >= known.not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testing::report;
    use crate::{Event, Opening, Settings, Share, Start, Stored, Tail, WorkerInfo};

    fn settings(min_workers: usize) -> Settings {
        Settings {
            steps: 10_000,
            batches: plan::Batches::even(8),
            min_workers,
            max_workers: 8,
            checkpoint_every: 10_000,
            heartbeat_ms: 1_000,
            dead_after_ms: Some(10_000_000),
            unmeasured_ms: 10_000_000,
            guards: plan::Guards::default(),
            keepers: 1,
            unstored: 100_000,
        }
    }

    /// A ledger, its clock, and workers of which some do not reach the others.
    struct Cluster {
        ledger: Ledger,
        now: u64,
        cut_off: Vec<WorkerId>,
        open: Option<Generation>,
        failures: u32,
        ending: Option<Ending>,
        checkpoints: u32,
    }

    impl Cluster {
        fn new(min_workers: usize, workers: u64, cut_off: &[u64]) -> Self {
            let start = Start { term: 1, stored: Stored::default() };
            let ledger = Ledger::new(settings(min_workers), start);
            let cut_off = cut_off.iter().map(|&id| WorkerId(id)).collect();
            let (open, ending) = (None, None);
            let mut cluster = Cluster { ledger, now: 0, cut_off, open, failures: 0, ending, checkpoints: 0 };
            cluster.hear(Event::CheckpointFound { step: 0, head: String::new(), skipped: Vec::new() });
            (1..=workers).for_each(|id| cluster.comes(id));
            cluster
        }

        fn comes(&mut self, id: u64) {
            let info = WorkerInfo { name: format!("w{id}"), address: String::new(), platform: String::new() };
            self.hear(Event::Hello { worker: WorkerId(id), info });
            self.prepared(WorkerId(id), None);
        }

        fn prepared(&mut self, worker: WorkerId, applied: Option<u64>) {
            let entered = self.ledger.workers[&worker].generation;
            let tail = Tail { term: 0, first: 0, records: Vec::new() };
            let since = Opening { term: 1, generation: entered };
            self.hear(Event::Prepared { worker, applied, since, entered, tail });
        }

        fn hear(&mut self, event: Event) {
            for command in self.ledger.handle(self.now, event) {
                match command {
                    Command::Open { generation, .. } => self.open = Some(generation),
                    Command::Abort { .. } => self.open = None,
                    Command::Commit { next: crate::Next::Wait, .. } => self.open = None,
                    Command::Checkpoint { .. } => self.checkpoints += 1,
                    Command::Done(ending) => self.ending = Some(ending),
                    _ => {}
                }
            }
        }

        /// Lets a second pass, in which the open generation computes a step or fails.
        fn second(&mut self) {
            self.now += 1_000;
            self.hear(Event::Tick);
            let Some(open) = self.open.clone() else { return };
            let step = self.ledger.step;
            let fails = open.members.len() > 1 && open.members.iter().any(|id| self.cut_off.contains(id));
            for (&worker, source) in open.members.iter().zip(&open.sources) {
                let generation = open.number;
                if fails {
                    let holds = *source == StateSource::Keep || step > open.step;
                    let applied = if holds || worker == open.members[0] { Some(step) } else { None };
                    self.prepared(worker, applied);
                    let reason = "no route to host".to_owned();
                    self.hear(Event::Failed { worker, generation, reason, own: false });
                } else {
                    let share = Share { micro_batches: 1, ..Share::default() };
                    self.hear(Event::Ready { worker, generation, step, report: report(), share });
                }
            }
            self.failures += u32::from(fails);
        }

        fn members(&self) -> usize {
            self.open.as_ref().map_or(0, |open| open.members.len())
        }
    }

    #[test]
    fn whoever_comes_and_cannot_be_reached_is_tried_less_and_less_often_and_the_others_go_on() {
        let mut cluster = Cluster::new(1, 3, &[]);
        (0..5).for_each(|_| cluster.second());
        cluster.cut_off.push(WorkerId(9));
        cluster.comes(9);
        let before = cluster.ledger.step;
        (0..60).for_each(|_| cluster.second());
        assert!(cluster.ending.is_none() && cluster.ledger.step > before + 50, "{}", cluster.ledger.step);
        assert!((4..9).contains(&cluster.failures), "{} failed", cluster.failures);
        cluster.cut_off.clear();
        (0..35).for_each(|_| cluster.second());
        assert_eq!(cluster.members(), 4, "its connection was mended");
    }

    #[test]
    fn of_many_who_come_the_one_that_cannot_be_reached_is_found() {
        for cut_off in 2..=8 {
            let mut cluster = Cluster::new(1, 1, &[cut_off]);
            (2..=8).for_each(|id| cluster.comes(id));
            (0..40).for_each(|_| cluster.second());
            let open = cluster.open.clone().unwrap();
            assert_eq!(open.members.len(), 7, "{cut_off}: {:?}", open.members);
            assert!(cluster.failures < 24, "{cut_off}: {} failed", cluster.failures);
        }
    }

    #[test]
    fn members_that_do_not_reach_each_other_any_more_go_on_alone_and_together_later() {
        let mut cluster = Cluster::new(1, 2, &[]);
        (0..5).for_each(|_| cluster.second());
        assert_eq!(cluster.members(), 2);
        cluster.cut_off.push(WorkerId(2));
        let before = cluster.ledger.step;
        (0..100).for_each(|_| cluster.second());
        assert!(cluster.ending.is_none() && cluster.ledger.step > before + 60, "{}", cluster.ledger.step);
        assert_eq!(cluster.members(), 1);
        cluster.cut_off.clear();
        (0..140).for_each(|_| cluster.second());
        assert_eq!(cluster.members(), 2, "its connection was mended");
    }

    #[test]
    fn of_many_members_the_one_whose_links_broke_is_found_whoever_it_is() {
        for cut_off in 1..=8 {
            let mut cluster = Cluster::new(1, 8, &[]);
            (0..5).for_each(|_| cluster.second());
            assert_eq!(cluster.members(), 8);
            cluster.cut_off.push(WorkerId(cut_off));
            (0..90).for_each(|_| cluster.second());
            let open = cluster.open.clone().unwrap();
            assert_eq!(open.members.len(), 7, "{cut_off}: {:?}", open.members);
            assert!(!open.members.contains(&WorkerId(cut_off)) && cluster.ledger.step > 50);
        }
    }

    #[test]
    fn whoever_knows_that_it_is_its_own_fault_is_left_out_alone() {
        let mut cluster = Cluster::new(1, 4, &[]);
        (0..5).for_each(|_| cluster.second());
        let (step, open) = (cluster.ledger.step, cluster.open.clone().unwrap());
        cluster.now += 90_000;
        for (worker, own) in
            [(WorkerId(1), true), (WorkerId(2), false), (WorkerId(3), false), (WorkerId(4), false)]
        {
            cluster.prepared(worker, Some(step));
            let (generation, reason) = (open.number, "no route to storage".into());
            cluster.hear(Event::Failed { worker, generation, reason, own });
        }
        assert_eq!(cluster.open.clone().unwrap().members, [WorkerId(2), WorkerId(3), WorkerId(4)]);
        (0..100).for_each(|_| cluster.second());
        assert_eq!(cluster.members(), 3, "four times as long as it held them up");
        (0..300).for_each(|_| cluster.second());
        assert_eq!(cluster.members(), 4);
    }

    #[test]
    fn a_run_that_cannot_begin_with_as_many_as_it_wants_is_given_up() {
        let mut cluster = Cluster::new(3, 3, &[2]);
        (0..20).for_each(|_| cluster.second());
        assert!(matches!(cluster.ending, Some(Ending::Failed(_))), "{:?}", cluster.ending);
    }

    #[test]
    fn weights_are_stored_before_a_run_is_given_up() {
        let mut cluster = Cluster::new(1, 1, &[]);
        (0..5).for_each(|_| cluster.second());
        let (step, worker) = (cluster.ledger.step, WorkerId(1));
        for _ in 0..FAILURES_BEFORE_GIVING_UP {
            let generation = cluster.open.as_ref().unwrap().number;
            cluster.prepared(worker, Some(step));
            cluster.hear(Event::Failed { worker, generation, reason: "out of memory".into(), own: false });
            cluster.now += 1_000;
            cluster.hear(Event::Tick);
        }
        assert!(cluster.ending.is_none() && cluster.checkpoints == 1);
        cluster.hear(Event::CheckpointStored { step });
        assert!(matches!(cluster.ending, Some(Ending::Failed(_))), "{:?}", cluster.ending);
    }
}
