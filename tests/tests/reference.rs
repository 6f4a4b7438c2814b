//! Networks, losses, gradients and updates against Hugging Face Transformers and PyTorch, on the same weights and batches.
//!
//! `tests/reference/<family>.py` writes what the reference makes of a few small models; here it is read and compared.
//! Knows what the scripts write, and nothing of how either side computes.

#![allow(clippy::unwrap_used)] // A test fails by panicking; helpers of tests are not known as such to the lint.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use collective::Local;
use corpus::{Specials, Vocabulary};
use families::{HostBatch, Recipe, SpanTargets};
use plan::RunPlan;
use safetensors::SafeTensors;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tch::Device;
use trainer::{Reduced, Trainer, measure};

/// Greatest difference of a mean loss, in nats.
const LOSS: f64 = 1e-5;
/// Greatest difference of a loss over a training, as a share of it.
const OVERLAY: f64 = 1e-5;
/// Greatest difference of a logit.
const LOGITS: f64 = 1e-4;
/// Greatest difference of a gradient's element, as a share of the greatest element of its tensor.
const GRADIENTS: f64 = 1e-4;
/// Greatest difference of a weight after the updates, as a share of the learning rate. Adam divides the gradient by its
/// own size, so an element whose gradient is so small that the difference allowed above moves it further than this is
/// not compared. A wrong rule shows at 0.1.
const UPDATES: f64 = 2e-2;
/// Some gradients are 0 by mathematics: a softmax does not see what the key's bias adds to all scores. What is found
/// there is rounding, at most this share of the greatest element of the whole gradient, and so is the difference. What
/// Adam makes of it is not compared.
const ROUNDING: f64 = 1e-5;

struct Case {
    facts: Value,
    tensors: Vec<u8>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What the reference makes of a family, or why it cannot be asked.
fn cases(family: &str) -> Result<Vec<Case>, String> {
    let python = root().join(".venv/bin/python");
    let probe = Command::new(&python).args(["-c", "import transformers, safetensors.torch"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        return Err("Transformers is not installed; run `cargo xtask setup --reference`".into());
    }
    let out = tempfile::tempdir().unwrap();
    let script = root().join("tests/reference").join(format!("{family}.py"));
    let run = Command::new(&python).arg(&script).arg(out.path()).output().unwrap();
    assert!(run.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&run.stderr));
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let read = |path: PathBuf| Case {
        facts: serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap(),
        tensors: std::fs::read(path.with_extension("safetensors")).unwrap(),
    };
    Ok(files.into_iter().map(read).collect())
}

fn floats(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks_exact(4).map(|word| f64::from(f32::from_le_bytes(word.try_into().unwrap()))).collect()
}

fn greatest(values: impl IntoIterator<Item = f64>) -> f64 {
    values
        .into_iter()
        .fold(0.0, |greatest, value| if value.is_nan() { value } else { greatest.max(value.abs()) })
}

fn difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    greatest(a.iter().zip(b).map(|(a, b)| a - b))
}

/// `found` is at most `bound`; a number that is none fails.
fn within(found: f64, bound: f64, what: &str) {
    assert!(found <= bound, "{what}: differs by {found:e}, more than {bound:e}");
}

fn list<T: DeserializeOwned>(value: &Value) -> Vec<T> {
    serde_json::from_value(value.clone()).unwrap()
}

impl Case {
    fn name(&self) -> String {
        format!("{}, case {}", self.facts["family"].as_str().unwrap(), self.facts["name"].as_str().unwrap())
    }

    /// A reference tensor as `f32` bytes.
    fn bytes(&self, name: &str) -> Vec<u8> {
        let file = SafeTensors::deserialize(&self.tensors).unwrap();
        file.tensor(name).unwrap_or_else(|_| panic!("the reference has no {name}")).data().to_vec()
    }

    /// The names of the reference's tensors of one kind, without the kind.
    fn names(&self, kind: &str) -> Vec<String> {
        let file = SafeTensors::deserialize(&self.tensors).unwrap();
        let prefix = format!("{kind}.");
        file.names().iter().filter_map(|name| name.strip_prefix(&prefix).map(str::to_owned)).collect()
    }

    fn plan(&self, settings: &[&str]) -> RunPlan {
        let settings: Vec<String> = settings.iter().map(|&pair| pair.to_owned()).collect();
        RunPlan::parse(&self.name(), self.facts["config"].as_str().unwrap(), &settings).unwrap()
    }

