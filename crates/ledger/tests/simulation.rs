//! The ledger against simulated workers on a virtual clock: seeded histories of joins, deaths, silence, lost peers and
//! failing storage. A failing seed says how to replay it. No threads, no sockets, no real time.

mod invariants;
mod world;

use world::{Faults, World};

/// Histories per run; `CLOZE_SIM_SEEDS=n` changes it, `CLOZE_SIM_SEED=s` replays one.
const HISTORIES: u64 = 2_000;

// The simulation is no part of the pure room: what to replay comes from whoever runs it.
#[allow(clippy::disallowed_methods)]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn check(seed: u64) -> Result<(), String> {
    let mut world = World::new(seed, Faults::Often);
    world.run_until(60_000)?;
    world.faults = Faults::None;
    world.run_until(600_000)?;
    if !world.completed() {
        return Err(format!("no progress after the faults stopped: {:?}", world.status()));
    }
    world.durable_at_the_end()
}

#[test]
fn histories_of_faults_keep_every_invariant() {
    let seeds = match number("CLOZE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CLOZE_SIM_SEEDS").unwrap_or(HISTORIES),
    };
    for seed in seeds {
        if let Err(broken) = check(seed) {
            panic!(
                "seed {seed}: {broken}\nreplay: CLOZE_SIM_SEED={seed} cargo test -p ledger --test simulation"
            );
        }
    }
}

#[test]
fn one_seed_is_one_history() {
    let history = |seed| {
        let mut world = World::new(seed, Faults::Often);
        world.run_until(60_000).unwrap();
        world.log
    };
    assert_eq!(history(5), history(5));
    assert_ne!(history(5), history(6));
}

#[test]
fn an_undisturbed_run_uses_one_generation() {
    let mut world = World::new(1, Faults::None);
    world.run_until(600_000).unwrap();
    assert!(world.completed());
    assert_eq!(world.status().generation, 1);
}
