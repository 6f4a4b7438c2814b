//! What is exported can be asked for masked words. (That Transformers opens it is in `families.rs`.)

use serde_json::Value;
use tests::Workplace;

const TEXT: &str = "In spring, the baker made <mask> by the river.";

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
