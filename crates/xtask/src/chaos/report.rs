//! What a disturbed run showed, as JSON and as text. Knows nothing of how it was disturbed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Chaos, ChaosArgs, Disturbance, Recovery};

impl Chaos<'_> {
    /// Times, counts, and whether the run ended as an undisturbed one.
    pub(super) fn report(&self, arguments: &ChaosArgs, steps: u64, equal: bool, verified: &Value) -> Value {
        let recovered = |what| self.recoveries.get(&what).map_or(&[][..], Vec::as_slice);
        let seconds = |what| {
            let mut all = distribution(recovered(what));
            all["alone"] = distribution(recovered(what).iter().filter(|recovery| recovery.alone));
            all
        };
        let counts: BTreeMap<String, u64> =
            self.counts.iter().map(|(what, count)| (format!("{what:?}"), *count)).collect();
        json!({
            "benchmark": "chaos", "seed": arguments.seed, "dev_profile": arguments.dev, "steps": steps, "workers": arguments.workers,
            "only": arguments.only.iter().map(|what| format!("{what:?}")).collect::<Vec<_>>(),
            "machine": crate::bench::facts::machine(), "project": crate::bench::facts::project(&self.place.root),
            "disturbances": counts, "seconds_to_next_commit": {
                "worker_killed": seconds(Disturbance::KillWorker),
                "coordinator_killed": seconds(Disturbance::KillCoordinator),
                "connection_cut": seconds(Disturbance::CutConnection),
            },
            "kills_spared": self.spared, "worker_processes": self.processes.len(),
            "steps_redone": self.redone.iter().sum::<u64>(), "redone_at_once": self.redone,
            "same_bits": equal, "verified": {
                "steps": verified["steps"], "undone": verified["undone"], "findings": verified["findings"],
            },
        })
    }
}

fn distribution<'a>(recoveries: impl IntoIterator<Item = &'a Recovery>) -> Value {
    let mut seconds: Vec<f64> = recoveries.into_iter().map(|recovery| recovery.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let at = |share: f64| seconds.get(((seconds.len().max(1) - 1) as f64 * share).round() as usize).copied();
    json!({ "count": seconds.len(), "median": at(0.5), "p99": at(0.99), "longest": at(1.0), "all": seconds })
}

/// The report as a person reads it.
pub(super) fn show(report: &Value) -> String {
    let line = |what: &str, key: &str| {
        let of = &report["seconds_to_next_commit"][key];
        let numbers = |of: &Value| {
            let number = |name: &str| of[name].as_f64().map_or("-".to_owned(), |value| format!("{value:.2}"));
            format!("median {}, p99 {}, longest {}", number("median"), number("p99"), number("longest"))
        };
        format!(
            "{what}: {} times, seconds to the next commit: {}; with nothing else at the same time: {} times, {}\n",
            of["count"],
            numbers(of),
            of["alone"]["count"],
            numbers(&of["alone"])
        )
    };
    format!(
        "disturbances: {}; kills spared: {}; processes of workers: {}\n{}{}{}steps computed again: {}, at once: {}; the same bits: {}; record: {} steps, {} undone, findings {}",
        report["disturbances"],
        report["kills_spared"],
        report["worker_processes"],
        line("worker killed", "worker_killed"),
        line("coordinator killed", "coordinator_killed"),
        line("connection cut", "connection_cut"),
        report["steps_redone"],
        report["redone_at_once"],
        report["same_bits"],
        report["verified"]["steps"],
        report["verified"]["undone"],
        report["verified"]["findings"]
    )
}
