//! What makes parts a checkpoint. Knows how a manifest is written, and nothing of storage.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::part::hex;
use crate::{StoreError, Term};

/// The format that this program writes and reads. In 1, the hashes of the state and of the ledger were others.
pub(super) const FORMAT: u32 = 2;
/// Stands between a manifest and its own checksum, so that the file is JSON and still says whether it is
/// whole.
const SEAL: &str = ",\n  \"checksum\": \"";

/// The number of a part and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartName {
    /// Counted from 0.
    pub index: u32,
    /// Parts in the checkpoint.
    pub of: u32,
}

impl std::fmt::Display for PartName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "part-{:04}-of-{:04}.safetensors", self.index, self.of)
    }
}

/// A part that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartMeta {
    /// Its name in the checkpoint's folder.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its checksum: xxh3, 128 bits, hexadecimal.
    pub checksum: String,
    /// The tensors in it.
    pub tensors: Vec<String>,
}

/// A checkpoint: the weights after `step` updates, and where the run stood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointManifest {
    /// The format of the checkpoint: [`CheckpointManifest::FORMAT`].
    pub version: u32,
    /// Updates applied.
    pub step: u64,
    /// The position of the run: micro-batches used of the phase that the next step belongs to.
    pub micro_batches: u64,
    /// The coordinator that commits it.
    pub term: Term,
    /// Hash of all that decides the weights.
    pub recipe_hash: String,
    /// The root of all randomness.
    #[serde(default)]
    pub seed: u64,
    /// Hash of the dataset.
    pub dataset_hash: String,
    /// Hash of the tokenizer.
    pub tokenizer_hash: String,
    /// The hash chain of the ledger at that step.
    pub ledger_head: String,
    /// The segments of the ledger that lead to it.
    #[serde(default)]
    pub segments: u64,
    /// Hash of the whole state, however it is cut into parts.
    pub state_digest: String,
    /// The loss of the last step.
    pub loss: Option<f64>,
    /// The parts, in order.
    pub parts: Vec<PartMeta>,
    /// The version of the program.
    pub created_by: String,
}

impl CheckpointManifest {
    /// The format that this program writes.
    pub const FORMAT: u32 = FORMAT;

    /// Refuses a manifest that names not all parts of one attempt, once each and in order.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let of = self.parts.len() as u32;
        let complete =
            (0..of).zip(&self.parts).all(|(index, part)| part.name == PartName { index, of }.to_string());
        if of == 0 || !complete || self.version != FORMAT {
            let names: Vec<_> = self.parts.iter().map(|part| &part.name).collect();
            return Err(StoreError::Invalid(format!(
                "a checkpoint of step {} in format {} cannot be made of the parts {names:?}",
                self.step, self.version
            )));
        }
        Ok(())
    }

    /// The first part that is not there in its size, and what is wrong with it.
    pub(super) fn unfit(&self, files: &BTreeMap<String, u64>) -> Option<(&PartMeta, String)> {
        self.parts.iter().find_map(|part| {
            let found = files.get(&part.name).copied();
            part.wrong_size(found).map(|reason| (part, reason))
        })
    }

    /// The manifest as a file.
    pub(crate) fn seal(&self) -> String {
        let body = serde_json::to_string_pretty(self).expect("strings and numbers always become JSON");
        let open = body.strip_suffix("\n}").expect("a pretty object ends so");
        format!("{open}{SEAL}{}\"\n}}\n", hex(xxh3_128(open.as_bytes())))
    }

    /// Reads what [`CheckpointManifest::seal`] wrote.
    pub(super) fn unseal(place: &str, step: u64, file: &[u8]) -> Result<Self, StoreError> {
        let damaged = |reason: String| StoreError::Damaged { place: place.to_owned(), reason };
        let text = std::str::from_utf8(file).map_err(|error| damaged(format!("it is not UTF-8: {error}")))?;
        let (open, seal) = text.rsplit_once(SEAL).ok_or_else(|| damaged("it is cut short".into()))?;
        if seal != format!("{}\"\n}}\n", hex(xxh3_128(open.as_bytes()))) {
            return Err(damaged("its own checksum does not fit".into()));
        }
        let body = format!("{open}\n}}");
        let Version { version } = serde_json::from_str(&body).map_err(|error| damaged(error.to_string()))?;
        if version != FORMAT {
            // Whole, but not for us: to skip it would be to go back to an older checkpoint without need.
            return Err(StoreError::Invalid(format!(
                "{place} has format {version}, this program reads {FORMAT}; use the cloze that wrote it (its exports \
                 can be gone on from, as model.init_from)"
            )));
        }
        let manifest: Self = serde_json::from_str(&body).map_err(|error| damaged(error.to_string()))?;
        if manifest.step != step {
            return Err(damaged(format!("it belongs to step {}", manifest.step)));
        }
        Ok(manifest)
    }
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl PartMeta {
    /// What is wrong with a size that was found, if anything.
    pub(super) fn wrong_size(&self, found: Option<u64>) -> Option<String> {
        match found {
            Some(size) if size == self.size => None,
            Some(size) => Some(format!("{} has {size} bytes instead of {}", self.name, self.size)),
            None => Some(format!("{} is missing", self.name)),
        }
    }
}
