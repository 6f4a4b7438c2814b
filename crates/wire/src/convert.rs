//! Messages to events, decisions to messages.

use ledger::{
    Doing, Event, Generation, Opening, PartReport, Poisoned, Progress, Record, Share, StateSource, Status,
    StepReport, Tail, Waits, WorkerId, WorkerInfo,
};
use thiserror::Error;

use crate::v1;

/// A message that no correct peer sends. The session must be closed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Malformed {
    /// A message without content, or a message inside a message that is missing.
    #[error("a message lacks its `{0}`")]
    Missing(&'static str),
    /// A message at the wrong time.
    #[error("`{0}` must be the first message of a session, and only that")]
    OutOfPlace(&'static str),
    /// A record that is none.
    #[error("a record cannot be read: {0}")]
    Record(String),
    /// The peer speaks another version.
    #[error(
        "protocol version {theirs}, but this is version {}: install the same release on all machines",
        crate::PROTOCOL
    )]
    Version {
        /// The peer's version.
        theirs: u32,
    },
}

/// The first message of a session.
///
/// # Errors
/// If it is not `Hello`, or of another version.
pub fn hello_of(message: v1::WorkerMessage) -> Result<(WorkerId, WorkerInfo), Malformed> {
    let Some(v1::worker_message::Kind::Hello(hello)) = message.kind else {
        return Err(Malformed::OutOfPlace("hello"));
    };
    if hello.protocol != crate::PROTOCOL {
        return Err(Malformed::Version { theirs: hello.protocol });
    }
    let info = WorkerInfo { name: hello.name, address: hello.address, platform: hello.platform };
    Ok((WorkerId(hello.worker), info))
}

/// A later message of a worker's session, as the ledger's event.
///
/// # Errors
/// If the message is incomplete, or a second `Hello`.
pub fn event_of(worker: WorkerId, message: v1::WorkerMessage) -> Result<Event, Malformed> {
    use v1::worker_message::Kind;
    Ok(match message.kind.ok_or(Malformed::Missing("kind"))? {
        Kind::Hello(_) => return Err(Malformed::OutOfPlace("hello")),
        Kind::Prepared(prepared) => {
            let tail = prepared.tail.map(tail_from).transpose()?.unwrap_or_default();
            let since = prepared.since.unwrap_or_default();
            let since = Opening { term: since.term, generation: since.generation };
            let (applied, entered) = (prepared.applied, prepared.entered);
            Event::Prepared { worker, applied, since, entered, tail }
        }
        Kind::Heartbeat(heartbeat) => {
            let doing = match heartbeat.doing() {
                v1::Doing::Computing => Doing::Computing,
                v1::Doing::Collective => Doing::Collective,
                v1::Doing::Connecting => Doing::Connecting,
                v1::Doing::Unspecified => Doing::Waiting,
            };
            Event::Heartbeat { worker, progress: Progress { done: heartbeat.done, doing } }
        }
        Kind::Ready(ready) => Event::Ready {
            worker,
            generation: ready.generation,
            step: ready.step,
            report: report_of(ready.report.ok_or(Malformed::Missing("report"))?),
            share: share_of(ready.share.ok_or(Malformed::Missing("share"))?),
        },
        Kind::Failed(failed) => {
            let v1::Failed { generation, reason, own } = failed;
            Event::Failed { worker, generation, reason, own }
        }
        Kind::RestoreFailed(failed) => {
            Event::RestoreFailed { worker, generation: failed.generation, reason: failed.reason }
        }
        Kind::PartStored(stored) => Event::PartStored {
            worker,
            step: stored.step,
            of: stored.of,
            index: stored.index,
            part: PartReport {
                name: stored.name,
                size: stored.size,
                checksum: stored.checksum,
                tensors: stored.tensors,
                state_digest: stored.state_digest,
            },
        },
        Kind::PartFailed(failed) => Event::PartFailed { worker, step: failed.step, reason: failed.reason },
        Kind::Leave(_) => Event::Leave { worker },
    })
}

/// Records as the ledger keeps them.
pub(crate) fn tail_from(tail: v1::Tail) -> Result<Tail, Malformed> {
    let v1::Tail { term, first, records } = tail;
    let records = records.iter().map(|line| Record::from_line(line)).collect::<Result<_, _>>();
    Ok(Tail { term, first, records: records.map_err(Malformed::Record)? })
}

/// Records as a message.
pub fn tail_of(tail: &Tail) -> v1::Tail {
    v1::Tail { term: tail.term, first: tail.first, records: tail.records.iter().map(Record::line).collect() }
}

