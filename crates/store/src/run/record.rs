//! A run's ledger on storage: segments of lines that became durable together, each sealed with a checksum. Knows neither
//! what the lines say nor what a summary of them means.

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use super::{RunStore, Series, Term, json, text};
use crate::StoreError;
use crate::retry::retry;

const SEGMENTS: Series =
    Series { first: 0, folder: "ledger", before: "segment-", digits: 8, after: ".jsonl" };
/// Small objects that are read at a time.
const READS: usize = 16;

/// Some lines of the ledger that became durable together.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Its place in the ledger, counted from 0.
    pub number: u64,
    /// Who wrote it.
    pub term: Term,
    /// Hash of all lines before it, as its writer knew them.
    pub chain: String,
    /// What all lines before it come to, in some segments: whoever wants to go on need not read those before.
    pub summary: Option<Value>,
    /// The lines; empty, or with a line end after the last one.
    pub text: String,
}

/// The first line of a segment. A name that was changed must not make it look like one of the first versions.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    segment: u64,
    term: Term,
    #[serde(default)]
    chain: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    summary: Option<Value>,
    /// Of the other fields and of all lines; the first versions had none.
    #[serde(default)]
    checksum: String,
}

impl Segment {
    pub(super) fn name(&self) -> String {
        SEGMENTS.name(self.number)
    }

    /// The segment as a file: its first line, then its lines.
    pub(super) fn sealed(&self) -> String {
        let head = Head {
            segment: self.number,
            term: self.term,
            chain: self.chain.clone(),
            summary: self.summary.clone(),
            checksum: self.checksum(),
        };
        format!("{}\n{}", json(&head), self.text)
    }

    fn checksum(&self) -> String {
        let Segment { number, term, chain, summary, text } = self;
        let summary = summary.as_ref().map_or_else(String::new, |summary| format!(" {summary}"));
        format!("{:032x}", xxh3_128(format!("{number} {term} {chain}{summary}\n{text}").as_bytes()))
    }
}

impl RunStore {
    /// The number of the segment that is to be appended next.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn next_segment(&self) -> Result<u64, StoreError> {
        self.next_of(&SEGMENTS).await
    }

    /// Appends a segment, which must be the next one. Appending the same again is no error. The lines are durable when
    /// this returns.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if somebody else wrote that segment, or has a higher term: decide nothing more.
    pub async fn append_ledger(&self, segment: &Segment) -> Result<(), StoreError> {
        self.check_term(segment.term).await?;
        let (name, text) = (segment.name(), bytes::Bytes::from(segment.sealed()));
        retry(&name, || self.at.put_once(&name, text.clone())).await
    }

    /// All segments that are there, in order, each by itself: for looking at a ledger that may be broken.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn segments(&self) -> Result<Vec<(u64, Result<Segment, StoreError>)>, StoreError> {
        let numbers = self.numbered(&SEGMENTS).await?;
        let segment = |number| async move { (number, self.segment(number).await) };
        Ok(stream::iter(numbers).map(segment).buffered(READS).collect().await)
    }

    /// The whole ledger, in order.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a segment is missing, cut short, or out of order.
    pub async fn ledger(&self) -> Result<Vec<Segment>, StoreError> {
        let end = self.next_segment().await?;
        self.ledger_between(0, end).await
    }

    /// The end of the ledger: from the last segment with a summary on; all of it, if there is none. `known` segments are
    /// known to be there, or are thought to be: it is faster then.
    ///
    /// # Errors
    /// As [`RunStore::ledger`], for the segments that are read.
    pub async fn ledger_end(&self, known: u64) -> Result<Vec<Segment>, StoreError> {
        let end = match self.listed_after(known.saturating_sub(2)).await?.last() {
            Some(last) => self.end_of(&SEGMENTS, last + 1).await?,
            None => self.next_segment().await?,
        };
        let (mut first, mut segments) = (end, Vec::new());
        while first > 0 {
            let before = first.saturating_sub(READS as u64);
            let mut read = self.ledger_between(before, first).await?;
            let summed_up = read.iter().rposition(|segment| segment.summary.is_some());
            read.drain(..summed_up.unwrap_or(0));
            segments.splice(..0, read);
            if summed_up.is_some() {
                break;
            }
            first = before;
        }
        Ok(segments)
    }

    /// The numbers of the segments after number `after` that are there.
    async fn listed_after(&self, after: u64) -> Result<Vec<u64>, StoreError> {
        let name = SEGMENTS.name(after);
        let found = retry(&name, || self.at.list_after(SEGMENTS.folder, &name)).await?;
        Ok(SEGMENTS.numbers(found.into_iter()))
    }

    /// The segments with these numbers, all of which must be there.
    ///
    /// # Errors
    /// As [`RunStore::ledger`].
    pub async fn ledger_between(&self, first: u64, end: u64) -> Result<Vec<Segment>, StoreError> {
        let segment = |number| async move {
            self.segment(number).await.map_err(|error| match error {
                StoreError::NotFound { .. } => {
                    self.broken(number, "it is missing, though later ones are there".into())
                }
                error => error,
            })
        };
        let segments: Vec<Segment> =
            stream::iter(first..end).map(segment).buffered(READS).try_collect().await?;
        for pair in segments.windows(2) {
            if pair[1].term < pair[0].term {
                let reason = format!("term {} follows on term {}", pair[1].term, pair[0].term);
                return Err(self.broken(pair[1].number, reason));
            }
        }
        Ok(segments)
    }

    async fn segment(&self, number: u64) -> Result<Segment, StoreError> {
        let name = SEGMENTS.name(number);
        let bytes = retry(&name, || self.at.get(&name)).await?;
        self.parse_segment(number, text(self.at.place(&name), &bytes)?)
    }

    fn parse_segment(&self, number: u64, text: String) -> Result<Segment, StoreError> {
        let (head, lines) = text
            .split_once('\n')
            .filter(|_| text.ends_with('\n'))
            .ok_or_else(|| self.broken(number, "it is cut short".into()))?;
        let head: Head = serde_json::from_str(head)
            .map_err(|error| self.broken(number, format!("its first line cannot be read: {error}")))?;
        if head.segment != number {
            return Err(self.broken(number, format!("it says that it is segment {}", head.segment)));
        }
        let Head { term, chain, summary, checksum, .. } = head;
        let segment = Segment { number, term, chain, summary, text: lines.to_owned() };
        let found = segment.checksum();
        if !checksum.is_empty() && checksum != found {
            let reason = format!("its checksum is {found}, its first line says {checksum}");
            return Err(self.broken(number, reason));
        }
        Ok(segment)
    }

    fn broken(&self, segment: u64, reason: String) -> StoreError {
        StoreError::Damaged { place: self.at.place(&SEGMENTS.name(segment)), reason }
    }
}