    fn recipe(&self, plan: &RunPlan) -> Arc<dyn Recipe> {
        let vocab = |key: &str| self.facts["vocab"][key].as_u64().unwrap() as u32;
        let [bos, pad, eos, unk, mask] = ["bos", "pad", "eos", "unk", "mask"].map(vocab);
        let vocabulary = Vocabulary::new(vocab("size"), Specials { bos, pad, eos, unk, mask }, |_| true);
        (families::find(&plan.model.family).unwrap().parse)(plan, &self.name(), &vocabulary).unwrap()
    }

    /// A trainer with the reference's first weights.
    fn trainer(&self, settings: &[&str]) -> Trainer {
        let plan = self.plan(settings);
        let mut trainer = Trainer::new(&plan, &[self.recipe(&plan)], Device::Cpu).unwrap();
        trainer.begin_load();
        for name in self.names("weight") {
            let bytes = self.bytes(&format!("weight.{name}"));
            trainer.load(&format!("model.{name}"), &bytes).unwrap();
            for moment in ["exp_avg", "exp_avg_sq"] {
                trainer.load(&format!("{moment}.{name}"), &vec![0; bytes.len()]).unwrap();
            }
        }
        trainer.finish_load(0).unwrap();
        trainer
    }

    fn batch(&self, index: usize) -> HostBatch {
        let batch = &self.facts["batches"][index];
        let spans = match batch.get("spans") {
            Some(spans) => SpanTargets {
                left: list(&spans["left"]),
                right: list(&spans["right"]),
                offset: list(&spans["offset"]),
                ids: list(&spans["ids"]),
            },
            None => SpanTargets::default(),
        };
        HostBatch {
            rows: batch["rows"].as_u64().unwrap() as usize,
            len: batch["len"].as_u64().unwrap() as usize,
            input_ids: list(&batch["input_ids"]),
            lengths: list(&batch["lengths"]),
            segment_ids: list(&batch["segment_ids"]),
            target_positions: list(&batch["target_positions"]),
            target_ids: list(&batch["target_ids"]),
            relations: list(&batch["relations"]),
            spans,
        }
    }

    /// The reference's gradient, as the trainer's normaliser makes it.
    fn gradient(&self, name: &str) -> Vec<f64> {
        let again = self.facts["config"].as_str().unwrap().contains("group-over-targets");
        let targets = self.batch(0).target_ids.len() as f64;
        let divisor = if again { targets } else { 1.0 };
        floats(&self.bytes(&format!("gradient.{name}"))).into_iter().map(|value| value / divisor).collect()
    }

    /// The greatest element of the whole gradient.
    fn greatest_gradient(&self) -> f64 {
        greatest(self.names("gradient").iter().flat_map(|name| self.gradient(name)))
    }

    fn check_losses(&self, reduced: &Reduced) {
        for (name, expected) in self.facts["losses"].as_object().unwrap() {
            let found = match name.as_str() {
                "total" => reduced.loss,
                term => measure(&reduced.measures, term).unwrap_or_else(|| panic!("no term {term}")),
            };
            within((found - expected.as_f64().unwrap()).abs(), LOSS, &format!("{}: {name}", self.name()));
        }
    }

    fn check_gradients(&self, trainer: &Trainer) {
        let (of_all, mut compared) = (self.greatest_gradient(), 0);
        for tensor in trainer.gradients().unwrap() {
            let Some(name) = tensor.name.strip_prefix("gradient.") else { panic!("{}", tensor.name) };
            if !self.names("gradient").iter().any(|known| known == name) {
                assert!(floats(tensor.bytes).iter().all(|&value| value == 0.0), "{name} is frozen");
                continue;
            }
            let expected = self.gradient(name);
            let (own, found) = (greatest(expected.clone()), difference(&floats(tensor.bytes), &expected));
            let what = format!("{}: gradient of {name}", self.name());
            if own > ROUNDING * of_all {
                within(found / own, GRADIENTS, &what);
            } else {
                within(found / of_all, ROUNDING, &what);
            }
            compared += 1;
        }
        assert_eq!(compared, self.names("gradient").len(), "{}", self.name());
    }

    /// Scores at the target positions of the rows that are one segment, each row alone and without padding.
    fn check_logits(&self, trainer: &Trainer) {
        let batch = self.batch(0);
        let expected = floats(&self.bytes("logits"));
        let vocabulary = expected.len() / batch.target_positions.len();
        for (row, &len) in batch.lengths.iter().enumerate() {
            let start = row * batch.len;
            let tokens = start..start + len as usize;
            if batch.segment_ids.get(tokens.clone()).is_some_and(|ids| ids.contains(&1)) {
                continue;
            }
            let predictions = trainer.model().predict(&batch.input_ids[tokens.clone()]).unwrap();
            for (target, &position) in batch.target_positions.iter().enumerate() {
                let Some(position) = (position as usize).checked_sub(start).filter(|&at| at < tokens.len())
                else {
                    continue;
                };
                let of = |scores: &[f64], at: usize| scores[at * vocabulary..(at + 1) * vocabulary].to_vec();
                let found: Vec<f64> = predictions.logits.iter().map(|&logit| f64::from(logit)).collect();
                let difference = difference(&of(&found, position), &of(&expected, target));
                within(difference, LOGITS, &format!("{}: logits of row {row}", self.name()));
            }
        }
    }

