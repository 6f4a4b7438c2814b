//! Runs on services of all kinds: encrypted, in Google's dialect, far away, and with two coordinators at once.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use tests::{Done, Training, Workplace, copy, free_port};

/// Trains with this store, kills the coordinator on the way, and resumes with another number of workers. The weights.
fn disturbed(place: &Workplace, store: &str, settings: &[&str]) -> String {
    let store = format!("run.store={store}");
    let mut settings = [settings, &["--set", &store]].concat();
    let mut training = place.train("disturbed", 2, &settings);
    training.wait_for_step(30);
    training.kill();
    settings.push("--resume");
    place.train("disturbed", 1, &settings).finish().expect_success();
    place.export(store.trim_start_matches("run.store="))
}

#[test]
fn an_encrypted_service_is_used_if_its_authority_is_named() {
    let mut place = Workplace::prepared();
    let alone = place.weights_of("alone", 1, &[]);
    let authority = place.path("authority.pem").display().to_string();
    let server = place.with_s3(&["--tls", &authority]);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let settings = ["--set", "run.store=s3://runs/run"];
    // Whose certificate nobody vouches for is not talked to, and it is said why.
    place.train("run", 1, &settings).finish().expect_failure(1, &["certificate", "AWS_CA_BUNDLE"]);
    place.set("AWS_CA_BUNDLE", &authority);
    assert_eq!(disturbed(&place, "s3://runs/run", &[]), alone);
}

#[test]
fn a_service_in_googles_dialect_keeps_runs_and_datasets() {
    let mut place = Workplace::prepared();
    let alone = place.weights_of("alone", 1, &[]);
    let server = place.with_s3(&["--google"]);
    place.set("GOOGLE_BASE_URL", &server.url);
    let key = r#"{"disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}"#;
    place.set("GOOGLE_SERVICE_ACCOUNT_KEY", key);
    copy(&place.path("dataset"), &place.path("s3/runs/dataset"));
    let settings = ["--set", "data.dataset=gs://runs/dataset"];
    assert_eq!(disturbed(&place, "gs://runs/run", &settings), alone);
}

/// The milliseconds that each step waited for data.
fn waits(training: &Training) -> Vec<f64> {
    let steps = training.seen.iter().filter(|update| update["kind"] == "step");
    steps.map(|step| step["waits"]["data_ms"].as_f64().unwrap_or(0.0)).collect()
}

#[test]
fn data_that_is_far_away_is_there_when_it_is_wanted() {
    // A step computes for longer than a request takes, and wants blocks that no step before it wanted.
    const DELAY_MS: f64 = 150.0;
    let settings = [
        "--set",
        "model.hidden=128",
        "--set",
        "train.steps=40",
        "--set",
        "data.dataset=s3://runs/dataset",
        "--set",
        "checkpoint.every=1000",
    ];
    let mut place = Workplace::prepared();
    let _server = place.with_s3(&["--delay-ms", "150"]);
    copy(&place.path("dataset"), &place.path("s3/runs/dataset"));
    let mut training = place.train("run", 1, &settings);
    training.finish().expect_success();
    let waits = waits(&training);
    let (first, later) = waits.split_first().expect("steps");
    let late = later.iter().filter(|&&wait| wait > DELAY_MS / 2.0).count();
    println!("waited for data: first step {first} ms, later ones {later:?}");
    assert!(*first >= DELAY_MS, "the first step has to wait for its blocks: {first} ms");
    assert!(late <= later.len() / 10, "{late} of {} steps waited for data: {later:?}", later.len());
}

/// What a machine of the cloud answers about itself: the keys of its role.
fn machine_that_vouches() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let asked = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let answer = match asked.split(' ').nth(1).unwrap_or_default() {
                "/latest/api/token" => "a token",
                path if path.ends_with("/security-credentials/") => "role",
                _ => {
                    r#"{"Code": "Success", "AccessKeyId": "cloze", "SecretAccessKey": "masked-language-model",
                        "Token": "of the role", "Expiration": "2099-01-01T00:00:00Z"}"#
                }
            };
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
            let _ = stream.write_all((head + answer).as_bytes());
        }
    });
    url
}

#[test]
fn a_profile_that_names_only_a_region_leaves_it_to_the_machine_to_vouch() {
    let mut place = Workplace::prepared();
    let server = place.with_s3(&[]);
    let settings = ["--set", "run.store=s3://runs/run", "--set", "train.steps=12"];
    place.train("run", 1, &settings).finish().expect_success();
    let profile = format!("[default]\nregion = us-east-1\nendpoint_url = {}\n", server.url);
    place.write("aws", &profile);
    let mut list = place.command(&["checkpoints", "ls", "s3://runs/run"]);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"] {
        list.env_remove(name);
    }
    list.env("AWS_CONFIG_FILE", place.path("aws")).env("AWS_SHARED_CREDENTIALS_FILE", place.path("none"));
    list.env("AWS_METADATA_ENDPOINT", machine_that_vouches());
    let listed: Done = list.output().expect("cloze can be started").into();
    assert!(listed.expect_success().out.contains("whole"));
}

#[test]
fn of_two_coordinators_on_a_service_only_the_newer_one_is_obeyed() {
    let mut place = Workplace::prepared();
    let _server = place.with_s3(&[]);
    crate::elastic::contested(&place, "s3://runs/contested");
}

#[test]
fn a_coordinator_that_comes_back_does_not_wait_for_a_checkpoint_that_nobody_has_to_restore() {
    let mut place = Workplace::prepared();
    let settings =
        ["--set", "run.store=s3://runs/run", "--set", "train.steps=400", "--set", "checkpoint.every=20"];
    let alone = place.weights_of("alone", 1, &settings[2..]);
    let quick = place.with_s3(&[]);
    let port = free_port();
    let mut first = place.coordinator("run", port, &settings);
    let mut worker = place.worker(port);
    first.wait_for(|update| update["kind"] == "checkpointed").expect("a checkpoint");
    first.kill();
    // Its successor cannot read any part of it: what the client allows a request is much less.
    let _slow = place.with_s3(&["--delay-ms", "60000", "--delay-key", ".safetensors"]);
    let begun = Instant::now();
    let mut second = place.coordinator("run", port, &[&settings[..], &["--resume"]].concat());
    second.wait_for_step(first.last_step() + 1);
    let back = begun.elapsed();
    assert!(back < Duration::from_secs(10), "the run stood still for {back:?}");
    second.finish().expect_success();
    assert!(worker.wait().expect("its end").success(), "the worker failed");
    place.set("AWS_ENDPOINT_URL", &quick.url);
    assert_eq!(place.verified("s3://runs/run")["undone"], 0);
    assert_eq!(place.export("s3://runs/run"), alone);
}
