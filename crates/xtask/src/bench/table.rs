//! Results as tables for people. Knows the form of the results, and makes no measurement.

use serde_json::Value;

/// Our step and what others call the same: the ratio of their speeds is shown.
const PAIRS: [(&str, &[&str]); 5] = [
    ("WordPiece: first pass", &["tokenizers: WordPiece"]),
    ("byte-level BPE: first pass", &["tokenizers: byte-level BPE"]),
    ("Unigram: first pass", &["tokenizers: Unigram"]),
    ("quality rules, articles", &["datatrove: Gopher quality", "datatrove: Gopher repetition"]),
    ("MinHash bands, articles", &["datatrove: MinHash signatures"]),
];

/// All tables.
pub fn show(results: &Value) -> String {
    let machine = &results["machine"];
    let mut text = format!(
        "\n{}, {} cores, load {}; commit {}\n",
        machine["cpu"].as_str().unwrap_or("unknown processor"),
        machine["cores"],
        machine["load"].as_str().unwrap_or("unknown"),
        results["project"]["commit"].as_str().unwrap_or("unknown")
    );
    text += &whole(results);
    text += &steps(results);
    text += &peers(results);
    for skipped in list(&results["peers"]["skipped"]) {
        let part = |name: &str| skipped[name].as_str().unwrap_or_default().to_owned();
        text += &format!("skipped: {}: {}\n", part("name"), part("reason"));
    }
    text
}

fn whole(results: &Value) -> String {
    let mut text = format!(
        "\n{:<27} {:>6} {:>19} {:>19} {:>12} {:>14}  target\n",
        "cloze prepare --jobs 1",
        "MB",
        "MB/s CPU best, med.",
        "MB/s wall best, med.",
        "input MB/s",
        "peak of MiB"
    );
    for row in list(&results["whole"]) {
        let bytes = row["text_bytes"].as_u64().unwrap_or(0);
        let runs = list(&row["runs"]);
        let rates =
            |bytes: u64, of: &str| Rates::of(bytes, runs.iter().filter_map(|run| run[of].as_f64()).collect());
        let cpu = rates(bytes, "cpu_seconds");
        let peak = runs.iter().filter_map(|run| run["peak_bytes"].as_u64()).max();
        text += &format!(
            "{:<27} {:>6.1} {:>19} {:>19} {:>12.1} {:>14}  {}\n",
            row["name"].as_str().unwrap_or_default(),
            bytes as f64 / 1e6,
            cpu.shown(),
            rates(bytes, "wall_seconds").shown(),
            rates(unpacked(results, row), "cpu_seconds").best,
            format!(
                "{} {}",
                peak.map_or("-".to_owned(), |peak| (peak >> 20).to_string()),
                row["memory"].as_str().unwrap_or("-")
            ),
            verdict(results, row, cpu.best),
        );
        if let Some(stages) = runs.last().and_then(|run| run["stages"].as_object()) {
            let stages: Vec<String> =
                stages.iter().map(|(name, seconds)| format!("{name} {seconds}")).collect();
            text += &format!("    seconds of the last: {}\n", stages.join(", "));
        }
    }
    text
}

/// The bytes of the input of a preparation, unpacked.
fn unpacked(results: &Value, row: &Value) -> u64 {
    let name = match row["format"].as_str() {
        Some("wikipedia") => "wiki_bytes",
        Some("warc") => "warc_bytes",
        _ => "book_bytes",
    };
    results["steps"][name].as_u64().unwrap_or(0)
}

/// Whether a preparation of books is as fast as it is to be.
fn verdict(results: &Value, row: &Value, best: f64) -> String {
    let is_ours = |target: &&Value| target[0] == row["tokenizer"] && row["format"] == "book";
    match list(&results["targets"]).iter().find(is_ours).and_then(|target| target[1].as_f64()) {
        Some(target) if best >= target => format!("{target} reached"),
        Some(target) => format!("{target} MISSED"),
        None => String::new(),
    }
}