    fn step(&self, trainer: &mut Trainer, batch: usize) -> Reduced {
        trainer.begin().unwrap();
        trainer.micro_batch(0, &self.batch(batch)).unwrap();
        let reduced = trainer.reduce(&Local::new()).unwrap();
        trainer.apply().unwrap();
        reduced
    }

    fn check_updates(&self, optimizer: &str) {
        let mut trainer = self.trainer(&[&format!("optimizer.kind={optimizer}")]);
        let steps = self.facts["rule"]["steps"].as_u64().unwrap();
        (0..steps).for_each(|_| drop(self.step(&mut trainer, 0)));
        let rate = self.plan(&[]).optimizer.peak_learning_rate;
        for tensor in trainer.tensors().unwrap() {
            let Some(name) = tensor.name.strip_prefix("model.") else { continue };
            let expected = floats(&self.bytes(&format!("{optimizer}.{name}")));
            let found = floats(tensor.bytes);
            let gradient = match self.names("gradient").iter().any(|known| known == name) {
                true => self.gradient(name),
                false => vec![0.0; expected.len()],
            };
            let (own, of_all) = (greatest(gradient.iter().copied()), self.greatest_gradient());
            if own > 0.0 && own <= ROUNDING * of_all {
                continue;
            }
            let clear = |value: f64| value == 0.0 || value.abs() > own * GRADIENTS / UPDATES;
            let moved = found.iter().zip(&expected).zip(&gradient);
            let difference =
                greatest(moved.filter(|(_, gradient)| clear(**gradient)).map(|((a, b), _)| a - b));
            within(difference / rate, UPDATES, &format!("{}: {name} after {optimizer}", self.name()));
        }
    }

    /// A training of some hundred steps: every loss and every term of it.
    fn check_overlay(&self) {
        let Some(overlay) = self.facts.get("overlay") else { return };
        let mut trainer = self.trainer(&[]);
        let losses: Vec<f64> = list(&overlay["losses"]);
        assert!(losses.len() >= 300);
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..20]), mean(&losses[losses.len() - 20..]));
        assert!(last < 0.9 * first, "{}: the reference learns: {first} to {last}", self.name());
        let mut most = 0.0_f64;
        for (step, &expected) in losses.iter().enumerate() {
            let reduced = self.step(&mut trainer, step);
            let what = |term: &str| format!("{}: {term} of step {step}", self.name());
            most = most.max(((reduced.loss - expected) / expected).abs());
            within(((reduced.loss - expected) / expected).abs(), OVERLAY, &what("loss"));
            for (term, series) in overlay["terms"].as_object().unwrap() {
                let expected = series[step].as_f64().unwrap();
                let found = measure(&reduced.measures, term).unwrap();
                // A term may come close to 0; what it adds to the whole is what counts.
                let scale = expected.abs().max(0.1 * reduced.loss.abs());
                within(((found - expected) / scale).abs(), 10.0 * OVERLAY, &what(term));
            }
        }
        println!(
            "{}: {} steps, loss {first:.4} to {last:.4}, greatest relative difference {most:.1e}",
            self.name(),
            losses.len()
        );
    }
}

fn compare(family: &str) {
    let cases = match cases(family) {
        Ok(cases) => cases,
        Err(reason) => return println!("skipped: {reason}"),
    };
    assert!(cases.len() >= 5 && cases.iter().any(|case| case.facts.get("overlay").is_some()));
    for case in &cases {
        let mut trainer = case.trainer(&[]);
        case.check_logits(&trainer);
        trainer.begin().unwrap();
        trainer.micro_batch(0, &case.batch(0)).unwrap();
        let reduced = trainer.reduce(&Local::new()).unwrap();
        case.check_losses(&reduced);
        case.check_gradients(&trainer);
        for optimizer in list::<String>(&case.facts["rule"]["optimizers"]) {
            case.check_updates(&optimizer);
        }
        case.check_overlay();
    }
}

#[test]
fn bert_is_that_of_transformers() {
    compare("bert");
}

#[test]
fn albert_is_that_of_transformers() {
    compare("albert");
}

#[test]
fn roberta_is_that_of_transformers() {
    compare("roberta");
}

#[test]
fn electra_is_that_of_transformers() {
    compare("electra");
}

#[test]
fn spanbert_is_that_of_transformers() {
    compare("spanbert");
}
