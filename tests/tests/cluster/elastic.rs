//! Workers that come, go, slow down, stand still and are sent away while a run goes on, and what people ask of it: the
//! weights are those of an undisturbed run all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::{Training, Workplace, free_port, signal};

/// Many small micro-batches, so that shares can differ.
const SETTINGS: [&str; 10] = [
    "--set",
    "train.steps=400",
    "--set",
    "train.batch=32",
    "--set",
    "train.micro_batch=2",
    "--set",
    "cluster.heartbeat_ms=100",
    "--set",
    "checkpoint.every=90",
];

/// The workers that the coordinator knows, by process: how many micro-batches each computes, if it is a member.
fn shares(port: u16, place: &Workplace) -> Vec<(u32, u64)> {
    let url = format!("http://127.0.0.1:{port}");
    let status = place.cloze(&["status", &url, "--json"]).expect_success();
    let status: Value = serde_json::from_str(&status.out).expect("JSON");
    let workers = status["workers"].as_array().expect("workers").iter();
    let members = workers.filter(|worker| worker["member"] == true);
    let share = |worker: &Value| {
        let process = worker["name"].as_str()?.rsplit(':').next()?.parse().ok()?;
        Some((process, worker["micro_batches"].as_u64()?))
    };
    members.filter_map(share).collect()
}

fn wait_for_members(training: &mut Training, members: u64) {
    let there = training.wait_for(|update| update["kind"] == "opened" && update["workers"] == members);
    assert!(there.is_some(), "no generation with {members} members: {:?}", training.seen.last());
}

/// Stops a process for most of the time, until the guard is dropped.
struct Pulses(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Pulses {
    fn of(process: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                signal(process, "STOP");
                std::thread::sleep(Duration::from_millis(60));
                signal(process, "CONT");
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Pulses(over, Some(thread))
    }
}

impl Drop for Pulses {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        let _ = self.1.take().map(std::thread::JoinHandle::join);
    }
}

#[test]
fn one_two_three_seven_and_two_workers_of_unequal_speed() {
    let place = Workplace::prepared();
    let alone = place.weights_of("alone", 1, &SETTINGS);
    let port = free_port();
    let mut training = place.coordinator("elastic", port, &SETTINGS);
    let mut workers = vec![place.worker(port)];
    wait_for_members(&mut training, 1);
    training.wait_for_step(40);
    for members in [2, 3] {
        workers.push(place.worker(port));
        wait_for_members(&mut training, members);
    }
    let slow = shares(port, &place)[0].0;
    let pulses = Pulses::of(slow);
    let step = training.last_step();
    training.wait_for_step(step + 60);
    let now = shares(port, &place);
    let (its, others): (Vec<_>, Vec<_>) = now.iter().partition(|(process, _)| *process == slow);
    let mean = others.iter().map(|(_, share)| share).sum::<u64>() as f64 / others.len() as f64;
    assert!(its.iter().all(|(_, share)| (*share as f64) < 0.75 * mean), "{its:?} of {now:?}");
    for members in 4..=7 {
        workers.push(place.worker(port));
        training.wait_for(|update| update["kind"] == "opened" && update["workers"].as_u64() >= Some(members));
    }
    drop(pulses);
    let step = training.last_step();
    training.wait_for_step(step + 20);

    // One stands still for good. Its silence is noticed within a limit that nobody has set.
    let members = shares(port, &place);
    assert_eq!(members.len(), 7, "{members:?}");
    let begun = Instant::now();
    signal(members[6].0, "STOP");
    wait_for_members(&mut training, 6);
    let waited = begun.elapsed();
    signal(members[6].0, "CONT");
    assert!(waited < Duration::from_secs(8), "the others waited for {waited:?}");
    for (process, _) in &members[2..] {
        signal(*process, "TERM");
    }
    wait_for_members(&mut training, 2);
    training.finish().expect_success();
    for worker in &mut workers {
        assert!(worker.wait().expect("its end").success(), "a worker failed");
    }
    assert_eq!(place.export("elastic"), alone);
    let verified = place.verified("elastic");
    assert_eq!(verified["undone"], 0, "{verified}");
    let dealt = verified["stretches"].as_array().expect("a list").iter();
    assert!(dealt.filter(|stretch| stretch["weights"] != serde_json::json!([])).count() > 0);
}

