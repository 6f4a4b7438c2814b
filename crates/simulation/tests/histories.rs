//! The real ledger in seeded histories of everything that can go wrong: killed, frozen, leaving and joining workers, cut
//! connections, lost and doubled messages, coordinators killed anywhere or not dead although another has begun, storage
//! that fails or only says so. A seed that
//! breaks an invariant says how to replay it.

mod invariants;

use std::ops::Range;

use invariants::Judge;
use ledger::{Ending, Record, Settings};
use plan::{Guards, Key, Spike, Stream};
use simulation::{Faults, Nobody, Scenario, Span, Times, World, reference};

/// Histories per run; `CLOZE_SIM_SEEDS=n` changes it, `CLOZE_SIM_SEED=s` replays one.
const HISTORIES: u64 = 10_000;
/// How long things go wrong, and how long the run then has to end, in virtual milliseconds.
const FAULTY: u64 = 30_000;
const QUIET: u64 = 600_000;
/// Lines of a broken history that are shown.
const SHOWN: usize = 60;

// The simulation is no part of the pure room: what to replay comes from whoever runs it.
#[allow(clippy::disallowed_methods)]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// A cluster whose size, speed and troubles come from the seed: each kind of fault is there in every other history.
fn scenario(seed: u64) -> Scenario {
    let mut random = Key::root(seed).named("scenario").stream();
    let draw = |random: &mut Stream, least: u64, most: u64| Span::new(least, most).draw(random);
    let mut often = |mean: u64| match random.below(2) {
        0 => 0,
        _ => mean / 2 + random.below(mean),
    };
    let faults = Faults {
        kill: often(8_000),
        freeze: often(8_000),
        frozen: Some(Span::new(10, 4_000)),
        cut: often(6_000),
        leave: often(15_000),
        collective: often(10) / 4,
        coordinator: often(6_000),
        in_decision: often(60),
        storage: often(20),
        doubled: often(20),
        hang: often(40_000),
        usurper: often(12_000),
        damage: often(30),
        unreachable: often(8_000),
        pause: often(10_000),
    };
    let max_workers = draw(&mut random, 1, 4) as usize;
    // Every third one stores so slowly that nobody would wait for it by chance.
    let store = Span::new(5, [800, 800, 6_000][random.below(3) as usize]);
    let mut faults = faults;
    // Every fourth run leaves steps out. Which depends on the checkpoints that leaving workers and pauses ask for.
    let jump = (random.below(4) == 0).then(|| 5 + random.below(20));
    if jump.is_some() {
        (faults.leave, faults.pause) = (0, 0);
    }
    let guards = Guards {
        compare_every: random.below(3),
        recompute_every: random.below(3),
        skipped_in_a_row: 20,
        spike: jump.map(|_| Spike {
            deviations: 10.0,
            window: 2 + random.below(3),
            skip: 1 + random.below(4),
        }),
    };
    Scenario {
        settings: Settings {
            steps: draw(&mut random, 10, 40),
            batches: plan::Batches::even(draw(&mut random, 1, 6) as u32),
            min_workers: draw(&mut random, 1, 2).min(max_workers as u64) as usize,
            max_workers,
            checkpoint_every: draw(&mut random, 2, 11),
            heartbeat_ms: times().heartbeat,
            dead_after_ms: [None, Some(2_000)][random.below(2) as usize],
            unmeasured_ms: 20_000,
            guards,
            keepers: draw(&mut random, 1, 4) as usize,
            unstored: draw(&mut random, 8, 40) as usize,
        },
        seed,
        jump,
        unevenness: draw(&mut random, 1, 4),
        workers: max_workers + draw(&mut random, 0, 2) as usize,
        times: Times { store, ..times() },
        faults,
    }
}

fn times() -> Times {
    Times {
        start: Span::new(50, 400),
        replacement: Span::new(10, 1_500),
        micro_batch: Span::new(20, 120),
        collective: Span::new(1, 30),
        restore: Span::new(10, 1_500),
        store: Span::new(5, 800),
        message: Span::new(0, 20),
        reconnect: Span::new(20, 800),
        unreachable: Span::new(500, 12_000),
        restart: Span::new(10, 2_000),
        heartbeat: 200,
        flush: 3_000,
    }
}

