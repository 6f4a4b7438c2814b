//! The same bits on any cluster: however many workers there are, whoever is killed, whenever it is stopped.

use tests::{Workplace, free_port, kill, signal};

/// Long enough that something can happen in the middle.
const LONG: [&str; 2] = ["--set", "train.steps=300"];

#[test]
fn one_worker_two_workers_and_a_killed_worker_give_the_same_bits() {
    let place = Workplace::prepared();
    let alone = place.weights_of("alone", 1, &LONG);
    assert_eq!(place.weights_of("pair", 2, &LONG), alone, "two workers");

    let mut training = place.train("killed", 2, &LONG);
    training.wait_for_step(60);
    let members = training.member_processes(&place);
    assert_eq!(members.len(), 2, "both workers take part");
    kill(members[0]);
    let reopened = training
        .wait_for(|update| update["kind"] == "opened" && update["workers"] == 1)
        .expect("the survivor goes on alone");
    let reason = reopened["reason"].as_str().expect("a reason");
    assert!(reason.contains(" is gone: "), "{reason}");
    training
        .wait_for(|update| update["kind"] == "opened" && update["workers"] == 2)
        .expect("a replacement gets the weights from the survivor");
    training.finish().expect_success();
    assert_eq!(training.losses().len(), 300);
    assert_eq!(place.export("killed"), alone, "a killed worker");
}

#[test]
fn a_run_that_is_stopped_and_resumed_with_more_workers_gives_the_same_bits() {
    let place = Workplace::prepared();
    let undisturbed = place.weights_of("undisturbed", 1, &LONG);

    let mut first = place.train("stopped", 1, &LONG);
    first.wait_for_step(50);
    // Ctrl-C.
    signal(first.process(), "INT");
    let done = first.finish().expect_success();
    assert!(done.err.contains("--resume"), "{}", done.err);
    let stopped_at = *first.losses().last_key_value().expect("steps").0;
    assert!((50..300).contains(&stopped_at), "stopped at {stopped_at}");

    let again = place.train("stopped", 1, &LONG).finish();
    again.expect_failure(2, &["there is a run at runs/stopped already", "--resume"]);

    let mut more = LONG.to_vec();
    more.push("--resume");
    let mut second = place.train("stopped", 3, &more);
    second.finish().expect_success();
    assert_eq!(
        *second.losses().first_key_value().expect("steps").0,
        stopped_at + 1,
        "no step is lost or redone"
    );
    assert_eq!(place.export("stopped"), undisturbed);
}

#[test]
fn workers_outlive_a_killed_coordinator_and_carry_on_with_the_next() {
    let place = Workplace::prepared();
    let undisturbed = place.weights_of("calm", 1, &LONG);
    let port = free_port();
    let mut more = LONG.to_vec();
    more.extend(["--set", "cluster.min_workers=2", "--set", "checkpoint.every=1000"]);
    let mut first = place.coordinator("orphaned", port, &more);
    let mut workers = [place.worker(port), place.worker(port)];
    first.wait_for_step(60);
    first.kill();
    more.push("--resume");
    let mut second = place.coordinator("orphaned", port, &more);
    second.finish().expect_success();
    for worker in &mut workers {
        assert!(worker.wait().expect("its end").success(), "a worker failed");
    }
    // There was no checkpoint to go back to: only the workers knew how far the run had come.
    let first_step = *second.losses().first_key_value().expect("steps").0;
    assert!(first_step > 60, "step {first_step} was computed again");
    assert_eq!(place.export("orphaned"), undisturbed);
    // Nor was there much of a record: the workers brought what the first coordinator could not store.
    let verified = place.verified("orphaned");
    assert_eq!((&verified["steps"], &verified["undone"]), (&300.into(), &0.into()), "{verified}");
    let terms = verified["stretches"].as_array().expect("a list").iter().map(|stretch| &stretch["term"]);
    let mut terms: Vec<_> = terms.collect();
    // Shares may have been dealt anew in between.
    terms.dedup();
    assert_eq!(terms, [1, 2], "{verified}");
}

#[test]
fn a_worker_that_leaves_and_one_that_freezes_change_nothing() {
    let place = Workplace::prepared();
    let alone = place.weights_of("calm", 1, &LONG);
    let mut more = LONG.to_vec();
    more.extend(["--set", "cluster.dead_after_ms=1500", "--set", "cluster.heartbeat_ms=100"]);
    let mut training = place.train("restless", 3, &more);
    training.wait_for_step(20);
    let members = training.member_processes(&place);
    assert_eq!(members.len(), 3);
    signal(members[0], "TERM");
    training.wait_for(|update| update["kind"] == "opened" && update["workers"] == 2).expect("one has left");
    training.wait_for_step(40);
    signal(members[1], "STOP");
    training.wait_for(|update| update["kind"] == "opened" && update["workers"] == 1).expect("one is frozen");
    training.wait_for_step(60);
    signal(members[1], "CONT");
    training.finish().expect_success();
    assert_eq!(place.export("restless"), alone);
}
