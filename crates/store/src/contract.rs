//! What every store must keep to, run against memory, local folders, S3 servers and Azurite; and what must hold when
//! the store fails.

mod checkpoints;
pub(crate) mod faulty;
mod retention;
mod runs;
mod services;

use bytes::Bytes;

use crate::{CheckpointManifest, Claim, Location, PartName, RunStore, Segment, StoreError, Tensor, Term};

/// Runs a check against every kind of store.
async fn everywhere(check: impl AsyncFn(RunStore)) {
    check(RunStore::at(Location::memory())).await;
    let folder = tempfile::tempdir().unwrap();
    check(RunStore::open(folder.path().to_str().unwrap()).unwrap()).await;
    let url = format!("file://{}/by%20url", folder.path().display());
    check(RunStore::open(&url).unwrap()).await;
    for service in services::all() {
        match service.place() {
            Ok(place) => check(RunStore::at(place)).await,
            Err(reason) => println!("skipped: {}: {reason}", service.name),
        }
    }
}

/// Appends lines to the ledger.
async fn append(run: &RunStore, term: Term, number: u64, text: &str) -> Result<(), StoreError> {
    run.append_ledger(&segment(term, number, text)).await
}

fn segment(term: Term, number: u64, text: &str) -> Segment {
    Segment { number, term, chain: String::new(), summary: None, text: text.to_owned() }
}

fn claim(recipe: &str) -> Claim {
    Claim {
        name: "run".into(),
        recipe_hash: recipe.into(),
        dataset_hash: "data".into(),
        tokenizer_hash: "words".into(),
        version: "1".into(),
    }
}

/// Some state: its tensors are a function of the step alone, however many parts they are cut into.
fn state(step: u64) -> Vec<Tensor> {
    let tensor = |index: usize| {
        let values = (0..index * 3).flat_map(|n| ((step * 100) as f32 + n as f32).to_le_bytes());
        Tensor {
            name: format!("layer.{index}"),
            shape: vec![index, 3],
            bytes: values.collect::<Vec<u8>>().into(),
        }
    };
    (0..5).map(tensor).collect()
}

/// Writes the parts of a state and makes the manifest that would commit them.
async fn parts(run: &RunStore, term: Term, step: u64, of: u32) -> CheckpointManifest {
    let mut parts = Vec::new();
    for index in 0..of {
        let slice: Vec<Tensor> = state(step).into_iter().skip(index as usize).step_by(of as usize).collect();
        parts.push(run.checkpoints().write_part(step, PartName { index, of }, slice, true).await.unwrap());
    }
    CheckpointManifest {
        version: CheckpointManifest::FORMAT,
        step,
        micro_batches: step * 8,
        term,
        recipe_hash: "recipe".into(),
        seed: 7,
        dataset_hash: "data".into(),
        tokenizer_hash: "words".into(),
        ledger_head: format!("head {step}"),
        segments: 0,
        state_digest: format!("state {step}"),
        loss: Some(0.1 + 0.2),
        parts,
        created_by: "1".into(),
    }
}

async fn checkpoint(run: &RunStore, term: Term, step: u64, of: u32) -> CheckpointManifest {
    let manifest = parts(run, term, step, of).await;
    run.checkpoints().commit(&manifest).await.unwrap();
    manifest
}

fn path(step: u64, name: &str) -> String {
    format!("checkpoints/step-{step:08}/{name}")
}

async fn flip(run: &RunStore, name: &str, bit: usize) {
    let mut bytes = run.location().get(name).await.unwrap().to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    run.location().put(name, bytes).await.unwrap();
}

async fn cut(run: &RunStore, name: &str, size: usize) {
    let bytes: Bytes = run.location().get(name).await.unwrap();
    run.location().put(name, bytes.slice(..size)).await.unwrap();
}
