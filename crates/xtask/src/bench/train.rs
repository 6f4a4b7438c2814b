//! Training steps on a CPU: this project's (`crates/trainer/examples/speed.rs`) and those of Hugging Face Transformers,
//! eager (`tests/benchmarks/train_cpu.py`), of the same network on batches of the same shape. Knows what is compared
//! and what is to be reached; the two programs make the measurements.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{date, facts, parsed, with_transformers, write};
use crate::shell::{Failure, Outcome, cargo, failed, foreign, run as run_command};

/// Arguments of `cargo xtask bench train-cpu`.
#[derive(Debug, clap::Args)]
pub struct TrainArgs {
    /// Threads inside an operator, for both sides
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// Also write what was measured as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The date in the results; today if it is not given
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
    /// A model, such as bert/base; may be given more than once; without it, all
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// BERT and RoBERTa only, once and with fewer steps
    #[arg(long, conflicts_with = "models")]
    quick: bool,
}

/// A configuration that is measured.
struct Case {
    /// Its name in `configs`.
    name: &'static str,
    /// The size of the vocabulary that the model was published with.
    vocabulary: u32,
    /// Sequences in a step, which is a single micro-batch.
    batch: u32,
    /// How many times as fast as the peer it is to be, in the order of [`PRECISIONS`].
    targets: [Option<f64>; 2],
}

const CASES: [Case; 4] = [
    Case { name: "bert/base", vocabulary: 30_522, batch: 16, targets: [Some(1.4), Some(2.0)] },
    Case { name: "roberta/base", vocabulary: 50_265, batch: 16, targets: [Some(1.6), Some(2.0)] },
    Case { name: "electra/small", vocabulary: 30_522, batch: 32, targets: [None, None] },
    Case { name: "albert/base", vocabulary: 30_000, batch: 16, targets: [None, None] },
];
/// As many of them are measured in a hurry.
const QUICK_CASES: usize = 2;
const PRECISIONS: [&str; 2] = ["fp32", "bf16"];
/// Tokens in a sequence: what BERT and ELECTRA-small have for most of their training.
const LENGTH: u32 = 128;
/// How often each side is measured, in turns, and the steps of a measurement.
const ROUNDS: usize = 2;
const STEPS: usize = 5;
const QUICK_STEPS: usize = 3;
/// The peer.
const SCRIPT: &str = "tests/benchmarks/train_cpu.py";
/// The example of the package `trainer` that is our side.
const SPEED: [&str; 5] = ["--release", "--locked", "--package=trainer", "--example", "speed"];

/// Both sides, for everybody who measures.
struct Programs<'a> {
    root: &'a Path,
    python: PathBuf,
    threads: u32,
    steps: usize,
    rounds: usize,
}

/// Runs the benchmark.
pub fn run(root: &Path, arguments: &TrainArgs) -> Outcome<()> {
    let python = with_transformers(root)?;
    run_command(cargo(root).arg("build").args(SPEED))?;
    let (cases, rounds, steps) = match arguments.quick {
        true => (&CASES[..QUICK_CASES], 1, QUICK_STEPS),
        false => (&CASES[..], ROUNDS, STEPS),
    };
    let cases = chosen(cases, &arguments.models)?;
    let programs = Programs { root, python, threads: arguments.threads, steps, rounds };

    let before = programs.peak()?;
    let mut rows = Vec::new();
    for case in cases {
        for (precision, target) in PRECISIONS.into_iter().zip(case.targets) {
            rows.push(programs.compare(case, precision, target)?);
        }
    }
    // Others may have been at work during one of the two.
    let peaks = [before, programs.peak()?];
    let peak = json!({ "gflops": best_peaks(&peaks), "measured": peaks });
    for row in &mut rows {
        row["share_of_peak"] = json!(share_of_peak(row, &peak));
    }
    let results = json!({
        "benchmark": "train-cpu", "date": date(arguments.date.as_deref()), "machine": facts::machine(),
        "project": facts::project(root), "threads": arguments.threads, "length": LENGTH, "steps": steps,
        "rounds": rounds, "peak": peak, "rows": rows,
    });
    println!("{}", show(&results));
    match &arguments.out {
        Some(path) => write(path, &results),
        None => Ok(()),
    }
}

/// The cases that were asked for.
fn chosen<'a>(cases: &'a [Case], names: &[String]) -> Outcome<Vec<&'a Case>> {
    if let Some(unknown) = names.iter().find(|name| cases.iter().all(|case| case.name != **name)) {
        let known: Vec<&str> = cases.iter().map(|case| case.name).collect();
        return Err(Failure::BadInput(format!("{unknown} is not measured, but {} are", known.join(", "))));
    }
    Ok(cases.iter().filter(|case| names.is_empty() || names.iter().any(|name| name == case.name)).collect())
}

