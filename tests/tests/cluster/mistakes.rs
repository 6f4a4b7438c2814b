//! Bad input gets one clear message and its exit code, and loses nothing.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tests::{RECIPE, Workplace};

#[test]
fn a_mistyped_key_is_answered_with_the_nearest_right_one() {
    let place = Workplace::with_corpus();
    place.write("wrong.toml", &RECIPE.replace("warmup_steps", "warmup_step"));
    place
        .cloze(&["train", "wrong.toml"])
        .expect_failure(2, &["wrong.toml:29", "did you mean `warmup_steps`?"]);
    place.write("wrong.toml", &RECIPE.replace("hidden = 32", "hiden = 32"));
    place.cloze(&["prepare", "corpus.toml"]).expect_success();
    place
        .cloze(&["train", "wrong.toml"])
        .expect_failure(2, &["wrong.toml:12", "did you mean `model.hidden`?"]);
    place
        .cloze(&["train", "run.toml", "--set", "train.step=3"])
        .expect_failure(2, &["--set train.step=3", "did you mean `steps`?"]);
    place
        .cloze(&["train", "run.toml", "--set", "checkpoint.best_by=mlm_acuracy"])
        .expect_failure(2, &["checkpoint.best_by is `mlm_acuracy`", "mlm_accuracy"]);
    let secret =
        ["--set", "data.dataset=nowhere", "--set", r#"data.replicas=["https://joe:hunter2@host/data"]"#];
    let refused = place.cloze(&[&["train", "run.toml"], &secret[..]].concat());
    assert!(refused.code == 2 && refused.err.contains("credentials in the environment"), "{}", refused.err);
    assert!(!(refused.out + &refused.err).contains("hunter2"), "a password is repeated");
    place.cloze(&["train", "absent.toml"]).expect_failure(2, &["absent.toml"]);
    let corpus = fs::read_to_string(place.path("corpus.toml")).unwrap();
    place.write("wrong-corpus.toml", &corpus.replace("chunk_bytes", "chunk_byte"));
    place
        .cloze(&["prepare", "wrong-corpus.toml"])
        .expect_failure(2, &["wrong-corpus.toml:5", "`chunk_bytes`?"]);
    assert!(!place.path("runs").exists(), "a refused run leaves nothing behind");
}

#[test]
fn phases_that_do_not_train_one_network_are_refused() {
    let place = Workplace::prepared();
    let phases = "\n[[phase]]\ntrain.steps = 12\nobjective.format = \"segment-pair\"\n\
                  objective.normaliser = \"group\"\n[[phase]]\ntrain.steps = 2\n";
    place.write("phases.toml", &(RECIPE.replace("steps = 60\n", "") + phases));
    place
        .cloze(&["train", "phases.toml"])
        .expect_failure(2, &["phases.toml: phase 1 has another network than the first"]);
    place.write("phases.toml", &(RECIPE.to_owned() + phases));
    place.cloze(&["train", "phases.toml"]).expect_failure(2, &["`train.steps`", "phase"]);
    let mistyped = phases.replace("objective.format", "objektive.format");
    place.write("phases.toml", &(RECIPE.replace("steps = 60\n", "") + &mistyped));
    place.cloze(&["train", "phases.toml"]).expect_failure(2, &["phases.toml:", "`phase.0.objective`?"]);
    assert!(!place.path("runs").exists(), "a refused run leaves nothing behind");
}

#[test]
fn a_missing_corpus_or_dataset_is_named() {
    let place = Workplace::with_corpus();
    place.cloze(&["train", "run.toml"]).expect_failure(2, &["dataset", "cloze prepare"]);
    place.cloze(&["prepare", "corpus.toml", "--input", "nowhere"]).expect_failure(2, &["nowhere"]);
    assert!(!place.path("dataset/manifest.json").exists());
    place.cloze(&["export", "runs/none", "--to", "x"]).expect_failure(2, &["there is no run at runs/none"]);
    place.cloze(&["fill-mask", "nothing", "a <mask>"]).expect_failure(2, &["there is no directory nothing"]);
}

#[test]
fn a_corrupt_shard_is_named_and_mending_it_loses_nothing() {
    let place = Workplace::prepared();
    let undisturbed = place.weights_of("whole", 1, &[]);
    let shard = shards(&place).remove(0);
    let good = fs::read(&shard).unwrap();
    let mut bad = good.clone();
    // In the first row group, behind the magic number: the first byte of its data.
    bad[200] ^= 1;
    let mut first = place.train("torn", 1, &[]);
    first.wait_for_step(20);
    fs::write(&shard, &bad).unwrap();
    let url = first.url();
    place.cloze(&["stop", &url]).expect_success();
    first.finish();
    let name = shard.file_name().unwrap().to_str().unwrap().to_owned();
    let torn = place.train("torn", 1, &["--resume"]).finish();
    torn.expect_failure(1, &[&name, "row group", "is damaged"]);
    fs::write(&shard, &good).unwrap();
    place.train("torn", 2, &["--resume"]).finish().expect_success();
    assert_eq!(place.export("torn"), undisturbed);
}

fn shards(place: &Workplace) -> Vec<PathBuf> {
    let listed =
        |folder: PathBuf| fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    let tokens = listed(place.path("dataset/tokens")).next().expect("a tokenizer's folder");
    let mut shards: Vec<PathBuf> =
        listed(tokens).filter(|path| path.extension().is_some_and(|e| e == "parquet")).collect();
    shards.sort();
    shards
}

#[test]
fn a_record_that_was_changed_is_found_and_placed() {
    let place = Workplace::prepared();
    place.train("honest", 1, &["--set", "train.steps=20"]).finish().expect_success();
    assert_eq!(place.verified("honest")["steps"], 20);
    let said = place.cloze(&["verify", "runs/honest"]).expect_success().out;
    assert!(said.contains("20 of 20 steps, each once and in order"), "{said}");
    let kept = tests::files_below(&place.path("runs/honest/metrics"));
    let kept = kept.values().map(|file| String::from_utf8_lossy(file)).collect::<String>();
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let steps = kept.iter().filter(|line| line["kind"] == "step");
    let steps: Vec<u64> = steps.map(|step| step["step"].as_u64().expect("a number")).collect();
    assert_eq!(steps, (1..=20).collect::<Vec<_>>());
    assert!(kept.iter().all(|line| line["time"].as_f64() > Some(1.7e9)), "{kept:?}");
    assert!(kept.iter().any(|line| line["kind"] == "checkpointed" && line["step"] == 20), "{kept:?}");

    let ledger = place.path("runs/honest/ledger");
    let mut segments: Vec<PathBuf> =
        std::fs::read_dir(&ledger).expect("a ledger").map(|entry| entry.expect("an entry").path()).collect();
    segments.sort();
    let holds_steps = |path: &PathBuf| std::fs::read_to_string(path).expect("text").contains("committed");
    let segment = segments.iter().find(|path| holds_steps(path)).expect("a segment with steps").clone();
    let good = std::fs::read_to_string(&segment).expect("text");
    let changed = |text: &str| {
        std::fs::write(&segment, text).expect("it can be written");
        let done = place.cloze(&["verify", "runs/honest"]);
        assert_eq!(done.code, 1, "{}\n{}", done.out, done.err);
        done.out
    };
    let lines: Vec<&str> = good.lines().collect();
    let name = segment.file_name().expect("a name").to_string_lossy().into_owned();
    for text in [
        good.replacen("\"grad_norm\":", "\"grad_norm\":1", 1),
        good.replacen("\"step\":7,", "\"step\":8,", 1),
        format!("{}\n", lines[..lines.len() - 1].join("\n")),
    ] {
        let said = changed(&text);
        assert!(said.contains(&name) && said.contains("its checksum is"), "{said}");
        assert!(said.contains("no record leads to the head"), "the checkpoint is not proven: {said}");
    }
    // Whoever makes the checksum fit, too (or leaves it out, as the first versions did), still does not fit the chain.
    let checksum =
        good.split("\"checksum\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a checksum");
    let step = changed(&good.replacen("\"step\":7,", "\"step\":8,", 1).replace(checksum, ""));
    assert!(step.contains("step 8 is committed where step 7 comes next"), "{step}");
    std::fs::remove_file(&segment).expect("it is there");
    let missing = place.cloze(&["verify", "runs/honest"]);
    assert!(missing.code == 1 && missing.out.contains("it is missing"), "{}", missing.out);
    std::fs::write(&segment, good).expect("it can be written");
    let _ = place.verified("honest");
}

#[test]
fn a_tokenizer_that_does_not_fit_is_refused() {
    let place = Workplace::prepared();
    place
        .cloze(&["train", "run.toml", "--set", "data.tokenizer=0123456789abcdef"])
        .expect_failure(2, &["wants the tokenizer 0123456789abcdef", "prepare the corpus"]);
    place
        .cloze(&["train", "run.toml", "--set", "model.vocab_size=100"])
        .expect_failure(2, &["vocab_size", "100", "400"]);
    assert!(!place.path("runs").exists());
}

#[test]
fn a_coordinator_that_is_not_there_is_not_waited_for_forever() {
    let place = Workplace::with_corpus();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    place
        .cloze(&["worker", "--coordinator", &url, "--patience-s", "1"])
        .expect_failure(1, &["no coordinator answers at", &url]);
    place.cloze(&["status", &url]).expect_failure(1, &["no coordinator answers at", &url]);
}

#[test]
fn a_run_is_not_continued_with_another_recipe() {
    let place = Workplace::prepared();
    place.weights_of("mine", 1, &[]);
    let other = place.train("mine", 1, &["--resume", "--set", "run.seed=8"]).finish();
    other.expect_failure(2, &["recipe hash", "another run name"]);
    let absent = place.train("yours", 1, &["--resume"]).finish();
    absent.expect_failure(2, &["there is no run at runs/yours"]);
}

#[test]
fn a_damaged_checkpoint_is_named_and_passed_over() {
    let place = Workplace::prepared();
    let undisturbed = place.weights_of("sound", 1, &[]);
    place.train("rotten", 1, &["--set", "train.steps=60"]).finish().expect_success();
    let part = place.path("runs/rotten/checkpoints/step-00000060/part-0000-of-0001.safetensors");
    let mut bytes = fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&part, bytes).unwrap();
    place.cloze(&["checkpoints", "verify", "runs/rotten"]).expect_failure(1, &["1 damaged"]);
    let mut resumed = place.train("rotten", 1, &["--resume"]);
    let done = resumed.finish().expect_success();
    assert!(done.out.contains("checkpoint of step 60 skipped"), "{}", done.out);
    assert_eq!(*resumed.losses().first_key_value().unwrap().0, 41, "from the checkpoint before");
    assert_eq!(place.export("rotten"), undisturbed);
}
