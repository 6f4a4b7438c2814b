//! What reaches storage, from workers and from coordinators: in the order of `coordinator::scribe`, and stopped by what
//! stops writers there.

use ledger::{Event, PartReport, WorkerId};

use super::World;
use crate::coordinator::Coordinator;
use crate::storage::Manifest;
use crate::worker::State;
use crate::{Observer, Seen};

/// Writes of a coordinator whose term is over that get through, because its term was not over when it looked; per ten
/// thousand.
const RACED: u64 = 2_000;

impl<O: Observer> World<O> {
    pub(super) fn part(&mut self, worker: WorkerId, step: u64, index: u32, of: u32, state: State) {
        let failed = self.chance(self.scenario.faults.storage * 100);
        // An error does not say that nothing was stored.
        if !failed || self.chance(5_000) {
            self.storage.put_part(step, of, index, state.hash);
        }
        let event = if failed {
            Event::PartFailed { worker, step, reason: "503".to_owned() }
        } else {
            let part = PartReport {
                name: format!("part-{index}-of-{of}"),
                size: 1,
                checksum: String::new(),
                tensors: Vec::new(),
                state_digest: format!("{:016x}", state.hash),
            };
            Event::PartStored { worker, step, of, index, part }
        };
        self.say(worker, event);
    }

    /// What a coordinator does from time to time.
    pub(super) fn look_after(&mut self, term: u64) -> Result<(), String> {
        if self.coordinators.get(&term).is_some_and(|coordinator| !coordinator.lines.is_empty()) {
            return self.flush(term).map(drop);
        }
        if self.is_over(term) { self.taken_over(term) } else { Ok(()) }
    }

    /// Writes the records that are waiting. Says whether they are durable now.
    fn flush(&mut self, term: u64) -> Result<bool, String> {
        let failed = self.chance(self.scenario.faults.storage * 100);
        let waiting = |coordinator: &&mut Coordinator| !coordinator.lines.is_empty();
        if self.coordinators.get_mut(&term).filter(waiting).is_none() {
            return Ok(true);
        }
        if failed {
            return Ok(false);
        }
        let Some(written) = self.append(term)? else { return Ok(false) };
        self.tell(term, Event::Recorded { records: written })?;
        Ok(true)
    }

    /// Appends what a coordinator has to write, and says how much is written then. One whose term is over learns it
    /// here, and so does one that another was ahead of.
    pub(crate) fn append(&mut self, term: u64) -> Result<Option<u64>, String> {
        let stale = self.is_over(term);
        let newest = term == self.storage.terms;
        let Some(coordinator) = self.coordinators.get_mut(&term) else { return Ok(None) };
        let (segment, records) = (coordinator.segment, std::mem::take(&mut coordinator.lines));
        if stale || !self.storage.append(term, segment, &records) {
            if newest {
                return Err(format!("segment {segment} of the coordinator in charge is somebody else's"));
            }
            self.taken_over(term)?;
            return Ok(None);
        }
        coordinator.segment += 1;
        coordinator.written += records.len() as u64;
        let written = coordinator.written;
        self.see(&Seen::Appended { term, records: &records })?;
        Ok(Some(written))
    }

    pub(super) fn taken_over(&mut self, term: u64) -> Result<(), String> {
        self.tell(term, Event::TakenOver { reason: "a higher term".to_owned() })
    }

    /// Whether a coordinator finds, before it writes, that its term is over.
    fn is_over(&mut self, term: u64) -> bool {
        term < self.storage.terms && !self.chance(RACED)
    }

    /// First the records, then the manifest.
    pub(super) fn manifest(&mut self, term: u64, step: u64, of: u32, head: String) -> Result<(), String> {
        if !self.is_there(term) {
            return Ok(());
        }
        let failed = self.chance(self.scenario.faults.storage * 100);
        let flushed = self.flush(term)?;
        if !self.is_there(term) {
            return Ok(());
        }
        if !flushed || (failed && self.chance(5_000)) {
            return self.tell(term, Event::CheckpointFailed { step, reason: "503".to_owned() });
        }
        if self.is_over(term) {
            return self.taken_over(term);
        }
        let Some(parts) = self.storage.parts(step, of) else {
            return Err(format!("the checkpoint of step {step} lacks a part of {of}"));
        };
        if self.storage.put_manifest(step, Manifest { head, state: parts[0], of }) {
            self.see(&Seen::Checkpoint { step, parts: &parts })?;
        }
        match failed {
            true => self.tell(term, Event::CheckpointFailed { step, reason: "time-out".to_owned() }),
            false => self.tell(term, Event::CheckpointStored { step }),
        }
    }
}