impl Programs<'_> {
    /// How fast a large product of matrices is.
    fn peak(&self) -> Outcome<Value> {
        let mut command = foreign(&self.python);
        command.arg(self.root.join(SCRIPT)).args(["--peak", "--threads"]).arg(self.threads.to_string());
        parsed(&mut command)
    }

    fn ours(&self, arguments: &[String]) -> Outcome<Value> {
        // Cargo knows where libtorch is.
        parsed(cargo(self.root).args(["run", "--quiet"]).args(SPEED).args(["--", "--json"]).args(arguments))
    }

    fn theirs(&self, arguments: &[String]) -> Outcome<Value> {
        let mut command = foreign(&self.python);
        parsed(command.current_dir(self.root).arg(SCRIPT).args(arguments))
    }

    /// One line of the table: both sides in turns, so that what else the machine does meets both.
    fn compare(&self, case: &Case, precision: &str, target: Option<f64>) -> Outcome<Value> {
        let arguments = case.arguments(precision, self.threads, self.steps);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 1..=self.rounds {
            eprint!("bench: {} {precision}, {round} of {}: ", case.name, self.rounds);
            ours.push(self.ours(&arguments)?);
            eprint!("ours {:.0}, ", best(&ours));
            theirs.push(self.theirs(&arguments)?);
            eprintln!("theirs {:.0} tokens/s", best(&theirs));
        }
        row(case.name, precision, target, &ours, &theirs)
    }
}

impl Case {
    /// What both programs are told.
    fn arguments(&self, precision: &str, threads: u32, steps: usize) -> Vec<String> {
        let Case { name, vocabulary, batch, .. } = self;
        vec![
            format!("configs/{name}.toml"),
            "--vocab".to_owned(),
            vocabulary.to_string(),
            "--steps".to_owned(),
            steps.to_string(),
            format!("objective.max_len={LENGTH}"),
            format!("train.batch={batch}"),
            format!("train.micro_batch={batch}"),
            format!("train.threads={threads}"),
            format!("train.precision=\"{precision}\""),
        ]
    }
}

/// The runs of both sides put together.
fn row(name: &str, precision: &str, target: Option<f64>, ours: &[Value], theirs: &[Value]) -> Outcome<Value> {
    let [mine, other] = [ours, theirs].map(|runs| runs.first().map(|run| run["parameters"].clone()));
    if mine != other || mine.is_none() {
        let shown = |count: Option<Value>| count.unwrap_or_default();
        let (mine, other) = (shown(mine), shown(other));
        return failed(format!(
            "{name}: these are two networks, of {mine} parameters here and {other} there"
        ));
    }
    let ratio = best(ours) / best(theirs);
    Ok(json!({
        "name": name, "precision": precision, "parameters": mine, "target": target,
        "tokens_per_second": { "ours": best(ours), "theirs": best(theirs) }, "ratio": ratio,
        "peak_bytes": { "ours": most_memory(ours), "theirs": most_memory(theirs) },
        "flops_per_token": theirs.first().and_then(|run| flops_per_token(&run["shape"])),
        "ours": ours, "theirs": theirs,
    }))
}

/// The best of some runs, in tokens per second.
fn best(runs: &[Value]) -> f64 {
    runs.iter().filter_map(|run| run["tokens_per_second"].as_f64()).fold(0.0, f64::max)
}

fn most_memory(runs: &[Value]) -> Option<u64> {
    runs.iter().filter_map(|run| run["peak_bytes"].as_u64()).max()
}

/// GFLOP/s of each precision, the best of all tries.
fn best_peaks(peaks: &[Value]) -> Value {
    let best = |precision: &str| {
        peaks.iter().filter_map(|peak| peak["gflops"][precision].as_f64()).fold(0.0, f64::max)
    };
    PRECISIONS.iter().map(|&precision| (precision.to_owned(), json!(best(precision)))).collect()
}

