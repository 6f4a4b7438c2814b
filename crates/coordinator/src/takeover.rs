//! What a new coordinator does with the record of those before it: closes it to them, and learns what it comes to. The
//! end of the record says that; the rest is read while the run goes on already. Decides nothing.

use ledger::{Chain, Record, Stored};
use serde::Deserialize;
use store::{RunStore, Segment, StoreError, Term};

use crate::CoordinatorError;

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
pub(crate) async fn take_over(run: &RunStore, term: Term, known: u64) -> Result<Taken, CoordinatorError> {
    loop {
        let segments = run.ledger_end(known).await?;
        let number = segments.first().map_or(0, |first| first.number);
        let believed = match segments.first().and_then(|first| first.summary.as_ref()) {
            None => Stored::default(),
            Some(summary) => Stored::deserialize(summary).map_err(|error| CoordinatorError::Record {
                segment: number,
                reason: format!("its summary cannot be read: {error}"),
            })?,
        };
        let mut stored = believed.clone();
        segments.iter().try_for_each(|segment| take_in(segment, &mut stored))?;
        let next = segments.last().map_or(0, |last| last.number + 1);
        match run.append_ledger(&segment(next, term, &stored, true, String::new())).await {
            Ok(()) => return Ok(Taken { stored, segments: next + 1, believed: (number, believed) }),
            // The one before us was faster; unless it is one after us.
            Err(StoreError::Fenced { .. }) => run.check_term(term).await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads what was believed. A few segments are in memory at a time.
pub(crate) async fn read_the_rest(run: &RunStore, taken: &Taken) -> Result<(), CoordinatorError> {
    const AT_A_TIME: u64 = 64;
    let (end, believed) = &taken.believed;
    let mut stored = Stored::default();
    for first in (0..*end).step_by(AT_A_TIME as usize) {
        let segments = run.ledger_between(first, (first + AT_A_TIME).min(*end)).await?;
        segments.iter().try_for_each(|segment| take_in(segment, &mut stored))?;
    }
    if stored == *believed {
        return Ok(());
    }
    let reason = "its summary is not what the records before it come to".to_owned();
    Err(CoordinatorError::Record { segment: *end, reason })
}

/// The next segment, after the records that come to `stored`.
pub(crate) fn segment(number: u64, term: Term, stored: &Stored, sums_up: bool, text: String) -> Segment {
    let summary =
        sums_up.then(|| serde_json::to_value(stored).expect("numbers, and strings as keys, become JSON"));
    Segment { number, term, chain: stored.chain.head(), summary, text }
}

/// Takes in what a segment says.
fn take_in(segment: &Segment, stored: &mut Stored) -> Result<(), CoordinatorError> {
    let broken = |reason: String| CoordinatorError::Record { segment: segment.number, reason };
    if !follows(segment, &stored.chain) {
        let reason =
            "it does not follow on the records before it: one of them, or its first line, was changed";
        return Err(broken(reason.to_owned()));
    }
    for line in segment.text.lines() {
        let record = Record::from_line(line).map_err(broken)?;
        stored.append_line(segment.term.0, &record, line);
    }
    Ok(())
}

/// Whether a segment goes on where the records before it end. Those of the first versions do not say where that is.
fn follows(segment: &Segment, chain: &Chain) -> bool {
    segment.chain.is_empty() || segment.chain == chain.head()
}