fn share_of(share: v1::Share) -> Share {
    let v1::Share { micro_batches, compute_ms, reduce_ms, poisoned, recomputed, .. } = share;
    let v1::Share { state_digest, data_ms, checkpoint_ms, .. } = share;
    let poisoned =
        poisoned.into_iter().map(|v1::Poisoned { micro_batch, samples }| Poisoned { micro_batch, samples });
    let recomputed = recomputed.into_iter().map(|twice| (twice.micro_batch, twice.digest));
    Share {
        micro_batches,
        compute_ms,
        data_ms,
        checkpoint_ms,
        reduce_ms,
        poisoned: poisoned.collect(),
        recomputed: recomputed.collect(),
        state_digest,
    }
}

fn report_of(report: v1::StepReport) -> StepReport {
    let v1::StepReport { loss, targets, tokens, grad_norm, digest, overflowed, measures } = report;
    let measures = measures.into_iter().map(|measure| (measure.name, measure.value)).collect();
    StepReport { loss, targets, tokens, grad_norm, digest, overflowed, measures, waits: Waits::default() }
}

/// A step's report as a message.
pub fn step_report(report: &StepReport) -> v1::StepReport {
    let StepReport { loss, targets, tokens, grad_norm, digest, overflowed, measures, waits: _ } =
        report.clone();
    let measures = measures.into_iter().map(|(name, value)| v1::Measure { name, value }).collect();
    v1::StepReport { loss, targets, tokens, grad_norm, digest, overflowed, measures }
}

/// What the member of a given rank is told when a generation opens.
pub fn open_for(generation: &Generation, rank: usize, reason: &str, tail: Option<v1::Tail>) -> v1::Open {
    let source = match generation.sources[rank] {
        StateSource::Keep => v1::StateSource::Keep,
        StateSource::Receive => v1::StateSource::Receive,
        StateSource::Restore => v1::StateSource::Restore,
    };
    v1::Open {
        generation: generation.number,
        rank: rank as u32,
        world: generation.members.len() as u32,
        step: generation.step,
        source: source.into(),
        broadcast: generation.needs_broadcast(),
        reason: reason.to_owned(),
        tail,
        weights: if generation.deal.is_even() { Vec::new() } else { generation.deal.weights().to_vec() },
        left_out: generation.left_out.iter().map(|&(first, end)| v1::StepRange { first, end }).collect(),
    }
}

/// The run's status as a message; what the ledger does not know is filled in by the caller.
pub fn status_of(status: &Status) -> v1::GetStatusResponse {
    let workers = status.workers.iter().map(|of| v1::WorkerStatus {
        worker: of.worker.0,
        name: of.info.name.clone(),
        address: of.info.address.clone(),
        member: of.micro_batches.is_some(),
        micro_batches: of.micro_batches.unwrap_or_default(),
        applied: of.applied,
    });
    v1::GetStatusResponse {
        phase: format!("{:?}", status.phase).to_lowercase(),
        generation: status.generation,
        step: status.step,
        steps: status.steps,
        durable: status.durable,
        last: status.last.as_ref().map(step_report),
        workers: workers.collect(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_begins_with_hello_and_has_only_one() {
        let hello = v1::WorkerMessage {
            kind: Some(v1::worker_message::Kind::Hello(v1::Hello {
                worker: 7,
                protocol: crate::PROTOCOL,
                ..Default::default()
            })),
        };
        assert_eq!(hello_of(hello.clone()).unwrap().0, WorkerId(7));
        assert_eq!(event_of(WorkerId(7), hello), Err(Malformed::OutOfPlace("hello")));
        assert_eq!(hello_of(v1::WorkerMessage { kind: None }), Err(Malformed::OutOfPlace("hello")));
        assert_eq!(event_of(WorkerId(7), v1::WorkerMessage { kind: None }), Err(Malformed::Missing("kind")));
    }

    #[test]
    fn a_report_survives_the_wire() {
        let report = StepReport {
            loss: 1.5,
            targets: 3,
            tokens: 20,
            grad_norm: 0.25,
            digest: "ab".into(),
            overflowed: true,
            measures: vec![("mlm".into(), 1.25)],
            waits: Waits::default(),
        };
        assert_eq!(report_of(step_report(&report)), report);
        let ready = v1::Ready { generation: 1, step: 2, report: None, share: None };
        let message = v1::WorkerMessage { kind: Some(v1::worker_message::Kind::Ready(ready)) };
        assert_eq!(event_of(WorkerId(1), message), Err(Malformed::Missing("report")));
    }
}