fn steps(results: &Value) -> String {
    let mut text = format!("\n{:<34} {:>8} {:>17}\n", "step by step, one thread", "MB", "MB/s best, med.");
    for step in list(&results["steps"]["steps"]) {
        let (bytes, rates) = (step["bytes"].as_u64().unwrap_or(0), rates(step));
        let shown = match bytes {
            0 => format!("{:.3} s", step["seconds"][0].as_f64().unwrap_or(0.0)),
            _ => rates.shown(),
        };
        let name = step["name"].as_str().unwrap_or_default();
        text += &format!("{name:<34} {:>8.1} {shown:>17}\n", bytes as f64 / 1e6);
    }
    text
}

fn peers(results: &Value) -> String {
    let (ours, theirs) = (list(&results["steps"]["steps"]), list(&results["peers"]["steps"]));
    let mut text =
        format!("\n{:<48} {:>9} {:>9} {:>9}\n", "beside others, one thread", "ours", "theirs", "ratio");
    for (name, others) in PAIRS {
        let mine = find(ours, name).map(|step| rates(step).best);
        let other: Option<Vec<f64>> =
            others.iter().map(|name| find(theirs, name).map(|step| rates(step).best)).collect();
        if let (Some(mine), Some(other)) = (mine, other) {
            // What is done one after the other takes the sum of the times.
            let other = 1.0 / other.iter().map(|rate| 1.0 / rate).sum::<f64>();
            let ratio = format!("{:.1} x", mine / other);
            text += &format!("{:<48} {mine:>9.1} {other:>9.1} {ratio:>9}\n", others.join(" + "));
        }
    }
    text
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn find<'a>(steps: &'a [Value], name: &str) -> Option<&'a Value> {
    steps.iter().find(|step| step["name"] == name)
}

fn rates(step: &Value) -> Rates {
    let seconds = list(&step["seconds"]).iter().filter_map(Value::as_f64).collect();
    Rates::of(step["bytes"].as_u64().unwrap_or(0), seconds)
}

/// Megabytes per second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rates {
    best: f64,
    median: f64,
}

impl Rates {
    fn of(bytes: u64, mut seconds: Vec<f64>) -> Rates {
        seconds.sort_by(f64::total_cmp);
        let rate = |at: usize| seconds.get(at).map_or(0.0, |seconds| bytes as f64 / 1e6 / seconds.max(1e-9));
        Rates { best: rate(0), median: rate(seconds.len() / 2) }
    }

    fn shown(self) -> String {
        format!("{:.1} {:.1}", self.best, self.median)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_best_and_the_median_are_shown() {
        assert_eq!(Rates::of(6_000_000, vec![3.0, 1.0, 2.0]), Rates { best: 6.0, median: 3.0 });
        assert_eq!(Rates::of(6_000_000, Vec::new()).shown(), "0.0 0.0");
    }

    #[test]
    fn what_falls_short_is_said() {
        let run =
            |seconds: f64| json!({ "cpu_seconds": seconds, "wall_seconds": 2.0, "stages": { "read": 0.5 } });
        let row = |seconds| {
            json!({ "name": "books, Unigram", "tokenizer": "Unigram", "format": "book",
            "memory": "2G", "text_bytes": 10_000_000, "runs": [run(seconds)] })
        };
        let results = json!({ "targets": [["Unigram", 5.0]], "whole": [row(1.0), row(4.0)],
            "steps": { "steps": [{ "name": "Unigram: first pass", "bytes": 4_000_000, "seconds": [1.0] }] },
            "peers": { "steps": [{ "name": "tokenizers: Unigram", "bytes": 1_000_000, "seconds": [1.0, 2.0] }],
                "skipped": [{ "name": "datatrove", "reason": "it is not there" }] } });
        let text = show(&results);
        assert!(text.contains("5 reached") && text.contains("5 MISSED"), "{text}");
        assert!(text.contains("seconds of the last: read 0.5"), "{text}");
        assert!(text.contains("4.0 x") && text.contains("skipped: datatrove: it is not there"), "{text}");
    }
}
