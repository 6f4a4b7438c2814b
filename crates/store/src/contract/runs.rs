//! Terms fence, a run stays the same run, and the ledger is one unbroken line.

use std::sync::Arc;

use futures::future::join_all;

use super::faulty::Faulty;
use super::services::without_conditions;
use super::{append, claim, cut, everywhere, flip, segment};
use crate::{Location, Packing, RunStore, Segment, StoreError, Term};

#[tokio::test]
async fn of_many_that_create_an_object_one_does() {
    everywhere(async |run| {
        let place = run.location();
        let attempts = (0..8).map(|n| async move { place.put_new("a/b", format!("{n}")).await.map(|()| n) });
        let done: Vec<_> = join_all(attempts).await;
        let winners: Vec<_> = done.iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{done:?}");
        assert_eq!(place.get("a/b").await.unwrap(), winners[0].to_string());
        assert!(
            done.iter().flat_map(|one| one.as_ref().err()).all(|e| matches!(e, StoreError::Fenced { .. }))
        );
        place.put_once("a/b", winners[0].to_string()).await.unwrap();
        assert!(matches!(place.put_once("a/b", "else").await, Err(StoreError::Fenced { .. })));
        assert_eq!(place.size("a/b").await.unwrap(), Some(1));
        assert_eq!(place.size("a/c").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn storage_that_keeps_no_conditions_is_found_out_and_others_pass() {
    everywhere(async |run| {
        run.location().probe_conditions().await.unwrap();
        assert!(run.location().list("").await.unwrap().is_empty(), "the probe leaves nothing behind");
    })
    .await;
    let error = without_conditions().probe_conditions().await.unwrap_err();
    assert!(error.is_bad_input() && error.to_string().contains("run.unfenced"), "{error}");
}

#[tokio::test]
async fn of_many_that_claim_a_run_each_gets_a_term_of_its_own_and_the_last_is_in_charge() {
    everywhere(async |run| {
        assert_eq!(run.current_term().await.unwrap(), Term(0));
        let who = claim("recipe");
        let mut terms: Vec<_> =
            join_all((0..8).map(|_| run.claim(&who))).await.into_iter().map(Result::unwrap).collect();
        terms.sort();
        assert_eq!(terms, (1..=8).map(Term).collect::<Vec<_>>());
        assert_eq!(run.current_term().await.unwrap(), Term(8));
        for term in terms {
            let checked = run.check_term(term).await;
            assert_eq!(checked.is_ok(), term == Term(8), "{term}: {checked:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn another_recipe_dataset_or_tokenizer_is_refused_and_named() {
    everywhere(async |run| {
        let first = claim("recipe");
        assert!(run.identity().await.unwrap_err().is_bad_input());
        run.claim(&first).await.unwrap();
        assert_eq!(run.identity().await.unwrap(), first);
        for (what, other) in [
            ("recipe", claim("other")),
            ("dataset", crate::Claim { dataset_hash: "other".into(), ..first.clone() }),
            ("tokenizer", crate::Claim { tokenizer_hash: "other".into(), ..first.clone() }),
        ] {
            let error = run.claim(&other).await.unwrap_err();
            assert!(error.is_bad_input() && error.to_string().contains(&format!("{what} hash")), "{error}");
        }
        assert_eq!(run.current_term().await.unwrap(), Term(1));
        let newer = crate::Claim { version: "2".into(), name: "moved".into(), ..first };
        assert_eq!(run.claim(&newer).await.unwrap(), Term(2));
    })
    .await;
}

#[tokio::test]
async fn plan_and_packing_are_kept() {
    everywhere(async |run| {
        assert!(run.plan().await.unwrap_err().is_bad_input());
        run.put_plan("a = 1\n").await.unwrap();
        run.put_plan("a = 2\n").await.unwrap();
        assert_eq!(run.plan().await.unwrap(), "a = 2\n");
        let packing = Packing { counts: vec![vec![3, 0, u32::MAX], vec![]] };
        assert_eq!(run.packing("abc").await.unwrap(), None);
        run.put_packing("abc", &packing).await.unwrap();
        assert_eq!(run.packing("abc").await.unwrap(), Some(packing));
        cut(&run, "packing-abc.json", 9).await;
        assert_eq!(run.packing("abc").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn the_ledger_comes_back_in_order_and_takes_each_segment_once() {
    everywhere(async |run| {
        let old = run.claim(&claim("recipe")).await.unwrap();
        for number in 0..12 {
            assert_eq!(run.next_segment().await.unwrap(), number);
            append(&run, old, number, &format!("{{\"step\":{number}}}\n")).await.unwrap();
        }
        append(&run, old, 11, "{\"step\":11}\n").await.unwrap();
        assert!(matches!(append(&run, old, 11, "{}\n").await, Err(StoreError::Fenced { .. })));
        let new = run.claim(&claim("recipe")).await.unwrap();
        append(&run, new, 12, "").await.unwrap();
        let ledger = run.ledger().await.unwrap();
        assert_eq!(ledger.len(), 13);
        for (number, segment) in (0..12).zip(&ledger) {
            assert_eq!((segment.number, segment.term), (number, old));
            assert_eq!(segment.text, format!("{{\"step\":{number}}}\n"));
        }
        assert_eq!((ledger[12].term, ledger[12].text.as_str()), (new, ""));
    })
    .await;
}

#[tokio::test]
async fn the_end_of_the_ledger_begins_with_the_last_summary() {
    everywhere(async |run| {
        let term = run.claim(&claim("recipe")).await.unwrap();
        assert_eq!(run.ledger_end(0).await.unwrap(), []);
        for number in 0..40 {
            let summary =
                [3, 7].contains(&number).then(|| serde_json::json!({"b": 0.1 + 0.2, "a": [number]}));
            let text = format!("{{\"step\":{number}}}\n");
            run.append_ledger(&Segment { summary, ..segment(term, number, &text) }).await.unwrap();
            let first = if number < 3 {
                0
            } else if number < 7 {
                3
            } else {
                7
            };
            // What is thought to be there may be wrong in either direction.
            for known in [0, number, number + 1, number + 5] {
                let end = run.ledger_end(known).await.unwrap();
                let numbers: Vec<u64> = end.iter().map(|segment| segment.number).collect();
                assert_eq!(numbers, (first..=number).collect::<Vec<_>>(), "{known} known");
            }
        }
        let end = run.ledger_end(12).await.unwrap();
        assert_eq!(end[0].summary, Some(serde_json::json!({"a": [7], "b": 0.1 + 0.2})));
        assert_eq!(end, run.ledger_between(7, 40).await.unwrap());
        run.location().delete("ledger/segment-00000020.jsonl").await.unwrap();
        let error = run.ledger_end(12).await.unwrap_err().to_string();
        assert!(error.contains("segment-00000020") && error.contains("missing"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_coordinator_that_was_replaced_appends_nothing_more() {
    everywhere(async |run| {
        let old = run.claim(&claim("recipe")).await.unwrap();
        append(&run, old, 0, "{}\n").await.unwrap();
        let new = run.claim(&claim("recipe")).await.unwrap();
        assert!(matches!(append(&run, old, 1, "{}\n").await, Err(StoreError::Fenced { .. })));
        append(&run, new, 1, "{}\n").await.unwrap();
        // As if the old one had passed the check of its term just before the new one took over.
        let late = run.location().put_once("ledger/segment-00000001.jsonl", "late").await;
        assert!(matches!(late, Err(StoreError::Fenced { .. })));
        assert_eq!(run.ledger().await.unwrap().len(), 2);
    })
    .await;
}

const SEGMENT: &str = "ledger/segment-00000002.jsonl";

async fn with_a_ledger(run: &RunStore) -> bytes::Bytes {
    let old = run.claim(&claim("recipe")).await.unwrap();
    for number in 0..4 {
        append(run, old, number, "{}\n").await.unwrap();
    }
    run.location().get(SEGMENT).await.unwrap()
}

async fn damage_is_named(run: &RunStore) {
    let error = run.ledger().await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }) && error.to_string().contains(SEGMENT), "{error}");
}

#[tokio::test]
async fn a_damaged_ledger_is_named() {
    everywhere(async |run| {
        let whole = with_a_ledger(&run).await;
        for size in [0, 5, whole.len() - 1] {
            cut(&run, SEGMENT, size).await;
            damage_is_named(&run).await;
            run.location().put(SEGMENT, whole.clone()).await.unwrap();
        }
        run.location().delete(SEGMENT).await.unwrap();
        damage_is_named(&run).await;
    })
    .await;
}

#[tokio::test]
async fn every_bit_of_a_segment_counts() {
    let run = RunStore::at(Location::memory());
    let whole = with_a_ledger(&run).await;
    for bit in 0..whole.len() * 8 {
        flip(&run, SEGMENT, bit).await;
        damage_is_named(&run).await;
        run.location().put(SEGMENT, whole.clone()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_not_taken_for_somebody_elses() {
    let store = Faulty::default();
    let run = RunStore::at(Location::of(Arc::new(store.clone()), ""));
    store.lose_answers(3);
    let term = run.claim(&claim("recipe")).await.unwrap();
    assert_eq!(term, Term(1));
    store.lose_answers(2);
    append(&run, term, 0, "{}\n").await.unwrap();
    assert_eq!(run.ledger().await.unwrap().len(), 1);
    store.crash_after(0);
    assert!(matches!(append(&run, term, 1, "{}\n").await, Err(StoreError::Io { .. })));
    store.restart();
    assert_eq!(run.next_segment().await.unwrap(), 1);
}

#[tokio::test]
async fn what_an_old_listing_does_not_show_is_there_all_the_same() {
    for (before, after) in [(0, 0), (0, 1), (0, 21), (1, 1), (3, 6), (4, 13)] {
        let store = Faulty::default();
        let run = RunStore::at(Location::of(Arc::new(store.clone()), ""));
        let first = run.claim(&claim("recipe")).await.unwrap();
        for number in 0..before {
            append(&run, first, number, "{}\n").await.unwrap();
        }
        store.freeze_listings().await;
        let second = run.claim(&claim("recipe")).await.unwrap();
        assert_eq!((second, run.current_term().await.unwrap()), (Term(2), Term(2)));
        for number in before..before + after {
            append(&run, second, number, "{}\n").await.unwrap();
        }
        let end = before + after;
        assert_eq!(run.next_segment().await.unwrap(), end);
        assert_eq!(run.ledger().await.unwrap().len() as u64, end);
        for known in 0..end {
            assert_eq!(run.ledger_end(known).await.unwrap().len() as u64, end, "{known} known");
        }
        let segments = run.segments().await.unwrap();
        assert_eq!(
            segments.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
            (0..end).collect::<Vec<_>>()
        );
        assert!(segments.iter().all(|(_, segment)| segment.is_ok()));
    }
}