/// The steps that are left out because the loss jumps.
fn left_out(scenario: &Scenario) -> Range<u64> {
    let Settings { checkpoint_every, guards, steps, .. } = &scenario.settings;
    match (scenario.jump.filter(|jump| jump < steps), &guards.spike) {
        (Some(jump), Some(spike)) => {
            (jump + 1 - spike.skip.min(jump + 1)).max(jump / checkpoint_every * checkpoint_every)..jump + 1
        }
        _ => 0..0,
    }
}

/// One history: what went wrong with it, if anything did.
fn check(seed: u64, log: bool) -> Result<(), (String, Vec<String>)> {
    let scenario = scenario(seed);
    let mut world = World::new(scenario.clone(), Judge::new(&scenario.settings, &left_out(&scenario)));
    if log {
        world.keep_log();
    }
    let lived = live(&mut world, &scenario);
    lived.map_err(|broken| (broken, world.log().to_vec()))
}

fn live(world: &mut World<Judge>, scenario: &Scenario) -> Result<(), String> {
    world.run_until(FAULTY)?;
    world.set_faults(Faults::default());
    world.run_until(FAULTY + QUIET)?;
    let (steps, batches) = (scenario.settings.steps, &scenario.settings.batches);
    if world.ending() != Some(&Ending::Completed) {
        return Err(format!("no progress after the faults stopped: {:?}", world.status()));
    }
    let expected = Some((steps, reference(batches, steps, &left_out(scenario))));
    if world.stored() != expected {
        return Err(format!("stored at the end: {:?}; undisturbed: {expected:?}", world.stored()));
    }
    invariants::exactly_once::replay(world.ledger(), world.checkpoints(), steps, batches)
}

/// The first seed of `seeds` whose history breaks something.
fn first_broken(seeds: impl Iterator<Item = u64>) -> Option<(u64, String)> {
    let mut seeds = seeds;
    seeds.find_map(|seed| check(seed, false).err().map(|(broken, _)| (seed, broken)))
}

#[test]
fn histories_keep_every_invariant() {
    if let Some(seed) = number("CLOZE_SIM_SEED") {
        if let Err((broken, log)) = check(seed, true) {
            let tail = &log[log.len().saturating_sub(SHOWN)..];
            panic!("seed {seed}: {broken}\n{}", tail.join("\n"));
        }
        return;
    }
    let seeds = number("CLOZE_SIM_SEEDS").unwrap_or(HISTORIES);
    // Every thread has its own share of the seeds.
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let broken = std::thread::scope(|scope| {
        let share = |first| scope.spawn(move || first_broken((first..seeds).step_by(threads as usize)));
        let shares: Vec<_> = (0..threads).map(share).collect();
        shares.into_iter().filter_map(|share| share.join().unwrap()).min()
    });
    if let Some((seed, broken)) = broken {
        panic!(
            "seed {seed}: {broken}\nreplay: CLOZE_SIM_SEED={seed} cargo test -p simulation --test histories \
             histories_keep"
        );
    }
}

#[test]
fn one_seed_is_one_history() {
    let history = |seed| {
        let mut world = World::new(scenario(seed), Nobody);
        world.keep_log();
        world.run_until(FAULTY).unwrap();
        world.log().to_vec()
    };
    assert_eq!(history(5), history(5));
    assert_ne!(history(5), history(6));
}

#[test]
fn an_undisturbed_run_uses_one_term_and_computes_nothing_twice() {
    let scenario = Scenario { faults: Faults::default(), jump: None, ..scenario(1) };
    let mut world = World::new(scenario.clone(), Judge::new(&scenario.settings, &left_out(&scenario)));
    live(&mut world, &scenario).unwrap();
    let summary = world.summary();
    assert_eq!((summary.terms, summary.undone, summary.commits), (1, 0, scenario.settings.steps));
    assert!(world.failures().is_empty());
}

/// Three workers, and nothing that goes wrong by itself.
fn quiet(guards: Guards, batch: u32) -> Scenario {
    let scenario = scenario(1);
    let settings = Settings {
        steps: 40,
        batches: plan::Batches::even(batch),
        min_workers: 3,
        max_workers: 4,
        checkpoint_every: 10,
        guards,
        ..scenario.settings
    };
    Scenario { settings, workers: 3, faults: Faults::default(), jump: None, ..scenario }
}

