//! Writes what must last, in the order in which it was decided: ledger segments, checkpoint manifests, pruning. One
//! task, so that a checkpoint is never visible before the records that lead to it. Decides nothing.

use std::collections::BTreeMap;

use ledger::{Event, PartReport, Record, Stored};
use plan::RunPlan;
use store::{CheckpointManifest, PartMeta, Retention, RunStore, StoreError, Term};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::takeover;

/// Records are gathered for this long before they become a segment.
const SEGMENT_EVERY: std::time::Duration = std::time::Duration::from_secs(10);
/// A segment is closed at this size at the latest, so that memory is bounded however fast the steps are.
const SEGMENT_BYTES: usize = 1 << 20;
/// Metrics that wait for storage, and how long the end of a run waits for them.
const METRICS_BYTES: usize = 4 << 20;
const METRICS_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
/// So often a segment says what the records before it come to. A coordinator that comes back reads no more of them.
const SUMMARY_EVERY: u64 = 64;

/// A checkpoint whose parts are all stored.
pub(crate) struct Finished {
    pub(crate) step: u64,
    pub(crate) parts: Vec<PartReport>,
    pub(crate) ledger_head: String,
    pub(crate) loss: Option<f64>,
}

pub(crate) enum Writing {
    Record(Record),
    Checkpoint(Finished),
    /// A line of JSON for people.
    Metrics(String),
    /// What held-out samples said of the weights after `step` updates.
    Evaluation {
        step: u64,
        measures: BTreeMap<String, f64>,
    },
    /// Write everything and answer.
    Finish(oneshot::Sender<()>),
}

pub(crate) struct Scribe {
    pub(crate) run: RunStore,
    pub(crate) term: Term,
    pub(crate) plan: RunPlan,
    pub(crate) dataset_hash: String,
    pub(crate) tokenizer_hash: String,
    pub(crate) events: mpsc::Sender<Event>,
    segment: u64,
    /// What the records come to that are durable, those of earlier terms included.
    stored: Stored,
    lines: String,
    /// Lines for people that are not kept yet.
    metrics: String,
    keeping: Option<JoinHandle<()>>,
    /// How often metrics were kept in this term.
    kept: u64,
    /// A segment that could not be written: it is tried again as it is, because it may have been written after all.
    pending: Option<String>,
}

impl Scribe {
    pub(crate) fn new(
        run: RunStore,
        term: Term,
        plan: RunPlan,
        (dataset_hash, tokenizer_hash): (String, String),
        (segment, stored): (u64, Stored),
        events: mpsc::Sender<Event>,
    ) -> Self {
        Scribe {
            run,
            term,
            plan,
            dataset_hash,
            tokenizer_hash,
            events,
            segment,
            stored,
            lines: String::new(),
            metrics: String::new(),
            keeping: None,
            kept: 0,
            pending: None,
        }
    }

