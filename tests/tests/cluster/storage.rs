//! Runs on object storage: storage that fails, processes that are killed while they save, and bits that flip.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plan::Key;
use serde_json::Value;
use tests::{Done, Workplace, copy, kill, signal};

/// Every checkpoint's step and state, as `cloze checkpoints ls` has them.
fn listed(place: &Workplace, run: &str) -> Vec<(u64, String)> {
    let done = place.cloze(&["checkpoints", "ls", run, "--json"]).expect_success();
    let entry = |line: &str| {
        let entry: Value = serde_json::from_str(line).expect("JSON");
        (entry["step"].as_u64().expect("a step"), entry["state"].as_str().expect("a state").to_owned())
    };
    done.out.lines().map(entry).collect()
}

/// What is listed as whole must be whole, byte for byte.
fn nothing_listed_is_broken(place: &Workplace, run: &str) {
    let verified = place.cloze(&["checkpoints", "verify", run]).expect_success();
    assert!(verified.out.contains("every byte as written"), "{}", verified.out);
}

#[test]
fn storage_that_fails_changes_no_bit_and_lists_nothing_that_is_broken() {
    const SETTINGS: [&str; 8] = [
        "--set",
        "train.steps=200",
        "--set",
        "checkpoint.every=4",
        "--set",
        "checkpoint.keep=5",
        "--set",
        "cluster.heartbeat_ms=100",
    ];
    let mut place = Workplace::prepared();
    let alone = place.weights_of("alone", 1, &SETTINGS);
    let faults =
        ["--seed", "5", "--share", "0.12", "--lies", "0.2", "--storm-every-ms", "6000", "--storm-ms", "1200"];
    let server = place.with_s3(&faults);
    copy(&place.path("dataset"), &place.path("s3/runs/dataset"));
    let run = "s3://runs/disturbed";
    let mut settings = SETTINGS.to_vec();
    settings.extend(["--set", "run.store=s3://runs/disturbed", "--set", "data.dataset=s3://runs/dataset"]);
    // The whole job dies in the middle, and goes on. Storage is so slow that steps say nothing of checkpoints.
    let mut training = place.train("disturbed", 2, &settings);
    training.wait_for_step(20);
    let stored = training.wait_for(|update| update["kind"] == "checkpointed");
    assert!(stored.is_some(), "no checkpoint was stored: {:?}", training.seen.last());
    let members = training.member_processes(&place);
    training.kill();
    members.into_iter().for_each(kill_if_there);
    nothing_listed_is_broken(&place, run);
    settings.push("--resume");
    let mut training = place.train("disturbed", 3, &settings);
    training.finish().expect_success();
    training.losses();
    nothing_listed_is_broken(&place, run);
    assert_eq!(place.export(run), alone);
    let met = server.faults();
    println!("faults: {met:?}");
    let wanted = [
        "SlowDown",
        "InternalError",
        "Vanished",
        "Torn",
        "LostAnswer",
        "Late",
        "Trickle",
        "BreaksOff",
        "Silence",
        "StaleListing",
        "Lie",
    ];
    for fault in wanted {
        assert!(met.get(fault).is_some_and(|&count| count > 0), "{fault} never happened: {met:?}");
    }
}

#[test]
fn storage_without_conditions_is_refused_unless_somebody_insists() {
    let mut place = Workplace::prepared();
    let _server = place.with_s3(&["--without-conditions"]);
    let settings = ["--set", "run.store=s3://runs/run", "--set", "train.steps=12"];
    place
        .train("run", 1, &settings)
        .finish()
        .expect_failure(2, &["does not keep conditions", "run.unfenced"]);
    let insisting: Vec<&str> = settings.into_iter().chain(["--set", "run.unfenced=true"]).collect();
    place.train("run", 1, &insisting).finish().expect_success();
}