/// Floating-point operations per token of a training step that the model's definition asks for; `None` for a shape
/// that lacks something.
///
/// A weight matrix that a token is multiplied with costs one multiplication and one addition per weight, and a
/// training step has three such products: forward, the gradient of the input, the gradient of the weights. So it is
/// 6 operations per weight. A layer of width H with a feed-forward block of width F has 4 H² weights in attention
/// (query, key, value, output) and 2 H F behind it; a layer that is applied several times (ALBERT) counts as often.
/// Attention itself has products without weights: with all `length` tokens, H multiplications for the scores and H for
/// the means. With the factor 6 these are 6 · 2 · H · length = 12 · H · length per layer.
///
/// Word vectors of another width E are projected, E H. The head of masked tokens has H E + E V weights and is needed at
/// the `mask_rate` of the positions; ELECTRA's discriminator has a head of H² + H at all of them. Not counted, as they
/// are thousandths or no products: looking up vectors, norms, activations, softmax, the head of pairs, the update.
///
/// An implementation may do less: ours leaves out what nobody asks of the last layer. So the share of the peak says
/// how fast models are trained, not how busy the processor is.
fn flops_per_token(shape: &Value) -> Option<f64> {
    let (length, vocabulary) = (shape["length"].as_f64()?, shape["vocabulary"].as_f64()?);
    let mask_rate = shape["mask_rate"].as_f64()?;
    let mut flops = 0.0;
    for (index, encoder) in shape["encoders"].as_array()?.iter().enumerate() {
        let size = |name: &str| encoder[name].as_f64();
        let (layers, hidden, embedding) = (size("layers")?, size("hidden")?, size("embedding")?);
        let weights = layers * (4.0 * hidden * hidden + 2.0 * hidden * size("feed_forward")?);
        let projection = if embedding == hidden { 0.0 } else { embedding * hidden };
        // The first encoder predicts words; a second one is ELECTRA's discriminator.
        let head = match index {
            0 => mask_rate * (hidden * embedding + embedding * vocabulary),
            _ => hidden * hidden + hidden,
        };
        flops += 6.0 * (weights + projection + head) + 12.0 * layers * hidden * length;
    }
    Some(flops)
}

/// What part of a matrix product's speed our step reaches.
fn share_of_peak(row: &Value, peak: &Value) -> Option<f64> {
    let gflops = peak["gflops"][row["precision"].as_str()?].as_f64().filter(|gflops| *gflops > 0.0)?;
    let speed = row["tokens_per_second"]["ours"].as_f64()?;
    Some(speed * row["flops_per_token"].as_f64()? / (gflops * 1e9))
}

/// The table.
fn show(results: &Value) -> String {
    let machine = &results["machine"];
    let gflops = |precision: &str| results["peak"]["gflops"][precision].as_f64().unwrap_or(0.0);
    let mut text = format!(
        "\n{}, {} cores, load {}; commit {}\n{} threads, {} tokens per sequence; matrix products: {:.0} GFLOP/s in \
         fp32, {:.0} in bf16\n\n{:<14} {:<9} {:>14} {:>14} {:>8}  {:<12} {:>16} {:>8}\n",
        machine["cpu"].as_str().unwrap_or("unknown processor"),
        machine["cores"],
        machine["load"].as_str().unwrap_or("unknown"),
        results["project"]["commit"].as_str().unwrap_or("unknown"),
        results["threads"],
        results["length"],
        gflops("fp32"),
        gflops("bf16"),
        "one step",
        "precision",
        "ours, tokens/s",
        "Transformers",
        "ratio",
        "target",
        "peak of MiB",
        "of peak",
    );
    for row in results["rows"].as_array().into_iter().flatten() {
        let speed = |side: &str| row["tokens_per_second"][side].as_f64().unwrap_or(0.0);
        let memory = |side: &str| {
            row["peak_bytes"][side].as_u64().map_or("-".to_owned(), |bytes| (bytes >> 20).to_string())
        };
        let share = row["share_of_peak"].as_f64().map(|share| format!("{:.0} %", share * 100.0));
        text += &format!(
            "{:<14} {:<9} {:>14.0} {:>14.0} {:>8}  {:<12} {:>16} {:>8}\n",
            row["name"].as_str().unwrap_or_default(),
            row["precision"].as_str().unwrap_or_default(),
            speed("ours"),
            speed("theirs"),
            row["ratio"].as_f64().map_or("-".to_owned(), |ratio| format!("{ratio:.2} x")),
            verdict(row),
            format!("{} : {}", memory("ours"), memory("theirs")),
            share.unwrap_or("-".to_owned()),
        );
    }
    text
}

