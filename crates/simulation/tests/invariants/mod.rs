//! What must hold of every history, each property by itself.

pub mod checkpoints;
pub mod exactly_once;
pub mod farewells;
pub mod further_back;
pub mod generations;
pub mod kept;
pub mod leases;
pub mod one_state;
pub mod terms;
pub mod unstored;
pub mod votes;

use std::collections::BTreeMap;
use std::ops::Range;

use ledger::Settings;
use simulation::{Observer, Seen};

/// All of them.
pub struct Judge(Vec<Box<dyn Observer>>);

impl Judge {
    /// Steps of `left_out` are not to be computed in the end.
    pub fn new(settings: &Settings, left_out: &Range<u64>) -> Self {
        Judge(vec![
            Box::new(terms::Terms::default()),
            Box::new(further_back::FurtherBack::default()),
            Box::new(farewells::Farewells::new(settings)),
            Box::new(each_term(generations::Generations::new(settings))),
            Box::new(kept::Kept::default()),
            Box::new(leases::Leases::new(settings)),
            Box::new(each_term(votes::Votes::default())),
            Box::new(one_state::OneState::new(settings, left_out)),
            Box::new(checkpoints::Checkpoints::new(settings, left_out)),
            Box::new(exactly_once::Appending::default()),
            Box::new(each_term(unstored::Unstored::new(settings))),
        ])
    }
}

/// What must hold within each term: several coordinators may be there at once, and none knows of the others.
struct EachTerm<T> {
    fresh: T,
    terms: BTreeMap<u64, T>,
}

fn each_term<T: Observer + Clone>(fresh: T) -> EachTerm<T> {
    EachTerm { fresh, terms: BTreeMap::new() }
}

impl<T: Observer + Clone> Observer for EachTerm<T> {
    fn see(&mut self, now: u64, seen: &Seen<'_>) -> Result<(), String> {
        let Some(term) = seen.term() else { return Ok(()) };
        self.terms.entry(term).or_insert_with(|| self.fresh.clone()).see(now, seen)
    }
}

impl Observer for Judge {
    fn see(&mut self, now: u64, seen: &Seen<'_>) -> Result<(), String> {
        self.0.iter_mut().try_for_each(|judge| judge.see(now, seen))
    }
}
