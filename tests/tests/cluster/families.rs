//! Every family as a user has it: trained by two workers in two phases and evaluated on the way, exported, opened by
//! Transformers, saved by it, and opened again.

use std::process::Command;

use serde_json::Value;
use tests::{Workplace, program, python};

/// A family's own part of a run's configuration, and the kind of its tokenizer.
struct Kind {
    family: &'static str,
    tokenizer: &'static str,
    lowercase: bool,
    model: &'static str,
    objective: &'static str,
    optimizer: &'static str,
    mask: &'static str,
    /// Terms of its loss.
    terms: &'static [&'static str],
    /// Where its networks lie in an export.
    folders: &'static [&'static str],
}

const KINDS: [Kind; 5] = [
    Kind {
        family: "bert",
        tokenizer: "word-piece",
        lowercase: true,
        model: "",
        objective: "whole_words = true",
        optimizer: "bert-adam",
        mask: "[MASK]",
        terms: &["mlm", "nsp"],
        folders: &[""],
    },
    Kind {
        family: "albert",
        tokenizer: "unigram",
        lowercase: true,
        model: "embedding = 16\nshare = \"attention\"",
        objective: "",
        optimizer: "lamb",
        mask: "[MASK]",
        terms: &["mlm", "sop"],
        folders: &[""],
    },
    Kind {
        family: "roberta",
        tokenizer: "byte-level-bpe",
        lowercase: false,
        model: "",
        objective: "",
        optimizer: "fairseq-adam",
        mask: "<mask>",
        terms: &["mlm"],
        folders: &[""],
    },
    Kind {
        family: "electra",
        tokenizer: "word-piece",
        lowercase: true,
        model: "embedding = 16\ngenerator_hidden = 0.5",
        objective: "",
        optimizer: "bert-adam",
        mask: "[MASK]",
        terms: &["mlm", "rtd"],
        folders: &["", "generator"],
    },
    Kind {
        family: "spanbert",
        tokenizer: "word-piece",
        lowercase: false,
        model: "pair_embedding = 20",
        objective: "max_pair_targets = 5",
        optimizer: "fairseq-adam",
        mask: "[MASK]",
        terms: &["mlm", "sbo"],
        folders: &[""],
    },
];

impl Kind {
    /// A workplace with a dataset and a run in two phases: short samples, then long ones in a growing batch.
    fn workplace(&self) -> Workplace {
        let corpus = format!(
            "[dataset]\nout = \"dataset\"\nseed = 3\nchunk_bytes = 640\nblock_bytes = 5120\nshard_bytes = 40960\n\
             [tokenizer]\nkind = \"{}\"\nvocab_size = 300\nlowercase = {}\n\
             [[source]]\nname = \"tales\"\nformat = \"text\"\npaths = [\"corpus\"]\n",
            self.tokenizer, self.lowercase
        );
        let corpus = match self.tokenizer {
            "byte-level-bpe" => corpus.replace("lowercase = false\n", "").replace("300", "400"),
            _ => corpus,
        };
        let run = format!(
            "[run]\nname = \"run\"\nseed = 7\n[data]\ndataset = \"dataset\"\nlanes = 8\nwindow = 2\nvariants = 2\n\
             [model]\nfamily = \"{}\"\nlayers = 2\nhidden = 32\nheads = 2\nfeed_forward = 64\nmax_positions = 64\n{}\n\
             [objective]\n{}\n[train]\nbatch = 12\nmicro_batch = 4\nclip_norm = 1.0\n\
             [optimizer]\nkind = \"{}\"\npeak_learning_rate = 2e-3\nbetas = [0.9, 0.98]\nepsilon = 1e-6\n\
             weight_decay = 0.01\n[schedule]\nkind = \"linear-from-start\"\nwarmup_steps = 4\n\
             [checkpoint]\nevery = 8\n[evaluation]\ndataset = \"dataset\"\nevery = 6\nsequences = 10\n\
             [[phase]]\ntrain.steps = 8\nobjective.max_len = 32\n\
             [[phase]]\ntrain.steps = 30\ntrain.batch_warmup_steps = 4\ntrain.batch_start = 4\nobjective.max_len = 64\n",
            self.family, self.model, self.objective, self.optimizer
        );
        let place = Workplace::with_corpus();
        place.write("corpus.toml", &corpus);
        place.write("run.toml", &run);
        place.cloze(&["prepare", "corpus.toml"]).expect_success();
        place
    }