#[test]
fn credentials_may_come_from_a_profile_and_are_written_nowhere() {
    const SECRET: &str = "masked-language-model";
    const OTHER: &str = "replaced-token-detection";
    let mut place = Workplace::prepared();
    let server = place.with_s3(&[]);
    let run = "s3://runs/run";
    place
        .train("run", 1, &["--set", "run.store=s3://runs/run", "--set", "train.steps=12"])
        .finish()
        .expect_success();
    place.cloze(&["export", run, "--to", "exported"]).expect_success();
    let mut wrong = place.command(&["checkpoints", "ls", run]);
    let refused: Done =
        wrong.env("AWS_SECRET_ACCESS_KEY", OTHER).output().expect("cloze can be started").into();
    assert!(refused.code == 1 && !(refused.out + &refused.err).contains(OTHER));
    for (name, bytes) in tests::files_below(&place.path("")) {
        for secret in [SECRET, OTHER] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{name} holds a secret");
        }
    }
    let keys = format!(
        "{{\\\"Version\\\": 1, \\\"AccessKeyId\\\": \\\"cloze\\\", \\\"SecretAccessKey\\\": \\\"{SECRET}\\\"}}"
    );
    place.write("keys.sh", &format!("echo \"{keys}\"\n"));
    place.write(
        "aws",
        &format!(
            "[profile lab]\nregion = us-east-1\nendpoint_url = {}\ncredential_process = sh {}\n",
            server.url,
            place.path("keys.sh").display()
        ),
    );
    let list = |profile: &str| -> Done {
        let mut command = place.command(&["checkpoints", "ls", run]);
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"] {
            command.env_remove(name);
        }
        command
            .env("AWS_CONFIG_FILE", place.path("aws"))
            .env("AWS_SHARED_CREDENTIALS_FILE", place.path("none"));
        command.env("AWS_PROFILE", profile).output().expect("cloze can be started").into()
    };
    assert!(list("lab").expect_success().out.contains("whole"));
    list("lib").expect_failure(2, &["AWS_PROFILE is lib", "lab"]);
}

/// How many kills each of the two tests makes; `CLOZE_KILLS` says more.
fn kills() -> u64 {
    std::env::var("CLOZE_KILLS").ok().and_then(|said| said.parse().ok()).unwrap_or(8)
}

#[test]
fn what_was_killed_while_saving_to_a_folder_is_not_there_and_the_one_before_it_is() {
    let place = Workplace::prepared();
    let folder = place.path("runs/run/checkpoints");
    kill_while_saving(&place, "runs/run", &folder, Duration::from_millis(10));
}

#[test]
fn what_was_killed_while_saving_to_a_service_is_not_there_and_the_one_before_it_is() {
    let mut place = Workplace::prepared();
    let _server = place.with_s3(&[]);
    let folder = place.path("s3/runs/run/checkpoints");
    kill_while_saving(&place, "s3://runs/run", &folder, Duration::from_millis(60));
}

/// Trains, kills everything at a random moment `within` a while after a checkpoint's folder appears, looks at what is
/// there, goes on.
fn kill_while_saving(place: &Workplace, run: &str, folder: &Path, within: Duration) {
    /// Long enough that a checkpoint is stored before the next one is due.
    const EVERY: u64 = 20;
    let (every, store) = (format!("checkpoint.every={EVERY}"), format!("run.store={run}"));
    // Enough state that saving takes a while, enough steps that the end is not reached.
    let mut settings =
        vec!["--set", &every, "--set", &store, "--set", "train.steps=1000000", "--set", "train.batch=4"];
    settings.extend(["--set", "model.hidden=128", "--set", "model.feed_forward=512"]);
    let (mut unfinished, mut lost, mut whole): (u64, Vec<u64>, u64) = (0, Vec::new(), 0);
    let mut draws = Key::root(7).named("kill").stream();
    for round in 0..kills() {
        let mut training = place.train("run", 1 + (round % 2) as u32, &settings);
        let first = training.wait_for(|update| update["kind"] == "step").expect("a step");
        // With the step after the newest whole checkpoint, neither before nor behind.
        assert_eq!(first["step"].as_u64(), Some(whole + 1), "round {round}");
        let before = folders(folder);
        while folders(folder) == before {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_micros(draws.below(within.as_micros() as u64)));
        let members = engines_of(training.process());
        training.kill();
        members.into_iter().for_each(kill_if_there);
        training.wait_for(|_| false);
        let entries = listed(place, run);
        assert!(entries.iter().all(|(_, state)| state == "whole" || state == "unfinished"), "{entries:?}");
        unfinished += u64::from(entries.last().is_some_and(|(_, state)| state == "unfinished"));
        whole = entries.iter().rfind(|(_, state)| state == "whole").map_or(0, |(step, _)| *step);
        lost.push(training.last_step().saturating_sub(whole));
        // Between the one that was being saved and the newest whole one there are only those that were left out with a
        // word, because storage was behind.
        // Folders beyond where this round came to are of earlier ones.
        let begun =
            entries.iter().rfind(|(step, _)| *step <= training.last_step()).map_or(0, |(step, _)| *step);
        let behind = |update: &&Value| {
            update["text"].as_str().is_some_and(|text| text.starts_with("no checkpoint of"))
        };
        let left_out = training.seen.iter().filter(behind).count() as u64;
        assert!(
            begun.saturating_sub(whole) <= EVERY * (1 + left_out),
            "{begun} was being saved, {whole} is whole, {left_out} left out"
        );
        if round == 0 {
            settings.push("--resume");
        }
        if whole > 0 {
            nothing_listed_is_broken(place, run);
        }
    }
    lost.sort_unstable();
    let most = lost.last().copied().unwrap_or(0);
    println!(
        "{} kills, {unfinished} of them before the checkpoint that was being saved was there; steps lost: median {}, most {most}",
        kills(),
        lost[lost.len() / 2]
    );
    assert!(unfinished > 0, "no kill came while a checkpoint was being saved");
}

