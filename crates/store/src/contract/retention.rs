//! Which checkpoints stay, and that nothing is left of the others.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::checkpoints::{resumed, started};
use super::{checkpoint, cut, everywhere, parts, path};
use crate::{CheckpointState, Location, Retention, RunStore, Term};

#[tokio::test]
async fn pruning_leaves_no_trace_of_what_it_deletes() {
    everywhere(async |run| {
        let term = started(&run).await;
        for step in 1..=5 {
            checkpoint(&run, term, step, 2).await;
        }
        parts(&run, term, 6, 2).await;
        assert_eq!(run.checkpoints().prune(&newest(2, Some(1))).await.unwrap(), [2, 3]);
        let left = run.location().list("checkpoints").await.unwrap();
        let steps: BTreeSet<_> = left.iter().map(|(name, _)| name.split('/').nth(1).unwrap()).collect();
        assert_eq!(steps.len(), 4, "{left:?}");
        assert_eq!(run.checkpoints().prune(&newest(0, None)).await.unwrap(), [1, 4]);
        assert_eq!(resumed(&run).await, (Some(5), vec![]));
    })
    .await;
}

pub(super) fn newest(last: u32, keep: Option<u64>) -> Retention {
    Retention { last, keep, ..Retention::default() }
}

#[tokio::test]
async fn milestones_and_the_best_outlive_the_newest() {
    everywhere(async |run| {
        let term = started(&run).await;
        for (step, loss) in [(1, 3.0), (2, 1.0), (3, 2.0), (4, f64::NAN), (5, 1.0), (6, 9.0), (7, 8.0)] {
            checkpoint(&run, term, step, 1).await;
            let measures = [("mlm".to_owned(), loss), ("mlm_accuracy".to_owned(), loss / 10.0)].into();
            run.put_evaluation(step, &measures).await.unwrap();
        }
        let keep = Retention { last: 1, every: 3, best: 2, best_by: "mlm".into(), keep: None };
        // 3 and 6 are milestones, 2 and 5 the best; of step 4 nothing can be said.
        assert_eq!(run.checkpoints().doomed(&keep).await.unwrap(), [1, 4]);
        let accurate = Retention { best_by: "mlm_accuracy".into(), every: 0, ..keep.clone() };
        assert_eq!(run.checkpoints().doomed(&accurate).await.unwrap(), [1, 2, 3, 4, 5]);
        assert_eq!(run.checkpoints().prune(&keep).await.unwrap(), [1, 4]);
        assert!(run.checkpoints().prune(&keep).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_was_set_aside_stays_until_enough_newer_ones_are_there_and_is_said_to_be() {
    everywhere(async |run| {
        let term = started(&run).await;
        checkpoint(&run, term, 1, 1).await;
        let damaged = checkpoint(&run, term, 2, 1).await;
        run.checkpoints().set_aside(2).await.unwrap();
        assert_eq!(resumed(&run).await, (Some(1), vec![]));
        assert_eq!(run.checkpoints().list().await.unwrap()[1].state, CheckpointState::SetAside);
        for (step, gone) in [(3, vec![]), (4, vec![1, 2])] {
            checkpoint(&run, term, step, 1).await;
            let part = run.location().get(&path(2, &damaged.parts[0].name)).await;
            assert!(part.is_ok(), "whoever wants to know what happened looks at it: {part:?}");
            assert_eq!(run.checkpoints().prune(&newest(2, None)).await.unwrap(), gone);
        }
    })
    .await;
}

/// Step `n` is unfinished, damaged, whole or set aside where `kinds[n]` is 0, 1, 2 or 3.
async fn check_pruning(kinds: &[i32], last: u32, keep: u64) {
    let run = RunStore::at(Location::memory());
    for (step, &kind) in (0..).zip(kinds) {
        let manifest = parts(&run, Term(1), step, 1).await;
        if kind > 0 {
            run.checkpoints().commit(&manifest).await.unwrap();
        }
        if kind == 1 {
            cut(&run, &path(step, &manifest.parts[0].name), 3).await;
        }
        if kind == 3 {
            run.checkpoints().set_aside(step).await.unwrap();
        }
    }
    let whole = kinds.iter().filter(|&&kind| kind == 2).count();
    let pruned = run.checkpoints().prune(&newest(last, Some(keep))).await.unwrap();
    for (step, &kind) in (0..).zip(kinds) {
        let newer = kinds[step as usize + 1..].iter().filter(|&&kind| kind == 2).count();
        let enough = if kind == 0 { 1 } else { last.max(1) as usize };
        let expected = step != keep && whole > 0 && newer >= enough;
        assert_eq!(pruned.contains(&step), expected, "step {step} of {kinds:?}");
    }
    let left: Vec<u64> = run.checkpoints().list().await.unwrap().iter().map(|entry| entry.step).collect();
    let expected: Vec<u64> = (0..kinds.len() as u64).filter(|step| !pruned.contains(step)).collect();
    assert_eq!(left, expected);
}

proptest! {
    #[test]
    fn pruning_keeps_what_it_should(
        kinds in prop::collection::vec(0..4, 1..9),
        last in 0u32..5,
        keep in 0u64..9,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(check_pruning(&kinds, last, keep));
    }
}
