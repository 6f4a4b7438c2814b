//! The same bytes for any number of threads, shares and kills.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use plan::Key;
use tests::{Workplace, files_below, kill};

/// What a preparation has written, but for the folder that it was in.
fn dataset(place: &Workplace, out: &str) -> BTreeMap<String, Vec<u8>> {
    files_below(&place.path(out))
}

#[test]
fn threads_shares_and_twenty_kills_change_nothing() {
    let place = Workplace::with_corpus();
    let begin = Instant::now();
    place.cloze(&["prepare", "corpus.toml", "--out", "one", "--jobs", "1"]).expect_success();
    let took = begin.elapsed();
    let expected = dataset(&place, "one");
    assert!(expected.contains_key("manifest.json") && expected.contains_key("report.html"));

    place
        .cloze(&["prepare", "corpus.toml", "--out", "two", "--jobs", "2", "--memory", "64M"])
        .expect_success();
    assert!(dataset(&place, "two") == expected);

    let small = ["--task-bytes", "4k"];
    for stage in ["read", "sort", "write", "tokenize"] {
        for share in ["2/3", "3/3", "1/3"] {
            let arguments = ["prepare", "corpus.toml", "--out", "shared", "--task-of", share];
            place.cloze(&[&arguments[..], &small].concat()).expect_success();
            assert!(!place.path("shared/manifest.json").exists(), "{stage}");
        }
    }
    place.cloze(&["prepare", "corpus.toml", "--out", "shared", "--finish"]).expect_success();
    assert!(dataset(&place, "shared") == expected);

    let mut chance = Key::root(7).named("kills").stream();
    let (mut kills, mut rounds) = (0, 0);
    while kills < 20 {
        rounds += 1;
        assert!(rounds < 400, "only {kills} kills in {rounds} rounds");
        let mut command = place.command(&["prepare", "corpus.toml", "--out", "killed", "--task-bytes", "4k"]);
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("cloze can be started");
        let longest = took.as_millis() as u64 * 2 / 3;
        std::thread::sleep(Duration::from_millis(chance.below(longest.max(2))));
        match child.try_wait().expect("its state") {
            None => {
                kill(child.id());
                kills += 1;
            }
            // It was quicker: what it has made is the dataset, and the next one begins anew.
            Some(status) => {
                assert!(status.success());
                assert!(dataset(&place, "killed") == expected, "after {kills} kills");
                fs::remove_dir_all(place.path("killed")).expect("the dataset");
            }
        }
        child.wait().expect("its end");
        assert!(whole_or_not_there(&place.path("killed"), &expected), "after {kills} kills");
    }
    place.cloze(&["prepare", "corpus.toml", "--out", "killed", "--json"]).expect_success();
    assert!(dataset(&place, "killed") == expected, "after {kills} kills");
    println!("{kills} kills in {rounds} rounds");
}

/// A manifest is there only if everything is.
fn whole_or_not_there(folder: &Path, expected: &BTreeMap<String, Vec<u8>>) -> bool {
    if !folder.join("manifest.json").exists() {
        return true;
    }
    let found = files_below(folder);
    let data = expected.iter().filter(|(name, _)| !name.starts_with("report"));
    data.into_iter().all(|(name, bytes)| found.get(name) == Some(bytes))
}

#[test]
fn a_dry_run_says_what_there_is_to_do_and_does_nothing() {
    let place = Workplace::with_corpus();
    let done = place.cloze(&["prepare", "corpus.toml", "--dry-run"]).expect_success();
    assert!(done.out.contains("tales: 12 files") && done.out.contains("1 tasks to read"), "{}", done.out);
    assert!(!place.path("dataset").exists());
    place
        .cloze(&["prepare", "corpus.toml", "--task-of", "4/3"])
        .expect_failure(2, &["there is no share 4 of 3"]);
}

#[test]
fn inspect_and_tokenizer_show_what_is_there() {
    let place = Workplace::prepared();
    let done = place.cloze(&["inspect", "dataset"]).expect_success();
    assert!(done.out.contains("tales: 12 documents"), "{}", done.out);
    let done = place.cloze(&["inspect", "dataset", "--documents", "3", "--json"]).expect_success();
    let shown: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(shown["documents"].as_array().map(Vec::len), Some(3));
    for format in ["segment-pair", "segment-halves", "span-blocks", "doc-sentences", "sentence-pair"] {
        let arguments = ["inspect", "dataset", "--samples", "2", "--format", format, "--json"];
        let done = place.cloze(&arguments).expect_success();
        let shown: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
        assert_eq!(shown["samples"].as_array().map(Vec::len), Some(2), "{format}");
    }
    place
        .cloze(&["inspect", "dataset", "--samples", "1", "--format", "segment-pairs"])
        .expect_failure(2, &["segment-pair"]);
    for kind in ["word-piece", "unigram"] {
        let train =
            ["tokenizer", "train", "dataset", "--kind", kind, "--vocab-size", "200", "--out", "t.json"];
        place.cloze(&train).expect_success();
        let encode = ["tokenizer", "encode", "t.json", "--text", "the baker made bread", "--json"];
        let done = place.cloze(&encode).expect_success();
        let tokens: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
        assert!(tokens.as_array().is_some_and(|tokens| tokens.len() >= 4), "{}", done.out);
        let corpus = fs::read_to_string(place.path("corpus.toml")).expect("the configuration");
        let section = corpus.find("[tokenizer]").expect("its section");
        let next = corpus.find("[[source]]").expect("its section");
        let other = format!("{}[tokenizer]\nfiles = [\"t.json\"]\n{}", &corpus[..section], &corpus[next..]);
        place.write("other.toml", &other);
        let done = place.cloze(&["prepare", "other.toml"]).expect_success();
        assert!(done.out.contains("name that as the dataset of a run"), "{}", done.out);
    }
}