#[test]
fn a_job_that_is_told_to_end_as_a_whole_stores_its_last_step() {
    let place = Workplace::prepared();
    let settings = ["--set", "train.steps=100000", "--set", "checkpoint.every=100000"];
    let mut training = place.train("run", 2, &settings);
    training.wait_for_step(20);
    // As a scheduler ends a job: everybody at once.
    for process in engines_of(training.process()).into_iter().chain([training.process()]) {
        signal(process, "TERM");
    }
    training.finish().expect_success();
    assert_eq!(listed(&place, "runs/run"), [(training.last_step(), "whole".to_owned())]);
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// The processes that a process has started.
fn engines_of(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let mut found: Vec<u32> = children.split_whitespace().filter_map(|child| child.parse().ok()).collect();
    // Any thread may have started them.
    for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn kill_if_there(process: u32) {
    if Path::new(&format!("/proc/{process}")).exists() {
        kill(process);
    }
}

/// Flips one bit of a file; the bytes before.
fn flip(path: &Path, draws: &mut plan::Stream) -> Vec<u8> {
    let before = fs::read(path).expect("a file");
    let mut bytes = before.clone();
    let bit = draws.below(bytes.len() as u64 * 8) as usize;
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, bytes).expect("a file");
    before
}

#[test]
fn every_flipped_bit_is_found_and_named_and_training_goes_on_from_the_checkpoint_before() {
    let settings = ["--set", "train.steps=60", "--set", "checkpoint.every=20"];
    let place = Workplace::prepared();
    let alone = place.weights_of("run", 2, &settings);
    let would =
        place.cloze(&["checkpoints", "prune", "runs/run", "--keep", "2", "--dry-run"]).expect_success();
    assert_eq!(would.out.trim(), "step       20  would be deleted");
    let newest = place.path("runs/run/checkpoints/step-00000060");
    let mut draws = Key::root(3).named("flip").stream();
    let mut objects = tests::files_below(&newest).into_keys().collect::<Vec<_>>();
    assert!(objects.len() >= 3, "{objects:?}");
    objects.sort();
    for object in &objects {
        for _ in 0..3 {
            let before = flip(&newest.join(object), &mut draws);
            let said = place.cloze(&["checkpoints", "verify", "runs/run"]);
            assert!(
                said.code == 1 && said.out.contains(object.as_str()),
                "{object}: {}{}",
                said.out,
                said.err
            );
            fs::write(newest.join(object), before).expect("a file");
        }
    }
    // Resumed with a damaged part: the one before is used, and the end is the same.
    flip(&newest.join(&objects[1]), &mut draws);
    let mut training = place.train("run", 2, &[&settings[..], &["--resume"]].concat());
    training.finish().expect_success();
    let said = training
        .seen
        .iter()
        .any(|update| update["text"].as_str().is_some_and(|text| text.contains(&objects[1])));
    assert!(said, "nobody named {}", objects[1]);
    assert_eq!(place.export("run"), alone);
}

#[test]
fn a_checkpoint_that_breaks_while_the_run_goes_on_is_named_when_it_is_wanted_and_the_one_before_it_is_restored()
 {
    let settings = ["--set", "train.steps=100", "--set", "checkpoint.every=20", "--set", "checkpoint.keep=3"];
    let place = Workplace::prepared();
    let alone = place.weights_of("alone", 1, &settings);
    let mut training = place.train("run", 2, &settings);
    training.wait_for_step(50);
    let url = training.url();
    place.cloze(&["pause", &url]).expect_success();
    let stands_still =
        |update: &Value| update["text"].as_str().is_some_and(|text| text.contains("stands still"));
    training.wait_for(stands_still).expect("a pause");
    let still = training.last_step();
    let until = Instant::now() + Duration::from_secs(20);
    while listed(&place, "runs/run").last() != Some(&(still, "whole".to_owned())) {
        assert!(Instant::now() < until, "no checkpoint of step {still}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let folder = place.path(&format!("runs/run/checkpoints/step-{still:08}"));
    let part = tests::files_below(&folder).into_keys().find(|name| name.ends_with(".safetensors"));
    let part = part.expect("a part");
    flip(&folder.join(&part), &mut Key::root(5).named("flip").stream());
    // Nobody is left who holds the weights; their supervisors start others.
    let status = place.cloze(&["status", &url, "--json"]).expect_success();
    let status: Value = serde_json::from_str(&status.out).expect("JSON");
    let name = |worker: &Value| worker["name"].as_str()?.rsplit(':').next()?.parse().ok();
    let workers: Vec<u32> = status["workers"].as_array().expect("workers").iter().filter_map(name).collect();
    assert_eq!(workers.len(), 2, "{status}");
    workers.into_iter().for_each(kill);
    place.cloze(&["unpause", &url]).expect_success();
    training.finish().expect_success();
    training.losses();
    let texts: Vec<&str> = training.seen.iter().filter_map(|update| update["text"].as_str()).collect();
    for said in [format!("cannot restore step {still}"), format!("step {still} skipped"), part] {
        assert!(texts.iter().any(|text| text.contains(&said)), "nobody said {said}: {texts:?}");
    }
    assert_eq!(place.export("run"), alone);
    assert!(place.verified("run")["undone"].as_u64() > Some(0));
}

#[test]
fn a_damaged_record_is_named_and_a_copy_goes_on_from_the_checkpoint_before() {
    let settings = ["--set", "train.steps=60", "--set", "checkpoint.every=20"];
    let place = Workplace::prepared();
    let alone = place.weights_of("run", 1, &settings);
    let mut draws = Key::root(4).named("flip").stream();
    let ledger = place.path("runs/run/ledger");
    let segments: BTreeMap<String, Vec<u8>> = tests::files_below(&ledger);
    for name in segments.keys() {
        for _ in 0..4 {
            let before = flip(&ledger.join(name), &mut draws);
            let said = place.cloze(&["verify", "runs/run"]);
            let number: u64 =
                name.trim_start_matches("segment-").trim_end_matches(".jsonl").parse().expect("a number");
            // A changed line shows where the chain is next compared: in the segment behind, or in a checkpoint.
            let named = [
                format!("segment {number}"),
                format!("segment {}", number + 1),
                "checkpoint of step".to_owned(),
            ];
            assert!(
                said.code == 1 && named.iter().any(|place| said.out.contains(place)),
                "{name}: {}{}",
                said.out,
                said.err
            );
            fs::write(ledger.join(name), before).expect("a file");
        }
    }
    let plan = place.path("runs/run/plan.toml");
    let before = fs::read_to_string(&plan).expect("a plan");
    fs::write(&plan, before.replace("seed = 7", "seed = 8")).expect("a plan");
    place.cloze(&["verify", "runs/run"]).expect_failure(1, &["1 findings"]);
    fs::write(&plan, before).expect("a plan");
    // The segment of the last steps is lost; what leads to the checkpoint before is copied, and goes on.
    let last = segments.keys().next_back().expect("a segment");
    fs::remove_file(ledger.join(last)).expect("a file");
    let copied = place.cloze(&["checkpoints", "copy", "runs/run", "runs/copy", "--json"]).expect_success();
    let copied: Value = serde_json::from_str(&copied.out).expect("JSON");
    println!("{copied}");
    let more = [&settings[..], &["--resume", "--set", "run.store=runs/copy"]].concat();
    place.train("run", 1, &more).finish().expect_success();
    assert_eq!(place.export("copy"), alone);
}

#[test]
fn a_damaged_dataset_block_is_read_from_a_replica_or_named() {
    let settings = ["--set", "train.steps=20"];
    let place = Workplace::prepared();
    let alone = place.weights_of("alone", 1, &settings);
    copy(&place.path("dataset"), &place.path("replica"));
    let tokens = place.path("dataset/tokens");
    let files = tests::files_below(&tokens);
    for (name, bytes) in &files {
        // In the middle: ids of some row group.
        let mut damaged = bytes.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 4;
        fs::write(tokens.join(name), damaged).expect("a file");
    }
    let failed: Done = place.train("bad", 1, &settings).finish();
    assert_ne!(failed.code, 0);
    let shown = format!("{}{}", failed.out, failed.err);
    assert!(shown.contains("row group"), "{failed:?}");
    let with_replica = [&settings[..], &["--set", "data.replicas=[\"nowhere\", \"replica\"]"]].concat();
    assert_eq!(place.weights_of("good", 2, &with_replica), alone);
}
