//! Networks, gradients and updates against Hugging Face Transformers and PyTorch, on the same weights and batches.
//!
//! `tests/reference/<family>.py` writes what the reference makes of a few small models; here it is read and compared.
//! Knows what the scripts write, and nothing of how either side computes.

#![allow(clippy::unwrap_used)] // A test fails by panicking; helpers of tests are not known as such to the lint.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use collective::Local;
use corpus::{Specials, Vocabulary};
use families::{HostBatch, Recipe};
use plan::RunPlan;
use safetensors::SafeTensors;
use serde_json::Value;
use tch::Device;
use trainer::Trainer;

/// Greatest difference of a mean loss, in nats.
const LOSS: f64 = 1e-5;
/// Greatest difference of a logit.
const LOGITS: f64 = 1e-4;
/// Greatest difference of a gradient's element, as a share of the greatest element of its tensor.
const GRADIENTS: f64 = 1e-4;
/// Greatest difference of a weight after the updates, as a share of the learning rate. Adam divides the gradient by its
/// own size, so where that is as small as epsilon, the last digits of the gradient show. A wrong rule shows at 0.1.
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
fn cases(script: &str) -> Result<Vec<Case>, String> {
    let python = root().join(".venv/bin/python");
    let probe = Command::new(&python).args(["-c", "import transformers, safetensors.torch"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        return Err("Transformers is not installed; run `cargo xtask setup --reference`".into());
    }
    let out = tempfile::tempdir().unwrap();
    let script = root().join("tests/reference").join(script);
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

impl Case {
    fn name(&self) -> &str {
        self.facts["name"].as_str().unwrap()
    }

    fn number(&self, key: &str) -> usize {
        self.facts[key].as_u64().unwrap() as usize
    }

    /// A reference tensor as `f32` bytes.
    fn bytes(&self, name: &str) -> Vec<u8> {
        SafeTensors::deserialize(&self.tensors).unwrap().tensor(name).unwrap().data().to_vec()
    }

    /// The names of the reference's tensors of one kind, without the kind.
    fn names(&self, kind: &str) -> Vec<String> {
        let file = SafeTensors::deserialize(&self.tensors).unwrap();
        let prefix = format!("{kind}.");
        file.names().iter().filter_map(|name| name.strip_prefix(&prefix).map(str::to_owned)).collect()
    }

    fn plan(&self, family: &str, optimizer: &str) -> RunPlan {
        let rule = &self.facts["rule"];
        let rows = self.facts["lengths"].as_array().unwrap().len();
        let text = format!(
            r#"
            [run]
            name = "reference"
            [data]
            dataset = "none"
            [model]
            family = "{family}"
            layers = {}
            hidden = {}
            heads = {}
            feed_forward = {}
            max_positions = {}
            dropout = 0.0
            attention_dropout = 0.0
            [objective]
            max_len = {}
            [train]
            steps = 10
            batch = {rows}
            micro_batch = {rows}
            [optimizer]
            kind = "{optimizer}"
            peak_learning_rate = {}
            betas = {}
            epsilon = {}
            weight_decay = {}
            [schedule]
            kind = "constant"
            "#,
            self.facts["layers"],
            self.facts["hidden"],
            self.facts["heads"],
            self.facts["feed_forward"],
            self.facts["max_positions"],
            self.facts["max_len"],
            rule["learning_rate"],
            rule["betas"],
            rule["epsilon"].as_f64().unwrap(),
            rule["weight_decay"],
        );
        RunPlan::parse("reference.toml", &text, &[]).unwrap()
    }

    fn recipe(&self, plan: &RunPlan) -> Arc<dyn Recipe> {
        let specials = Specials { bos: 0, pad: 1, eos: 2, unk: 3, mask: 4 };
        let vocabulary = Vocabulary::new(self.number("vocab") as u32, specials, |_| true);
        (families::find(&plan.model.family).unwrap().parse)(plan, "reference.toml", &vocabulary).unwrap()
    }

    /// A trainer with the reference's first weights.
    fn trainer(&self, family: &str, optimizer: &str) -> Trainer {
        let plan = self.plan(family, optimizer);
        let mut trainer = Trainer::new(&plan, self.recipe(&plan), Device::Cpu).unwrap();
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

    fn rows(&self, key: &str) -> Vec<Vec<i64>> {
        serde_json::from_value(self.facts[key].clone()).unwrap()
    }

    fn batch(&self) -> HostBatch {
        let (ids, labels) = (self.rows("ids").concat(), self.rows("labels").concat());
        let targets = || labels.iter().enumerate().filter(|(_, label)| **label != -100);
        HostBatch {
            rows: self.rows("ids").len(),
            len: self.number("max_len"),
            input_ids: ids,
            lengths: serde_json::from_value(self.facts["lengths"].clone()).unwrap(),
            target_positions: targets().map(|(position, _)| position as i64).collect(),
            target_ids: targets().map(|(_, label)| *label).collect(),
        }
    }

    fn gradient(&self, name: &str) -> Vec<f64> {
        floats(&self.bytes(&format!("gradient.{name}")))
    }

    /// The greatest element of the whole gradient.
    fn greatest_gradient(&self) -> f64 {
        greatest(self.names("gradient").iter().flat_map(|name| self.gradient(name)))
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
        assert_eq!(compared, self.names("gradient").len());
    }

    /// Scores at the masked positions, each row alone and without padding.
    fn check_logits(&self, trainer: &Trainer) {
        let mut found = Vec::new();
        for ((ids, labels), &len) in
            self.rows("ids").iter().zip(self.rows("labels")).zip(&self.batch().lengths)
        {
            let predictions = trainer.model().predict(&ids[..len as usize]).unwrap();
            for (logits, _) in predictions
                .logits
                .chunks(predictions.vocabulary)
                .zip(&labels)
                .filter(|(_, label)| **label != -100)
            {
                found.extend(logits.iter().map(|&logit| f64::from(logit)));
            }
        }
        within(
            difference(&found, &floats(&self.bytes("logits"))),
            LOGITS,
            &format!("{}: logits", self.name()),
        );
    }

    fn check_updates(&self, family: &str, optimizer: &str) {
        let mut trainer = self.trainer(family, optimizer);
        for _ in 0..self.facts["rule"]["steps"].as_u64().unwrap() {
            trainer.begin().unwrap();
            trainer.micro_batch(0, &self.batch()).unwrap();
            trainer.reduce(&Local::new()).unwrap();
            trainer.apply().unwrap();
        }
        let rate = self.facts["rule"]["learning_rate"].as_f64().unwrap();
        for tensor in trainer.tensors().unwrap() {
            let Some(name) = tensor.name.strip_prefix("model.") else { continue };
            let trained = self.names("gradient").iter().any(|known| known == name);
            if !trained || greatest(self.gradient(name)) > ROUNDING * self.greatest_gradient() {
                let expected = floats(&self.bytes(&format!("{optimizer}.{name}")));
                let what = format!("{}: {name} after {optimizer}", self.name());
                within(difference(&floats(tensor.bytes), &expected) / rate, UPDATES, &what);
            }
        }
    }
}

#[test]
fn roberta_is_that_of_transformers() {
    let family = "roberta";
    let cases = match cases("roberta.py") {
        Ok(cases) => cases,
        Err(reason) => return println!("skipped: {reason}"),
    };
    assert!(cases.len() >= 4);
    for case in &cases {
        let mut trainer = case.trainer(family, "fairseq-adam");
        case.check_logits(&trainer);
        trainer.begin().unwrap();
        trainer.micro_batch(0, &case.batch()).unwrap();
        let reduced = trainer.reduce(&Local::new()).unwrap();
        within(
            (reduced.loss - case.facts["loss"].as_f64().unwrap()).abs(),
            LOSS,
            &format!("{}: loss", case.name()),
        );
        case.check_gradients(&trainer);
        case.check_updates(family, "fairseq-adam");
        case.check_updates(family, "adam-w");
    }
}