    /// Two phases with two workers, of which one dies in the second, and with gradient checkpointing in it, have the bits of
    /// one worker without; every step names its terms, and held-out samples are looked at in time and at the end, with
    /// the same numbers in both runs.
    fn trains(&self, place: &Workplace) {
        let held_out = |seen: &[Value]| -> Vec<Value> {
            let of = |update: &&Value| update["measures"].get("evaluation/loss").is_some();
            let measures = seen.iter().filter(of).map(|update| update["measures"].clone());
            let mut measures: Vec<Value> = measures.collect();
            measures.dedup();
            measures.extend(seen.iter().filter(|update| update["kind"] == "evaluation").cloned());
            measures
        };
        let mut alone = place.train("alone", 1, &[]);
        alone.finish().expect_success();
        let steps: Vec<&Value> = alone.seen.iter().filter(|update| update["kind"] == "step").collect();
        assert_eq!(steps.len(), 38, "{}", self.family);
        for step in &steps {
            for term in self.terms {
                assert!(
                    step["measures"][term].as_f64().is_some_and(f64::is_finite),
                    "{}: {step}",
                    self.family
                );
            }
        }
        let mut two = place.train("run", 2, &["--set", "phase.1.train.gradient_checkpointing=true"]);
        two.wait_for_step(9);
        let victim = two.member_processes(place)[0];
        tests::kill(victim);
        two.finish().expect_success();
        assert_eq!(place.export("run"), place.export("alone"), "{}", self.family);
        let (a, b) = (held_out(&alone.seen), held_out(&two.seen));
        assert_eq!(a.len(), 7, "{}: evaluated before steps 6, 12, …, 36, and after the last", self.family);
        let last = &a[6];
        assert!(last["step"] == 38 && last["measures"]["mlm"].is_f64(), "{}: {last}", self.family);
        let opened = two.seen.iter().filter(|update| update["kind"] == "opened").count();
        assert!(opened >= 2, "{}: a worker died, and no generation was opened after it", self.family);
        assert_eq!(a, b, "{}", self.family);
    }

    fn logits(&self, directory: &std::path::Path, text: &str) -> Vec<u8> {
        let ours = Command::new(program("cloze-engine"))
            .args(["fill-mask", "--logits"])
            .arg(directory)
            .arg(text)
            .env("LD_LIBRARY_PATH", concat!(env!("CARGO_MANIFEST_DIR"), "/../.venv/libtorch/lib"))
            .output()
            .expect("the engine can be started");
        assert!(ours.status.success(), "{}: {}", self.family, String::from_utf8_lossy(&ours.stderr));
        ours.stdout
    }

    /// Transformers opens each network of the export, computes the same, and saves what we open again with the same bits.
    fn goes_round(&self, place: &Workplace, python: &std::path::Path) {
        let text = format!("in spring, the baker made {} by the river.", self.mask);
        let ours = self.logits(&place.path("hf-run"), &text);
        place.write("ours.json", &String::from_utf8_lossy(&ours));
        for folder in self.folders {
            let found = self.opened(place, python, folder, &text);
            assert_eq!(found["ids"], true, "{}: the tokenizers disagree: {found}", self.family);
            assert!(found["max_difference"].as_f64().is_some_and(|most| most <= 1e-4), "{found}");
            assert_eq!(found["changed"], Value::Array(vec![]), "{}: {found}", self.family);
            let guesses = found["filled"].as_array().map(Vec::len);
            let detects = self.folders.len() > 1 && folder.is_empty();
            assert_eq!(guesses, Some(if detects { 0 } else { 5 }), "{}: {found}", self.family);
        }
        // Transformers keeps what only we know.
        for own in ["cloze_generator_hidden", "cloze_share", "cloze_family", "cloze_pair_embedding"] {
            let config = std::fs::read_to_string(place.path("again/config.json")).expect("a file");
            let before = std::fs::read_to_string(place.path("hf-run/config.json")).expect("a file");
            assert_eq!(config.contains(own), before.contains(own), "{}: {own}", self.family);
        }
        assert!(self.logits(&place.path("again"), &text) == ours, "{}: other bits", self.family);
    }

