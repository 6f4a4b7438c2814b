//! What a new coordinator does with what those before it have stored. It closes the record to them, and learns what it
//! comes to: the end of the record says that. The rest of the record, and the newest checkpoint, which nobody may have to
//! restore, are read while the run goes on already. Decides nothing.

use std::time::Duration;

use ledger::{Chain, Event, Record, Stored};
use store::{RunStore, Segment, StoreError, Term};
use tokio::sync::mpsc;

use crate::CoordinatorError;
use crate::actor::Input;

/// Before the record is read again because somebody else was faster: listings may be late.
const PAUSE: Duration = Duration::from_millis(100);
/// Before a service that fails is asked for the checkpoint again, beyond the store's own retries.
const LONG_PAUSE: Duration = Duration::from_secs(10);

/// A record that is closed to coordinators of earlier terms.
pub(crate) struct Taken {
    /// What it comes to.
    pub(crate) stored: Stored,
    /// Its segments, with the one that this term began with.
    pub(crate) segments: u64,
    /// What the segments before this number come to was believed, and not read.
    believed: (u64, Stored),
}

/// Reads the end of the run's record, and appends a first segment of this term's own: from then on no other coordinator
/// can append, so that nothing is missing from what was read. `known` segments are there.
pub(crate) async fn take_over(run: &RunStore, term: Term, mut known: u64) -> Result<Taken, CoordinatorError> {
    loop {
        let mut segments = run.ledger_end(known).await?;
        let first = segments.first().map_or(0, |first| first.number);
        let summary = segments.first().and_then(|first| Stored::of_summary(first.summary.as_ref()?));
        let believed = match summary {
            Some(stored) => (first, stored),
            None => {
                if first > 0 {
                    // It is one of another version.
                    segments = run.ledger().await?;
                }
                (0, Stored::default())
            }
        };
        let mut stored = believed.1.clone();
        segments.iter().try_for_each(|segment| take_in(segment, &mut stored))?;
        let next = segments.last().map_or(0, |last| last.number + 1);
        match run.append_ledger(&segment(next, term, &stored, true, String::new())).await {
            Ok(()) => return Ok(Taken { stored, segments: next + 1, believed }),
            // The one before us was faster; unless it is one after us.
            Err(StoreError::Fenced { .. }) => {
                run.check_term(term).await?;
                tokio::time::sleep(PAUSE).await;
                known = 0;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads what was not read before the run went on, and tells the loop what it has to know of it.
pub(crate) async fn read_all(run: RunStore, term: Term, taken: Taken, inbox: mpsc::Sender<Input>) {
    let read = async {
        if let Some(reason) = read_the_rest(&run, &taken).await {
            let _ = inbox.send(Input::Event(Event::GiveUp { reason })).await;
        }
    };
    let read = async {
        tokio::select! {
            () = read => {}
            // The run is over.
            () = inbox.closed() => {}
        }
    };
    tokio::join!(look_back(run.clone(), term, inbox.clone()), read);
}

/// Looks for the newest checkpoint that is whole, and tells the loop.
pub(crate) async fn look_back(run: RunStore, term: Term, inbox: mpsc::Sender<Input>) {
    let mut skipped = Vec::new();
    let look = async {
        loop {
            match newest_checkpoint(&run, term, &mut skipped).await {
                Ok(found) => break found,
                Err(error @ StoreError::Io { .. }) => {
                    let text = format!("checkpoints cannot be looked at, and will be again: {error}");
                    let _ = inbox.send(Input::Notice(text)).await;
                    tokio::time::sleep(LONG_PAUSE).await;
                }
                // Whoever has taken over looks for itself.
                Err(StoreError::Fenced { reason, .. }) => break Event::TakenOver { reason },
                Err(error) => break Event::GiveUp { reason: error.to_string() },
            }
        }
    };
    tokio::select! {
        found = look => {
            let _ = inbox.send(Input::Event(found)).await;
        }
        // The run is over.
        () = inbox.closed() => {}
    }
}

/// The newest checkpoint whose every byte is as it was written. Damaged ones are set aside, so that their steps can be
/// stored again; `skipped` tells of them, also of those that an attempt before this one has set aside.
async fn newest_checkpoint(
    run: &RunStore,
    term: Term,
    skipped: &mut Vec<String>,
) -> Result<Event, StoreError> {
    let checkpoints = run.checkpoints();
    let newest = checkpoints.newest_verified().await?;
    for damaged in &newest.skipped {
        if !skipped.contains(&damaged.to_string()) {
            skipped.push(damaged.to_string());
        }
        // Another coordinator may have stored it again by now.
        run.check_term(term).await?;
        checkpoints.set_aside(damaged.step).await?;
    }
    let skipped = std::mem::take(skipped);
    let (step, head) =
        newest.manifest.map_or_else(Default::default, |manifest| (manifest.step, manifest.ledger_head));
    Ok(Event::CheckpointFound { step, head, skipped })
}

/// Reads what was believed, a few segments at a time, and says what is wrong with it.
async fn read_the_rest(run: &RunStore, taken: &Taken) -> Option<String> {
    match read_up_to(run, taken.believed.0).await {
        Ok(stored) if stored == taken.believed.1 => None,
        Ok(_) => Some(
            record_error(taken.believed.0, "its summary is not what the records before it come to")
                .to_string(),
        ),
        Err(
            error @ (CoordinatorError::Record { .. } | CoordinatorError::Store(StoreError::Damaged { .. })),
        ) => Some(error.to_string()),
        // A service that fails says nothing about the record; `cloze verify` reads all of it, too.
        Err(error) => {
            tracing::warn!(%error, "the beginning of the record cannot be read and is not looked at");
            None
        }
    }
}

/// What the segments before number `end` come to.
async fn read_up_to(run: &RunStore, end: u64) -> Result<Stored, CoordinatorError> {
    const AT_A_TIME: u64 = 64;
    let (mut stored, mut first) = (Stored::default(), 0);
    while first < end {
        let next = (first + AT_A_TIME).min(end);
        run.ledger_between(first, next)
            .await?
            .iter()
            .try_for_each(|segment| take_in(segment, &mut stored))?;
        first = next;
    }
    Ok(stored)
}

fn record_error(segment: u64, reason: impl Into<String>) -> CoordinatorError {
    CoordinatorError::Record { segment, reason: reason.into() }
}

/// The next segment, after the records that come to `stored`.
pub(crate) fn segment(number: u64, term: Term, stored: &Stored, sums_up: bool, text: String) -> Segment {
    let summary = sums_up.then(|| stored.summary());
    Segment { number, term, chain: stored.chain.head(), summary, text }
}

/// Takes in what a segment says.
fn take_in(segment: &Segment, stored: &mut Stored) -> Result<(), CoordinatorError> {
    if !follows(segment, &stored.chain) {
        let reason =
            "it does not follow on the records before it: one of them, or its first line, was changed";
        return Err(record_error(segment.number, reason));
    }
    for line in segment.text.lines() {
        let record = Record::from_line(line).map_err(|reason| record_error(segment.number, reason))?;
        stored.append_line(segment.term.0, &record, line);
    }
    Ok(())
}

/// Whether a segment goes on where the records before it end. Those of the first versions do not say where that is.
fn follows(segment: &Segment, chain: &Chain) -> bool {
    segment.chain.is_empty() || segment.chain == chain.head()
}

#[cfg(test)]
mod tests {
    use ledger::WorkerId;
    use store::{Claim, Location};

    use super::*;

    /// A run of one term, with a record per segment and a summary in each fourth.
    async fn run(segments: u64) -> (RunStore, Stored) {
        let run = RunStore::at(Location::memory());
        let hash = || "hash".to_owned();
        let claim = Claim {
            name: "run".into(),
            recipe_hash: hash(),
            dataset_hash: hash(),
            tokenizer_hash: hash(),
            version: hash(),
        };
        let term = run.claim(&claim).await.unwrap();
        let mut stored = Stored::default();
        for number in 0..segments {
            let (members, reason) = (vec![WorkerId(number)], String::new());
            let record = Record::Opened {
                platform: String::new(),
                term: term.0,
                generation: number,
                step: 0,
                members,
                weights: Vec::new(),
                reason,
            };
            let line = record.line();
            let sums_up = number.is_multiple_of(4);
            run.append_ledger(&segment(number, term, &stored, sums_up, format!("{line}\n"))).await.unwrap();
            stored.append_line(term.0, &record, &line);
        }
        (run, stored)
    }

    #[tokio::test]
    async fn the_end_of_the_record_says_what_all_of_it_comes_to() {
        for segments in [0, 1, 4, 5, 150] {
            let (run, stored) = run(segments).await;
            let taken = take_over(&run, Term(1), segments / 2).await.unwrap();
            assert_eq!((&taken.stored, taken.segments), (&stored, segments + 1));
            assert_eq!(taken.believed.0, segments.saturating_sub(1) / 4 * 4);
            assert_eq!(read_the_rest(&run, &taken).await, None);
            // The next one believes it.
            let again = take_over(&run, Term(1), 0).await.unwrap();
            assert_eq!((&again.stored, again.believed.0), (&stored, segments));
        }
    }

    #[tokio::test]
    async fn what_was_believed_is_compared_with_the_records() {
        let (run, mut stored) = run(150).await;
        stored.steps += 1;
        run.append_ledger(&segment(150, Term(1), &stored, true, String::new())).await.unwrap();
        let taken = take_over(&run, Term(1), 0).await.unwrap();
        assert_eq!(taken.stored, stored);
        let found = read_the_rest(&run, &taken).await.unwrap();
        assert!(found.contains("segment 150") && found.contains("summary"), "{found}");
        run.location().put("ledger/segment-00000007.jsonl", "{}\n").await.unwrap();
        let found = read_the_rest(&run, &taken).await.unwrap();
        assert!(found.contains("segment-00000007"), "{found}");
    }
}
