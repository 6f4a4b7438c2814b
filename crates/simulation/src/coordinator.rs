//! A coordinator process around the real ledger, as `coordinator` carries out its decisions: sessions, and a scribe that
//! writes in order. Knows no worker's insides.

use std::collections::BTreeMap;

use ledger::{Command, Ledger, Record, Settings, Start, Tail, WorkerId};

use crate::storage::Storage;

/// What a worker is told.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Open(u64, ledger::Generation, Option<Tail>),
    Commit {
        generation: u64,
        step: u64,
        wait: bool,
        deal: Option<plan::Deal>,
        tail: Option<Tail>,
        recorded: u64,
    },
    Abort {
        generation: u64,
    },
    Checkpoint {
        step: u64,
        index: u32,
        of: u32,
    },
    Dismiss,
    Refuse,
}

/// Something that a decision brings about outside of the ledger, one at a time: the process can end between any two.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Tell(WorkerId, Order),
    Disconnect(WorkerId),
    Record(Record),
    Checkpoint { step: u64, of: u32, head: String },
    LookBack,
    Done(ledger::Ending),
}

#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(crate) term: u64,
    pub(crate) ledger: Ledger,
    /// The session that each worker's messages come from.
    pub(crate) sessions: BTreeMap<WorkerId, u64>,
    /// Records that are not written yet.
    pub(crate) lines: Vec<Record>,
    pub(crate) segment: u64,
    /// Records that are written, those of earlier terms included.
    pub(crate) written: u64,
    /// The scribe does one thing at a time, and is busy until then.
    pub(crate) scribe_free: u64,
}

impl Coordinator {
    /// Takes the next term of what is stored and appends a segment of its own, so that nobody else can append any more.
    pub(crate) fn start(settings: Settings, storage: &mut Storage) -> Self {
        storage.terms += 1;
        let term = storage.terms;
        // As it is read back. What went wrong with it would be a run without a record.
        let stored = ledger::Stored::of_summary(&storage.stored().summary()).unwrap_or_default();
        storage.append(term, storage.next_segment(), &[]);
        Coordinator {
            term,
            written: stored.records,
            ledger: Ledger::new(settings, Start { term, stored }),
            sessions: BTreeMap::new(),
            lines: Vec::new(),
            segment: storage.next_segment(),
            scribe_free: 0,
        }
    }
}

/// The single effects of a command, in order.
pub(crate) fn effects(term: u64, command: Command) -> Vec<Effect> {
    let tell = |members: Vec<WorkerId>, order: Order| {
        members.into_iter().map(|member| Effect::Tell(member, order.clone())).collect()
    };
    match command {
        Command::Refuse { worker, .. } => vec![Effect::Tell(worker, Order::Refuse)],
        Command::Disconnect { worker } => vec![Effect::Disconnect(worker)],
        Command::Open { generation, tail, keepers, .. } => {
            let order = |rank| Order::Open(term, generation.clone(), (rank < keepers).then(|| tail.clone()));
            generation
                .members
                .iter()
                .enumerate()
                .map(|(rank, &member)| Effect::Tell(member, order(rank)))
                .collect()
        }
        Command::Abort { generation, members, .. } => tell(members, Order::Abort { generation }),
        Command::Commit { generation, step, members, next, deal, tail, keepers, recorded } => {
            let wait = next == ledger::Next::Wait;
            let order = |rank| {
                let tail = (rank < keepers).then(|| tail.clone());
                Order::Commit { generation, step, wait, deal: deal.clone(), tail, recorded }
            };
            members.iter().enumerate().map(|(rank, &member)| Effect::Tell(member, order(rank))).collect()
        }
        Command::Record(record) => vec![Effect::Record(record)],
        Command::Checkpoint { step, members } => {
            let of = members.len() as u32;
            let order = |(index, member)| Effect::Tell(member, Order::Checkpoint { step, index, of });
            (0..).zip(members).map(order).collect()
        }
        Command::CommitCheckpoint { step, parts, ledger_head, .. } => {
            vec![Effect::Checkpoint { step, of: parts.len() as u32, head: ledger_head }]
        }
        Command::LookBack => vec![Effect::LookBack],
        Command::Dismiss { worker, .. } => vec![Effect::Tell(worker, Order::Dismiss)],
        Command::Notice(_) => Vec::new(),
        Command::Done(ending) => vec![Effect::Done(ending)],
    }
}