    fn opened(&self, place: &Workplace, python: &std::path::Path, folder: &str, text: &str) -> Value {
        let theirs = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/reference/open_export.py"))
            .arg(place.path("hf-run").join(folder))
            .arg(place.path("ours.json"))
            .arg(text)
            .arg(place.path("again").join(folder))
            .output()
            .expect("python can be started");
        let out = String::from_utf8_lossy(&theirs.stdout);
        assert!(theirs.status.success(), "{}: {out}{}", self.family, String::from_utf8_lossy(&theirs.stderr));
        serde_json::from_str(out.lines().last().expect("a line")).expect("JSON")
    }

    /// A run and its export can be measured on held-out samples; a run can go on from the export.
    fn is_measured(&self, place: &Workplace) {
        let measure = |what: &str| -> Value {
            let done = place.cloze(&["evaluate", what, "--data", "dataset", "--sequences", "12", "--json"]);
            serde_json::from_str(&done.expect_success().out).expect("JSON")
        };
        let of_run = measure("runs/run");
        assert_eq!(of_run["step"], 38, "{}", self.family);
        assert_eq!(measure("runs/run"), of_run, "{}: the same masks each time", self.family);
        // An export has the family's own objective, a run its own: other samples, so only that there are numbers.
        let of_export = measure("hf-run");
        assert!(of_export["perplexity"].as_f64().is_some_and(f64::is_finite), "{}", self.family);
        place
            .cloze(&["train", "run.toml", "--set", "run.name=no", "--set", "model.init_from=nowhere"])
            .expect_failure(2, &["model.init_from = \"nowhere\"", "cloze export"]);
        let other = ["model.init_from=hf-run", "model.feed_forward=48", "run.name=no"];
        let other: Vec<&str> = other.iter().flat_map(|pair| ["--set", pair]).collect();
        place
            .cloze(&[&["train", "run.toml"], &other[..]].concat())
            .expect_failure(2, &["model.init_from = \"hf-run\"", "has the shape"]);

        let more = ["--set", "model.init_from=hf-run", "--set", "phase.0.train.steps=1"];
        let mut on = place.train("on", 1, &more);
        on.finish().expect_success();
        let first = on.seen.iter().find(|update| update["kind"] == "step").expect("a step");
        let mut fresh = place.train("fresh", 1, &more[2..]);
        fresh.finish().expect_success();
        let fresh = fresh.seen.iter().find(|update| update["kind"] == "step").expect("a step");
        let mlm = |step: &Value| step["measures"]["mlm"].as_f64().expect("a number");
        assert!(mlm(first) < mlm(fresh), "{}: {first} {fresh}", self.family);
    }
}

fn check(kind: &Kind) {
    let place = kind.workplace();
    kind.trains(&place);
    kind.is_measured(&place);
    let seen = place.cloze(&["inspect", "dataset", "--config", "run.toml", "--samples", "2", "--json"]);
    let seen: Value = serde_json::from_str(&seen.expect_success().out).expect("JSON");
    let tokens = seen["samples"][0]["tokens"].as_array().expect("tokens");
    assert!(tokens.iter().any(|token| token["target"].is_string()), "{}: {seen}", kind.family);
    match python(&["transformers", "torch", "safetensors"]) {
        Some(python) => kind.goes_round(&place, &python),
        None => println!("skipped in part: Transformers is not installed"),
    }
}

#[test]
fn bert_from_text_to_transformers_and_back() {
    check(&KINDS[0]);
}

#[test]
fn albert_from_text_to_transformers_and_back() {
    check(&KINDS[1]);
}

#[test]
fn roberta_from_text_to_transformers_and_back() {
    check(&KINDS[2]);
}

#[test]
fn electra_from_text_to_transformers_and_back() {
    check(&KINDS[3]);
}

#[test]
fn spanbert_from_text_to_transformers_and_back() {
    check(&KINDS[4]);
}