/// Whether a row is as fast as it is to be.
fn verdict(row: &Value) -> String {
    match (row["target"].as_f64(), row["ratio"].as_f64()) {
        (Some(target), Some(ratio)) if ratio >= target => format!("{target} reached"),
        (Some(target), _) => format!("{target} MISSED"),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(speed: f64, bytes: u64, parameters: u64) -> Value {
        json!({ "tokens_per_second": speed, "peak_bytes": bytes, "parameters": parameters,
            "shape": { "length": 2, "vocabulary": 10, "mask_rate": 0.5, "encoders": [
                { "layers": 1, "hidden": 3, "feed_forward": 5, "embedding": 3 }] } })
    }

    #[test]
    fn models_are_chosen_by_name() {
        let names = |chosen: &[&str]| {
            let chosen: Vec<String> = chosen.iter().map(|&name| name.to_owned()).collect();
            super::chosen(&CASES, &chosen).map(|cases| cases.iter().map(|case| case.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap().len(), CASES.len());
        assert_eq!(names(&["albert/base", "bert/base"]).unwrap(), ["bert/base", "albert/base"]);
        assert!(names(&["bert"]).unwrap_err().to_string().contains("bert/base, roberta/base"));
    }

    #[test]
    fn operations_are_counted() {
        // BERT-base by hand: 6 · 84 934 656 weights, attention 12 · 12 · 768 · 128, 6 · 0.15 · 24 030 720 in the head.
        let bert = json!({ "layers": 12, "hidden": 768, "feed_forward": 3072, "embedding": 768 });
        let shape =
            json!({ "length": 128, "vocabulary": 30522, "mask_rate": 0.15, "encoders": [bert.clone()] });
        let expected = 509_607_936.0 + 14_155_776.0 + 21_627_648.0;
        assert!((flops_per_token(&shape).unwrap() - expected).abs() < 1.0);
        // A projection, and a discriminator with its own head and none for words.
        let narrow = json!({ "layers": 1, "hidden": 2, "feed_forward": 3, "embedding": 5 });
        let shape = json!({ "length": 7, "vocabulary": 11, "mask_rate": 0.0, "encoders": [narrow, narrow] });
        let encoder = 6.0 * (16.0 + 12.0 + 10.0) + 12.0 * 2.0 * 7.0;
        assert_eq!(flops_per_token(&shape), Some(2.0 * encoder + 6.0 * 6.0));
        assert_eq!(flops_per_token(&json!({ "length": 7, "vocabulary": 11, "mask_rate": 0.1 })), None);
    }

    #[test]
    fn the_best_of_each_side_is_compared() {
        let ours = [measured(80.0, 3 << 20, 9), measured(100.0, 5 << 20, 9)];
        let theirs = [measured(50.0, 9 << 20, 9), measured(40.0, 8 << 20, 9)];
        let mut fast = row("bert/base", "fp32", Some(2.0), &ours, &theirs).unwrap();
        let slow = row("roberta/base", "bf16", Some(2.1), &ours, &theirs).unwrap();
        let free = row("albert/base", "bf16", None, &ours, &theirs).unwrap();
        assert_eq!(verdict(&fast), "2 reached");
        assert_eq!((verdict(&slow).as_str(), verdict(&free).as_str()), ("2.1 MISSED", ""));
        // 100 tokens a second of 6 · (4 · 9 + 2 · 15 + 0.5 · 39) + 12 · 3 · 2 operations.
        let peak = json!({ "gflops": best_peaks(&[json!({ "gflops": { "fp32": 1e-4 } }), json!({ "gflops": {} })]) });
        let share = share_of_peak(&fast, &peak).unwrap();
        assert!((share - 100.0 * 585.0 / 1e5).abs() < 1e-9, "{share}");
        assert_eq!(share_of_peak(&slow, &peak), None);
        fast["share_of_peak"] = json!(share);
        let text = show(&json!({ "machine": { "cores": 2 }, "rows": [fast, slow] }));
        assert!(text.contains("2.00 x  2 reached") && text.contains("5 : 9"), "{text}");
        assert!(text.contains("58 %") || text.contains("59 %"), "{text}");
    }

    #[test]
    fn different_networks_are_not_compared() {
        let (ours, theirs) = ([measured(1.0, 1, 9)], [measured(1.0, 1, 8)]);
        let failure = row("bert/base", "fp32", None, &ours, &theirs).unwrap_err().to_string();
        assert!(failure.contains("9 parameters here and 8 there"), "{failure}");
        assert!(row("bert/base", "fp32", None, &[], &[]).is_err());
    }

    #[test]
    fn what_is_measured_is_there() {
        let root = crate::shell::root().unwrap();
        assert!(root.join(SCRIPT).is_file() && root.join("crates/trainer/examples/speed.rs").is_file());
        for case in CASES {
            let arguments = case.arguments("bf16", 3, 4);
            assert!(root.join(&arguments[0]).is_file(), "{}", arguments[0]);
            assert!(arguments.contains(&"train.threads=3".to_owned()), "{arguments:?}");
        }
    }
}
