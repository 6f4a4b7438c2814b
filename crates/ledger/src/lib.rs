//! The coordinator's brain: who is a member, which generation is open, which step is committed, which checkpoint is
//! due. [`Ledger::handle`] takes an event and the time and returns commands; it is the only thing that decides.
//!
//! This room has no sockets, no storage, no clock and no randomness. It never sees a sample or a weight: a step is a
//! number, and what its gradient was is a digest.

mod audit;
mod command;
mod event;
mod record;
mod state;

pub use audit::{Audited, Body, Finding, Segment, Stretch, audit};
pub use command::{Command, Ending, Generation, Next, StateSource};
pub use event::{
    Doing, Event, Opening, PartReport, Poisoned, Progress, Share, StepReport, Waits, WorkerId, WorkerInfo,
};
pub use record::{Chain, Record, Tail};
pub use state::{Ledger, Phase, Settings, Start, Status, Stored, WorkerStatus};
