//! Which request goes wrong, and how: a function of a seed, the request's number and kind, and what was met before.
//! Storms follow the clock. Knows nothing of HTTP.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `503 SlowDown`; nothing is done.
    SlowDown,
    /// `500 InternalError`; nothing is done.
    InternalError,
    /// The connection is closed; nothing is done.
    Vanished,
    /// Half of the body is read, then the connection is closed; nothing is stored.
    Torn,
    /// It is done, and the connection is closed instead of an answer.
    LostAnswer,
    /// The answer comes late.
    Late,
    /// The body of the answer comes in small pieces, with pauses.
    Trickle,
    /// The body of the answer ends in the middle, with the connection.
    BreaksOff,
    /// No answer comes before the client gives up.
    Silence,
    /// A listing is answered as it was before.
    StaleListing,
    /// A part of a checkpoint is stored without its second half, and said to be stored.
    Lie,
}

impl Fault {
    /// Every fault that a service is allowed to have; a lie is none.
    const USUAL: [Fault; 10] = [
        Fault::SlowDown,
        Fault::InternalError,
        Fault::Vanished,
        Fault::Torn,
        Fault::LostAnswer,
        Fault::Late,
        Fault::Trickle,
        Fault::BreaksOff,
        Fault::Silence,
        Fault::StaleListing,
    ];
}

/// How often what goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Where the draws come from.
    pub seed: u64,
    /// The share of requests that something happens to.
    pub share: f64,
    /// The share of writes of checkpoints' parts that are lied about.
    pub lies: f64,
    /// A storm of 503 begins this often; zero for never.
    pub storm_every: Duration,
    /// And lasts this long.
    pub storm: Duration,
}

impl Rates {
    /// Nothing goes wrong.
    pub const NONE: Rates =
        Rates { seed: 0, share: 0.0, lies: 0.0, storm_every: Duration::ZERO, storm: Duration::ZERO };
}

/// What a request is, as far as faults go.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// It has a body to store.
    pub writes: bool,
    /// It lists objects.
    pub lists: bool,
    /// It stores a part of a checkpoint.
    pub part: bool,
}

/// Draws faults and counts them.
#[derive(Debug)]
pub struct Dice {
    rates: Rates,
    began: Instant,
    drawn: Mutex<(u64, BTreeMap<String, u64>)>,
}

impl Dice {
    /// Dice that start now.
    pub fn new(rates: Rates) -> Self {
        Dice { rates, began: Instant::now(), drawn: Mutex::default() }
    }

    /// What happens to the next request.
    pub fn next(&self, kind: Kind) -> Option<Fault> {
        let mut drawn = self.drawn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        drawn.0 += 1;
        let fault = self.draw(drawn.0, kind, &drawn.1);
        let name = fault.map_or_else(|| "Served".to_owned(), |fault| format!("{fault:?}"));
        *drawn.1.entry(name).or_default() += 1;
        fault
    }

    /// How many requests met which fault.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.drawn.lock().unwrap_or_else(std::sync::PoisonError::into_inner).1.clone()
    }

    fn draw(&self, number: u64, kind: Kind, counts: &BTreeMap<String, u64>) -> Option<Fault> {
        if !self.rates.storm_every.is_zero() {
            let since = self.began.elapsed().as_millis() % self.rates.storm_every.as_millis().max(1);
            // The first storm comes after the first calm.
            let calm = self.rates.storm_every.saturating_sub(self.rates.storm).as_millis();
            if since >= calm {
                return Some(Fault::SlowDown);
            }
        }
        let draw = |what: u64| xxh3_64_with_seed(&number.to_le_bytes(), self.rates.seed ^ (what << 48));
        let share = |what: u64| draw(what) as f64 / u64::MAX as f64;
        if kind.part && share(1) < self.rates.lies {
            return Some(Fault::Lie);
        }
        if share(2) >= self.rates.share {
            return None;
        }
        let fits = |fault: &Fault| match fault {
            Fault::StaleListing => kind.lists,
            Fault::Torn => kind.writes,
            Fault::Trickle | Fault::BreaksOff => !kind.writes,
            _ => true,
        };
        // The one that was met least often, so that a short run meets all of them.
        let met = |fault: &Fault| counts.get(&format!("{fault:?}")).copied().unwrap_or(0);
        let fitting = Fault::USUAL.into_iter().filter(fits);
        fitting.min_by_key(|fault| (met(fault), draw(3 + *fault as u64)))
    }
}