    pub(crate) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Writing>) {
        let mut timer = tokio::time::interval(SEGMENT_EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                writing = queue.recv() => match writing {
                    Some(Writing::Record(record)) => {
                        self.lines.push_str(&record.line());
                        self.lines.push('\n');
                        if self.lines.len() > SEGMENT_BYTES {
                            let _ = self.flush().await;
                        }
                    }
                    Some(Writing::Metrics(line)) => self.gather(&line),
                    Some(Writing::Checkpoint(finished)) => self.checkpoint(finished).await,
                    Some(Writing::Evaluation { step, measures }) => {
                        if let Err(error) = self.run.put_evaluation(step, &measures).await {
                            tracing::warn!(step, %error, "an evaluation could not be kept");
                        }
                    }
                    Some(Writing::Finish(done)) => {
                        let _ = self.flush().await;
                        self.finish_metrics().await;
                        let _ = done.send(());
                    }
                    None => return,
                },
                _ = timer.tick() => self.look_after().await,
            }
        }
    }

    /// What people may read later. What there is no room for is lost.
    fn gather(&mut self, line: &str) {
        if self.metrics.len() > METRICS_BYTES {
            return;
        }
        self.metrics.push_str(line);
        self.metrics.push('\n');
        if self.metrics.len() > METRICS_BYTES {
            tracing::warn!("storage does not take the metrics; until it does, no more of them are kept");
        }
    }

    /// Begins to keep what was gathered, unless that is under way. Nothing that lasts waits for it.
    fn keep_metrics(&mut self) {
        let busy = self.keeping.as_ref().is_some_and(|keeping| !keeping.is_finished());
        if busy || self.metrics.is_empty() {
            return;
        }
        let (run, term, number) = (self.run.clone(), self.term, self.kept);
        let lines = std::mem::take(&mut self.metrics);
        self.kept += 1;
        self.keeping = Some(tokio::spawn(async move {
            if let Err(error) = run.put_metrics(term, number, lines).await {
                tracing::warn!(%error, "metrics could not be kept");
            }
        }));
    }

    /// Waits for what is under way, and then keeps what has come since.
    async fn finish_metrics(&mut self) {
        for _ in 0..3 {
            if let Some(keeping) = self.keeping.take() {
                let _ = tokio::time::timeout(METRICS_PATIENCE, keeping).await;
            }
            self.keep_metrics();
        }
    }

    /// What is done from time to time: whoever has nothing to write would never learn that its term is over, and keep its
    /// workers from the coordinator that has taken over.
    async fn look_after(&mut self) {
        self.keep_metrics();
        if self.pending.is_some() || !self.lines.is_empty() {
            let _ = self.flush().await;
        } else if let Err(error @ StoreError::Fenced { .. }) = self.run.check_term(self.term).await {
            self.complain(&error).await;
        }
    }

    /// Closes the segment. What could not be written is kept and tried again with the next one.
    async fn flush(&mut self) -> Result<(), StoreError> {
        for _ in 0..2 {
            let text = match self.pending.take() {
                Some(text) => text,
                None if self.lines.is_empty() => return Ok(()),
                None => std::mem::take(&mut self.lines),
            };
            let sums_up = self.segment.is_multiple_of(SUMMARY_EVERY);
            let segment = takeover::segment(self.segment, self.term, &self.stored, sums_up, text);
            if let Err(error) = self.run.append_ledger(&segment).await {
                self.pending = Some(segment.text);
                self.complain(&error).await;
                return Err(error);
            }
            self.segment += 1;
            for line in segment.text.lines() {
                match Record::from_line(line) {
                    Ok(record) => self.stored.append_line(self.term.0, &record, line),
                    Err(error) => {
                        let reason = format!("a record cannot be read back: {error}: {line}; this is a bug");
                        let _ = self.events.send(Event::GiveUp { reason }).await;
                    }
                }
            }
            let _ = self.events.send(Event::Recorded { records: self.stored.records }).await;
        }
        Ok(())
    }

    async fn checkpoint(&mut self, finished: Finished) {
        let step = finished.step;
        // A checkpoint must not be visible before the records of the steps that led to it.
        let done = match self.flush().await {
            Ok(()) => self.commit(finished).await,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::error!(step, %error, "a checkpoint could not be made");
            // An earlier term may have committed the step with another state: that is not the end of this one.
            if let Err(over @ StoreError::Fenced { .. }) = self.run.check_term(self.term).await {
                self.complain(&over).await;
            }
            let _ = self.events.send(Event::CheckpointFailed { step, reason: error.to_string() }).await;
            // Whoever has taken over may want to keep other ones.
            return;
        }
        let _ = self.events.send(Event::CheckpointStored { step }).await;
        if let Err(error) = self.run.checkpoints().prune(&Retention::from(&self.plan.checkpoint)).await {
            tracing::warn!(%error, "old checkpoints could not be deleted");
        }
    }

    async fn commit(&self, finished: Finished) -> Result<(), StoreError> {
        let Finished { step, parts, ledger_head, loss } = finished;
        let state_digest = parts.first().map(|part| part.state_digest.clone()).unwrap_or_default();
        let parts = parts.into_iter().map(|part| PartMeta {
            name: part.name,
            size: part.size,
            checksum: part.checksum,
            tensors: part.tensors,
        });
        let manifest = CheckpointManifest {
            version: CheckpointManifest::FORMAT,
            step,
            micro_batches: self.plan.step_micro_batches(step).first,
            term: self.term,
            recipe_hash: self.plan.recipe_hash(),
            seed: self.plan.run.seed,
            dataset_hash: self.dataset_hash.clone(),
            tokenizer_hash: self.tokenizer_hash.clone(),
            ledger_head,
            segments: self.segment,
            state_digest,
            loss,
            parts: parts.collect(),
            created_by: format!("cloze {}", env!("CARGO_PKG_VERSION")),
        };
        self.run.checkpoints().commit(&manifest).await
    }

    async fn complain(&self, error: &StoreError) {
        tracing::error!(%error, "the run's state could not be written");
        if let StoreError::Fenced { .. } = error {
            let reason = format!("another coordinator has taken over this run: {error}");
            let _ = self.events.send(Event::TakenOver { reason }).await;
        }
    }
}
