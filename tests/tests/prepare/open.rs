//! A dataset opens in the tools that people use.

use std::process::Command;

use tests::{Workplace, python};

#[test]
fn pyarrow_polars_duckdb_and_datasets_read_what_is_there() {
    let Some(python) = python(&["pyarrow", "polars", "duckdb", "datasets"]) else { return };
    let place = Workplace::prepared();
    let done = place.cloze(&["inspect", "dataset", "--json"]).expect_success();
    let shown: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/reference/open_dataset.py");
    let dataset = place.path("dataset");
    let mut command = Command::new(python);
    command.arg(script).arg(&dataset).arg(shown["tokenizer"].as_str().expect("a hash"));
    // Nothing is to be fetched.
    let output = command.env("HF_HUB_OFFLINE", "1").output().expect("python can be started");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let totals = &shown["totals"];
    let expected = serde_json::json!([totals["rows"], totals["bytes"], totals["tokens"]]);
    for tool in ["pyarrow", "polars", "duckdb", "datasets"] {
        assert_eq!(found[tool], expected, "{tool}");
    }
}