#[test]
fn weights_that_change_by_themselves_are_found_and_not_used() {
    let scenario = quiet(Guards { compare_every: 5, ..Guards::default() }, 6);
    let mut world = World::new(scenario.clone(), Nobody);
    world.run_until(6_000).unwrap();
    assert!(world.corrupt().is_some());
    world.run_until(FAULTY + QUIET).unwrap();
    let expected = reference(&scenario.settings.batches, 40, &(0..0));
    assert_eq!((world.ending(), world.stored()), (Some(&Ending::Completed), Some((40, expected))));
    let doubted = world.ledger().filter(|record| matches!(record, Record::Doubted { .. })).count();
    // The checkpoint that was on its way, too.
    assert!((1..=2).contains(&doubted) && world.failures().is_empty());
}

#[test]
fn a_machine_that_computes_wrongly_is_sent_away() {
    let scenario = quiet(Guards { recompute_every: 1, ..Guards::default() }, 1);
    let mut world = World::new(scenario.clone(), Nobody);
    world.run_until(3_000).unwrap();
    let broken = world.break_processor().unwrap();
    world.run_until(FAULTY + QUIET).unwrap();
    let expected = reference(&scenario.settings.batches, 40, &(0..0));
    assert_eq!((world.ending(), world.stored()), (Some(&Ending::Completed), Some((40, expected))));
    assert!(
        world
            .ledger()
            .any(|record| matches!(record, Record::Doubted { members, .. } if members.contains(&broken)))
    );
}

#[test]
fn uneven_workers_get_uneven_shares() {
    let scenario = Scenario { unevenness: 4, ..quiet(Guards::default(), 64) };
    let mut world = World::new(scenario, Nobody);
    world.run_until(FAULTY + QUIET).unwrap();
    assert!(world.ledger().any(|record| matches!(record, Record::Dealt { .. })));
}

#[test]
fn a_coordinator_that_comes_back_waits_for_those_who_hold_the_weights() {
    for seed in 0..300 {
        let faults = Faults { coordinator: 3_000, leave: 6_000, ..Faults::default() };
        let quiet = quiet(Guards::default(), 6);
        // Half of the workers hold nothing, and connect as soon as the others.
        let settings = Settings { max_workers: 2, min_workers: 1, ..quiet.settings.clone() };
        let scenario = Scenario { seed, faults, settings, workers: 4, ..quiet };
        let mut world = World::new(scenario.clone(), Judge::new(&scenario.settings, &(0..0)));
        live(&mut world, &scenario).unwrap();
        // A coordinator that dies while it says that a step is committed may not have told anybody.
        let (undone, terms) = (world.summary().undone, world.summary().terms);
        assert!(undone < terms, "seed {seed}: {undone} steps were computed again in {terms} terms");
    }
}

#[test]
fn a_collective_that_fails_although_nobody_is_dead_costs_a_second_and_not_the_limit_of_what_hangs() {
    let faults = Faults { collective: 15, ..Faults::default() };
    let scenario = Scenario { faults, ..quiet(Guards::default(), 6) };
    let mut world = World::new(scenario.clone(), Judge::new(&scenario.settings, &(0..0)));
    world.run_until(FAULTY + QUIET).unwrap();
    assert_eq!(world.ending(), Some(&Ending::Completed));
    let (generations, time) = (world.summary().generations, world.summary().time);
    assert!(generations > 3, "no collective failed");
    assert!(time < 20_000 + generations * 3_000, "{time} ms for {generations} generations");
}

#[test]
fn workers_that_do_not_reach_each_other_neither_end_the_run_nor_stop_it() {
    for seed in 0..100 {
        let quiet = quiet(Guards::default(), 6);
        let settings = Settings { steps: 200, min_workers: 1, ..quiet.settings.clone() };
        let faults = Faults { unreachable: 20_000, ..Faults::default() };
        let mut scenario = Scenario { seed, faults, settings, unevenness: 1, ..quiet };
        scenario.times.unreachable = Span::new(10_000, 60_000);
        let mut world = World::new(scenario.clone(), Judge::new(&scenario.settings, &(0..0)));
        world.run_until(FAULTY + QUIET).unwrap();
        let given_up = world.failures().len();
        assert_eq!((world.ending(), given_up), (Some(&Ending::Completed), 0), "seed {seed}");
        let (generations, time) = (world.summary().generations, world.summary().time);
        assert!(generations > 3 && world.summary().undone == 0, "seed {seed}");
        assert!(time < 200 * 700 + generations * 2_000, "seed {seed}: {time} ms, {generations} generations");
    }
}
