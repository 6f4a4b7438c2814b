//! What is exported is what Hugging Face Transformers opens, and it computes the same.

use std::process::Command;

use serde_json::Value;
use tests::{Workplace, program, python};

const TEXT: &str = "In spring, the baker made <mask> by the river.";

#[test]
fn transformers_opens_an_exported_run_and_computes_the_same_logits() {
    let Some(python) = python(&["transformers", "torch", "safetensors"]) else { return };
    let place = Workplace::prepared();
    place.weights_of("run", 2, &[]);
    let ours = Command::new(program("cloze-engine"))
        .args(["fill-mask", "--logits"])
        .arg(place.path("hf-run"))
        .arg(TEXT)
        .env("LD_LIBRARY_PATH", concat!(env!("CARGO_MANIFEST_DIR"), "/../.venv/libtorch/lib"))
        .output()
        .expect("the engine can be started");
    assert!(ours.status.success(), "{}", String::from_utf8_lossy(&ours.stderr));
    std::fs::write(place.path("ours.json"), ours.stdout).expect("a file");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/reference/open_export.py");
    let theirs = Command::new(python)
        .arg(script)
        .arg(place.path("hf-run"))
        .arg(place.path("ours.json"))
        .arg(TEXT)
        .output()
        .expect("python can be started");
    let out = String::from_utf8_lossy(&theirs.stdout);
    assert!(theirs.status.success(), "{out}{}", String::from_utf8_lossy(&theirs.stderr));
    let found: Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    assert_eq!(found["ids"], true, "the tokenizers disagree: {out}");
    let difference = found["max_difference"].as_f64().expect("a number");
    println!("largest difference of a logit: {difference:e}");
    assert!(difference <= 1e-4, "logits differ by {difference}");
}

#[test]
fn fill_mask_learns_who_makes_what() {
    let place = Workplace::prepared();
    place.weights_of("run", 1, &["--set", "train.steps=400"]);
    let predicted = place.cloze(&["fill-mask", "hf-run", TEXT, "--json", "--top", "6"]).expect_success();
    let line: Value = serde_json::from_str(predicted.out.trim()).expect("one mask, one line of JSON");
    let predictions = line["predictions"].as_array().expect("predictions");
    assert_eq!(predictions.len(), 6);
    let shares: Vec<f64> = predictions.iter().map(|p| p["probability"].as_f64().expect("a number")).collect();
    assert!(shares.windows(2).all(|pair| pair[0] >= pair[1]), "best first: {shares:?}");
    place.cloze(&["fill-mask", "hf-run", "no mask here"]).expect_failure(2, &["has no mask"]);
}
