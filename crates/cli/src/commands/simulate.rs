//! `cloze simulate`: the coordinator's real decisions for a run on workers that exist on a virtual clock only. For
//! planning: what a cluster that fails so often gets done, and what the settings change.

use std::path::PathBuf;

use clap::Args;
use ledger::{Ending, Settings};
use plan::{Batches, RunPlan};
use serde_json::{Value, json};
use simulation::{Faults, Nobody, Scenario, Span, Summary, Times, World};

use crate::failure::Failure;
use crate::show::thousands;

/// Milliseconds in an hour.
const HOUR: f64 = 3_600_000.0;
/// Virtual time after which a run that does not end is given up: a year.
const LONGEST: u64 = 365 * 24 * 3_600_000;
/// What the interval between checkpoints is multiplied by to compare.
const FACTORS: [f64; 2] = [0.25, 4.0];
/// Silences that are tried beside the one that is measured, in milliseconds.
const SILENCES: [u64; 3] = [1_500, 5_000, 20_000];

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze simulate run.toml --workers 64 --mtbf 24 --micro-batch-ms 250 \
                        --set train.steps=5000")]
pub struct Arguments {
    /// The run's configuration
    config: PathBuf,
    /// Worker processes; one that dies is replaced
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    workers: u32,
    /// Mean hours between two deaths of one worker; 0 for never
    #[arg(long, value_name = "HOURS", default_value_t = 0.0)]
    mtbf: f64,
    /// Mean hours between two times that one worker stands still, for 5 to 50 seconds
    #[arg(long, value_name = "HOURS", default_value_t = 0.0)]
    freezes: f64,
    /// Mean hours between two orderly departures of one worker (preemption)
    #[arg(long, value_name = "HOURS", default_value_t = 0.0)]
    preemptions: f64,
    /// Mean hours between two deaths of the coordinator; 0 for never
    #[arg(long, value_name = "HOURS", default_value_t = 0.0)]
    coordinator_mtbf: f64,
    /// What a micro-batch takes on one worker, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 100.0)]
    micro_batch_ms: f64,
    /// How much of that it varies, from one to the next
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    jitter: f64,
    /// How many times as long as the fastest worker the slowest takes
    #[arg(long, value_name = "FACTOR", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..100))]
    unevenness: u64,
    /// What an all-reduce takes once all are there, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 100.0)]
    all_reduce_ms: f64,
    /// Mean hours between two times that one worker and the others do not reach each other, for 5 to 50 seconds
    #[arg(long, value_name = "HOURS", default_value_t = 0.0)]
    partitions: f64,
    /// What a message between a worker and the coordinator takes at most, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2.0)]
    message_ms: f64,
    /// From the death of a worker or coordinator to the start of the one that replaces it, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    replacement: f64,
    /// What storing a part of a checkpoint takes, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    store: f64,
    /// What all that is drawn follows from
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Also try a quarter and four times the checkpoint interval and the time between heartbeats, and other silences after
    /// which a worker is dead
    #[arg(long)]
    compare: bool,
    /// Replace a key of the configuration
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Settings that are tried.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Variant {
    checkpoint_every: u64,
    heartbeat_ms: u64,
    dead_after_ms: Option<u64>,
}

/// A variant of the settings, and what came of it.
struct Tried {
    variant: Variant,
    summary: Summary,
    /// Steps that took effect.
    steps: u64,
    /// The share of the time that an undisturbed cluster would have needed.
    goodput: f64,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let path = arguments.config.display().to_string();
    let text = std::fs::read_to_string(&arguments.config)
        .map_err(|error| Failure::bad_input(format!("{path} cannot be read: {error}")))?;
    let plan = RunPlan::parse(&path, &text, &arguments.set)?;
    for (name, value) in arguments.durations() {
        if !(value.is_finite() && value >= 0.0) {
            return Err(Failure::bad_input(format!("--{name} {value}: a number from 0 on is wanted")));
        }
    }
    if u64::from(arguments.workers) < u64::from(plan.cluster.min_workers) {
        return Err(Failure::bad_input(format!(
            "--workers {}: the run waits for cluster.min_workers = {}",
            arguments.workers, plan.cluster.min_workers
        )));
    }
    let as_planned = Variant {
        checkpoint_every: plan.checkpoint.every,
        heartbeat_ms: plan.cluster.heartbeat_ms,
        dead_after_ms: plan.cluster.dead_after_ms,
    };
    let mut variants = vec![as_planned];
    if arguments.compare {
        let scaled = |value: u64, factor: f64| ((value as f64 * factor) as u64).max(1);
        let Variant { checkpoint_every, heartbeat_ms, .. } = as_planned;
        let every = |factor| Variant { checkpoint_every: scaled(checkpoint_every, factor), ..as_planned };
        let heartbeat = |factor| Variant { heartbeat_ms: scaled(heartbeat_ms, factor), ..as_planned };
        variants.extend(FACTORS.map(every).into_iter().chain(FACTORS.map(heartbeat)));
        variants.extend(SILENCES.map(|silence| Variant { dead_after_ms: Some(silence), ..as_planned }));
        let mut seen = std::collections::BTreeSet::new();
        variants.retain(|variant| seen.insert(*variant));
    }
    let tried: Vec<Tried> =
        variants.into_iter().map(|variant| arguments.simulate(&plan, variant)).collect::<Result<_, _>>()?;
    match arguments.json {
        true => println!("{}", Value::from(tried.iter().map(as_json).collect::<Vec<_>>())),
        false => show(&arguments, &plan, &tried),
    }
    Ok(())
}

impl Arguments {
    fn durations(&self) -> [(&'static str, f64); 11] {
        [
            ("mtbf", self.mtbf),
            ("freezes", self.freezes),
            ("preemptions", self.preemptions),
            ("coordinator-mtbf", self.coordinator_mtbf),
            ("partitions", self.partitions),
            ("message-ms", self.message_ms),
            ("micro-batch-ms", self.micro_batch_ms),
            ("jitter", self.jitter),
            ("all-reduce-ms", self.all_reduce_ms),
            ("replacement", self.replacement),
            ("store", self.store),
        ]
    }

    fn simulate(&self, plan: &RunPlan, variant: Variant) -> Result<Tried, Failure> {
        let scenario = self.scenario(plan, variant);
        let undisturbed = self.undisturbed(&scenario);
        let mut world = World::new(scenario, Nobody);
        world.run_until(LONGEST).map_err(|broken| {
            Failure::failed(format!("the simulation contradicts itself, a bug: {broken}"))
        })?;
        let summary = world.summary().clone();
        let steps = summary.commits - summary.undone;
        if world.ending() != Some(&Ending::Completed) {
            return Err(Failure::failed(format!(
                "after a simulated year {steps} of {} steps are done: with so many failures the run does not end",
                plan.train.steps
            )));
        }
        let goodput = undisturbed / summary.time.max(1) as f64;
        Ok(Tried { variant, summary, steps, goodput })
    }

    fn scenario(&self, plan: &RunPlan, variant: Variant) -> Scenario {
        let Variant { checkpoint_every, heartbeat_ms, dead_after_ms } = variant;
        let around =
            |mean: f64, share: f64| Span::new((mean * (1.0 - share)) as u64, (mean * (1.0 + share)) as u64);
        let seconds = |seconds: f64| around(seconds * 1e3, 0.2);
        let hours = |hours: f64| (hours * HOUR) as u64;
        Scenario {
            settings: Settings {
                steps: plan.train.steps,
                batches: Batches::new(plan),
                min_workers: plan.cluster.min_workers as usize,
                max_workers: plan.data.lanes as usize,
                checkpoint_every,
                heartbeat_ms,
                dead_after_ms,
                unmeasured_ms: coordinator::UNMEASURED_MS,
                guards: plan.guards.clone(),
                keepers: coordinator::KEEPERS,
                unstored: coordinator::UNSTORED,
            },
            seed: self.seed,
            workers: self.workers as usize,
            times: Times {
                start: Span::new(2_000, 10_000),
                replacement: seconds(self.replacement),
                micro_batch: around(self.micro_batch_ms, self.jitter.min(1.0)),
                collective: around(self.all_reduce_ms, 0.2),
                restore: seconds(self.store),
                store: seconds(self.store),
                message: Span::new(0, self.message_ms.ceil() as u64),
                unreachable: Span::new(5_000, 50_000),
                reconnect: Span::new(50, 2_000),
                restart: seconds(self.replacement),
                heartbeat: heartbeat_ms,
                flush: 10_000,
            },
            jump: None,
            unevenness: self.unevenness,
            faults: Faults {
                kill: hours(self.mtbf),
                freeze: hours(self.freezes),
                frozen: Some(Span::new(5_000, 50_000)),
                leave: hours(self.preemptions),
                coordinator: hours(self.coordinator_mtbf),
                unreachable: hours(self.partitions),
                ..Faults::default()
            },
        }
    }

    /// The time that the steps take if nothing fails and nobody waits for anybody, in milliseconds.
    fn undisturbed(&self, scenario: &Scenario) -> f64 {
        let members = scenario.workers.min(scenario.settings.max_workers) as f64;
        // Workers are 1, 2, ... times as slow as the fastest, each as likely: their speeds on average.
        let slowness = 1..=self.unevenness;
        let speed = slowness.map(|slowness| 1.0 / slowness as f64).sum::<f64>() / self.unevenness as f64;
        let step = |step| {
            let most = (scenario.settings.batches.of(step).count as f64 / (members * speed)).ceil();
            most * self.micro_batch_ms + self.all_reduce_ms
        };
        (0..scenario.settings.steps).map(step).sum()
    }
}

/// The value that a share of all are at most.
fn quantile(sorted: &[u64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[(last as f64 * share).round() as usize] as f64 / 1e3)
}

fn recoveries(tried: &Tried) -> [Option<f64>; 3] {
    let mut sorted = tried.summary.recoveries.clone();
    sorted.sort_unstable();
    [0.5, 0.99, 1.0].map(|share| quantile(&sorted, share))
}

fn as_json(tried: &Tried) -> Value {
    let [median, p99, longest] = recoveries(tried);
    let summary = &tried.summary;
    json!({
        "checkpoint_every": tried.variant.checkpoint_every, "heartbeat_ms": tried.variant.heartbeat_ms,
        "dead_after_ms": tried.variant.dead_after_ms, "steps": tried.steps,
        "undone": summary.undone, "seconds": summary.time as f64 / 1e3, "goodput": tried.goodput,
        "generations": summary.generations, "terms": summary.terms, "kills": summary.recoveries.len(),
        "recovery_seconds": { "median": median, "p99": p99, "longest": longest },
    })
}

fn show(arguments: &Arguments, plan: &RunPlan, tried: &[Tried]) {
    println!(
        "{}: {} steps on {} workers, seed {}\n\n{:>16} {:>12} {:>13} {:>9} {:>9} {:>13} {:>12} {:>9}   seconds to the next \
         commit: median, p99, longest",
        plan.run.name,
        thousands(plan.train.steps as f64),
        arguments.workers,
        arguments.seed,
        "checkpoint.every",
        "heartbeat_ms",
        "dead_after_ms",
        "hours",
        "goodput",
        "steps undone",
        "generations",
        "kills",
    );
    for tried in tried {
        let seconds = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
        println!(
            "{:>16} {:>12} {:>13} {:>9.2} {:>7.1} % {:>13} {:>12} {:>9}   {}",
            tried.variant.checkpoint_every,
            tried.variant.heartbeat_ms,
            tried.variant.dead_after_ms.map_or("measured".to_owned(), |silence| silence.to_string()),
            tried.summary.time as f64 / HOUR,
            tried.goodput * 100.0,
            tried.summary.undone,
            tried.summary.generations,
            tried.summary.recoveries.len(),
            recoveries(tried).map(seconds).join(", ")
        );
    }
}