#[test]
fn a_run_that_is_paused_and_drained_goes_on_as_if_nothing_had_been() {
    let place = Workplace::prepared();
    let alone = place.weights_of("alone", 1, &SETTINGS);
    let mut training = place.train("paused", 2, &SETTINGS);
    training.wait_for_step(50);
    let url = training.url();
    place.cloze(&["pause", &url]).expect_success();
    training
        .wait_for(|update| update["text"].as_str().is_some_and(|text| text.contains("stands still")))
        .expect("a pause");
    let still = training.last_step();
    let status = || -> Value {
        let status = place.cloze(&["status", &url, "--json"]).expect_success();
        serde_json::from_str(&status.out).expect("JSON")
    };
    let until = Instant::now() + Duration::from_secs(20);
    while status()["durable"].as_u64() != Some(still) {
        assert!(Instant::now() < until, "no checkpoint of step {still}: {}", status());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!((status()["phase"].as_str(), status()["step"].as_u64()), (Some("paused"), Some(still)));
    place.cloze(&["unpause", &url]).expect_success();
    wait_for_members(&mut training, 2);
    place.cloze(&["drain", "nobody:1", &url]).expect_failure(2, &["no worker nobody:1", "cloze status"]);
    let name = status()["workers"][0]["name"].as_str().expect("a name").to_owned();
    place.cloze(&["drain", &name, &url]).expect_success();
    wait_for_members(&mut training, 1);
    training.finish().expect_success();
    assert_eq!(place.export("paused"), alone);
    assert_eq!(place.verified("paused")["undone"], 0);
}

#[test]
fn a_run_that_is_paused_stays_so_if_its_coordinator_dies() {
    let place = Workplace::prepared();
    let alone = place.weights_of("alone", 1, &SETTINGS);
    let port = free_port();
    let mut more = SETTINGS.to_vec();
    let mut training = place.coordinator("still", port, &more);
    let mut workers = [place.worker(port), place.worker(port)];
    wait_for_members(&mut training, 2);
    training.wait_for_step(50);
    let url = format!("http://127.0.0.1:{port}");
    let status = || -> Value {
        let status = place.cloze(&["status", &url, "--json"]).expect_success();
        serde_json::from_str(&status.out).expect("JSON")
    };
    let wait_until = |what: &dyn Fn(&Value) -> bool| {
        let until = Instant::now() + Duration::from_secs(30);
        while !what(&status()) {
            assert!(Instant::now() < until, "{}", status());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    place.cloze(&["pause", &url]).expect_success();
    wait_until(&|status| status["phase"] == "paused" && status["durable"] == status["step"]);
    let still = status()["step"].clone();
    training.kill();
    more.push("--resume");
    let mut training = place.coordinator("still", port, &more);
    let stands = training.wait_for(|update| {
        update["text"].as_str().is_some_and(|text| text.contains("until `cloze unpause`"))
    });
    assert!(stands.is_some(), "{:?}", training.seen);
    wait_until(&|status| status["workers"].as_array().is_some_and(|workers| workers.len() == 2));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((status()["phase"].as_str(), &status()["step"]), (Some("paused"), &still));
    place.cloze(&["unpause", &url]).expect_success();
    training.finish().expect_success();
    for worker in &mut workers {
        assert!(worker.wait().expect("its end").success(), "a worker failed");
    }
    assert_eq!(place.export("still"), alone);
    assert_eq!(place.verified("still")["undone"], 0);
}

#[test]
fn a_worker_that_the_others_do_not_reach_does_not_stop_them() {
    // Whoever listens on IPv6 alone and whoever does on IPv4 alone do not find each other.
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let place = Workplace::prepared();
    let alone = place.weights_of("alone", 1, &SETTINGS);
    let port = free_port();
    let mut training = place.coordinator("unreached", port, &SETTINGS);
    let mut workers = vec![place.worker(port), place.worker(port)];
    wait_for_members(&mut training, 2);
    training.wait_for_step(20);
    workers.push(place.worker_at("::1", port));
    let left_out =
        |update: &Value| update["text"].as_str().is_some_and(|text| text.contains("::1 is left out for"));
    assert!(training.wait_for(left_out).is_some(), "{:?}", training.seen);
    training.finish().expect_success();
    for worker in &mut workers {
        assert!(worker.wait().expect("its end").success(), "a worker failed");
    }
    assert_eq!(place.export("unreached"), alone);
    let verified = place.verified("unreached");
    assert_eq!((&verified["steps"], &verified["undone"]), (&400.into(), &0.into()), "{verified}");
}

#[test]
fn members_that_check_each_other_find_nothing_and_jumps_are_left_out_alike_on_any_cluster() {
    let place = Workplace::prepared();
    let mut more = SETTINGS.to_vec();
    for setting in [
        "train.steps=150",
        "guards.compare_every=1",
        "guards.recompute_every=1",
        // The losses of so small a run do jump.
        "guards.spike.deviations=1.5",
        "guards.spike.window=6",
        "guards.spike.skip=7",
    ] {
        more.extend(["--set", setting]);
    }
    let mut alone = place.train("alone", 1, &more);
    alone.finish().expect_success();
    let left_out = |training: &Training| -> Vec<String> {
        let texts = training.seen.iter().filter_map(|update| update["reason"].as_str());
        texts.filter(|text| text.contains("are left out")).map(str::to_owned).collect()
    };
    assert!(!left_out(&alone).is_empty(), "no loss jumped");
    let mut three = place.train("three", 3, &more);
    three.wait_for_step(20);
    let members = three.member_processes(&place);
    tests::kill(members[0]);
    three.finish().expect_success();
    assert_eq!(left_out(&three), left_out(&alone));
    assert_eq!(place.export("three"), place.export("alone"));
    let (one, other) = (place.verified("alone"), place.verified("three"));
    assert_eq!((&one["doubted"], &other["doubted"]), (&0.into(), &0.into()), "{other}");
    assert_eq!(one["skipped"], other["skipped"], "{other}");
    assert!(one["skipped"].as_u64() > Some(0));
}

#[test]
fn of_two_coordinators_only_the_newer_one_is_obeyed() {
    contested(&Workplace::prepared(), "runs/contested");
}

/// Two coordinators want the run that is kept there.
pub fn contested(place: &Workplace, run: &str) {
    let alone = place.weights_of("alone", 1, &SETTINGS);
    let store = format!("run.store={run}");
    let settings = [&SETTINGS[..], &["--set", &store]].concat();
    let (first_port, second_port) = (free_port(), free_port());
    let mut first = place.coordinator("contested", first_port, &settings);
    let mut worker = place.worker(first_port);
    first.wait_for_step(60);
    // It falls asleep, and another one takes its place; its worker is taken for lost with it.
    signal(first.process(), "STOP");
    let resuming = [&settings[..], &["--resume"]].concat();
    let mut second = place.coordinator("contested", second_port, &resuming);
    let mut other = place.worker(second_port);
    second.wait_for_step(30);
    signal(first.process(), "CONT");
    // The sleeper trains on with its worker until it wants to store something: then it learns the truth.
    first.finish().expect_failure(1, &["another coordinator has taken over this run"]);
    second.finish().expect_success();
    assert!(other.wait().expect("its end").success());
    // The run is not over, so it is not what the worker was told: it looks for a coordinator.
    assert!(worker.try_wait().expect("its state").is_none(), "the sleeper sent its worker away");
    tests::kill(worker.id());
    let _ = worker.wait();
    assert_eq!(place.export(run), alone);
    let verified = place.verified(run);
    let last = verified["stretches"].as_array().expect("a list").last().expect("steps");
    assert_eq!(last["term"], 2, "{verified}");
}
