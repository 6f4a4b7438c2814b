//! Checkpoints of a run: parts that workers write side by side, and a manifest that makes them one
//! checkpoint. Knows nothing of what the tensors mean, nor when a checkpoint is due.
//!
//! The streams in here own what they go over: a future with a closure over borrowed items could not be
//! spawned.

mod manifest;
mod part;
mod read;
mod retention;
mod write;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use xxhash_rust::xxh3::Xxh3Default;

pub use manifest::{CheckpointManifest, PartMeta, PartName};
pub use part::{Tensor, TensorInfo, TensorSource};
pub use retention::Retention;

use crate::retry::retry;
use crate::{Location, RunStore, StoreError};

const MANIFEST: &str = "manifest.json";
/// The name of a manifest that was found to promise what is not there. No reader looks at it.
const SET_ASIDE: &str = "manifest.damaged.json";

/// Parts that are read at a time.
const PARTS: usize = 2;
/// What lies about unfinished for so long belongs to nobody.
const ORPHAN: Duration = Duration::from_secs(3_600);
/// Small requests under way at a time.
const REQUESTS: usize = 8;

/// The objects of one checkpoint's folder, with their sizes.
type Files = BTreeMap<String, u64>;

/// What was found in a checkpoint's folder.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a run has a handful of them")]
pub enum CheckpointState {
    /// The manifest and every part in its size.
    Whole(CheckpointManifest),
    /// Parts without a manifest: under way, or left behind by a crash.
    Unfinished,
    /// The manifest cannot be read, or promises what is not there. Says what.
    Damaged(String),
    /// It was found damaged and [set aside](Checkpoints::set_aside). What was there stays for a while, for whoever wants to
    /// know what happened.
    SetAside,
}

/// A checkpoint, or what is left of one.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointEntry {
    /// Updates applied.
    pub step: u64,
    /// Bytes in its folder.
    pub size: u64,
    /// Whether it can be used.
    pub state: CheckpointState,
}

/// A checkpoint that was passed over because it is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Updates applied.
    pub step: u64,
    /// What is damaged, and where.
    pub reason: String,
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "checkpoint of step {} skipped: {}", self.step, self.reason)
    }
}

/// The newest checkpoint that can be used, and the newer ones that cannot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Newest {
    /// None if no checkpoint can be used.
    pub manifest: Option<CheckpointManifest>,
    /// Newest first.
    pub skipped: Vec<Skipped>,
}

/// The checkpoints of a run.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    run: RunStore,
    at: Location,
}

impl Checkpoints {
    pub(crate) fn of(run: RunStore) -> Self {
        let at = run.location().child("checkpoints");
        Checkpoints { run, at }
    }

    /// Makes a checkpoint of parts that were written. Committing the same state again is no error; a damaged
    /// checkpoint of that step is set aside.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a part is not there in its size (write it again), [`StoreError::Fenced`] if
    /// the term is over or the step is committed with another state, [`StoreError::Invalid`] if parts are
    /// left out.
    pub async fn commit(&self, manifest: &CheckpointManifest) -> Result<(), StoreError> {
        manifest.check()?;
        let step = manifest.step;
        if let Some((part, reason)) = manifest.unfit(&self.files(step).await?) {
            return Err(StoreError::Damaged { place: self.at.place(&part_path(step, &part.name)), reason });
        }
        self.run.check_term(manifest.term).await?;
        let (path, file) = (manifest_path(step), Bytes::from(manifest.seal()));
        let put = || retry(&path, || self.at.put_once(&path, file.clone()));
        match put().await {
            Err(StoreError::Fenced { .. }) => {}
            done => return done,
        }
        match self.inspect(step, self.files(step).await?).await?.state {
            CheckpointState::Whole(found) if found.state_digest == manifest.state_digest => Ok(()),
            CheckpointState::Whole(found) => Err(StoreError::Fenced {
                place: self.at.place(&path),
                reason: format!(
                    "term {} committed another state: {} instead of {}",
                    found.term, found.state_digest, manifest.state_digest
                ),
            }),
            CheckpointState::Damaged(reason) => {
                tracing::warn!(step, reason, "a damaged checkpoint gives way to a new one");
                self.set_aside(step).await?;
                put().await
            }
            CheckpointState::Unfinished | CheckpointState::SetAside => put().await,
        }
    }

    /// All checkpoints and what is left of others, oldest first. Only sizes are looked at.
    ///
    /// # Errors
    /// [`StoreError::Io`], or [`StoreError::Invalid`] if one was written by a newer program.
    pub async fn list(&self) -> Result<Vec<CheckpointEntry>, StoreError> {
        let mut steps: BTreeMap<u64, Files> = BTreeMap::new();
        for (path, size) in retry("checkpoints", || self.at.list("")).await? {
            let Some((folder, name)) = path.split_once('/') else { continue };
            let step = folder.strip_prefix("step-").and_then(|digits| digits.parse().ok());
            if let Some(step) = step.filter(|&step| step_folder(step) == folder) {
                steps.entry(step).or_default().insert(name.to_owned(), size);
            }
        }
        let entries = stream::iter(steps).map(|(step, files)| self.inspect(step, files));
        entries.buffered(REQUESTS).try_collect().await
    }

    /// The newest checkpoint that is whole by its sizes: quick, for showing it.
    ///
    /// # Errors
    /// As [`Checkpoints::list`].
    pub async fn newest(&self) -> Result<Newest, StoreError> {
        self.find(false).await
    }

    /// The newest checkpoint whose every byte is as it was written: for resuming. Whoever resumes from it
    /// should [set aside](Checkpoints::set_aside) those that were skipped, to be able to write these steps
    /// again.
    ///
    /// # Errors
    /// As [`Checkpoints::list`]. A failing storage service is an error and no reason to take an older
    /// checkpoint.
    pub async fn newest_verified(&self) -> Result<Newest, StoreError> {
        self.find(true).await
    }

    async fn find(&self, every_byte: bool) -> Result<Newest, StoreError> {
        loop {
            if let Some(newest) = self.find_listed(every_byte).await? {
                return Ok(newest);
            }
        }
    }

    /// None if a checkpoint that was listed is gone: whoever prunes has stored a newer one.
    async fn find_listed(&self, every_byte: bool) -> Result<Option<Newest>, StoreError> {
        let mut newest = Newest::default();
        for CheckpointEntry { step, state, .. } in self.list().await?.into_iter().rev() {
            let reason = match state {
                CheckpointState::Unfinished | CheckpointState::SetAside => continue,
                CheckpointState::Damaged(reason) => reason,
                CheckpointState::Whole(manifest) => {
                    let verified = if every_byte { self.verify_twice(&manifest).await } else { Ok(()) };
                    match verified {
                        Ok(()) => {
                            newest.manifest = Some(manifest);
                            break;
                        }
                        Err(StoreError::Damaged { .. } | StoreError::NotFound { .. })
                            if self.is_gone(step).await? =>
                        {
                            return Ok(None);
                        }
                        Err(error @ StoreError::Damaged { .. }) => error.to_string(),
                        Err(error) => return Err(error),
                    }
                }
            };
            newest.skipped.push(Skipped { step, reason });
        }
        Ok(Some(newest))
    }

    /// What was damaged on its way here is whole.
    async fn verify_twice(&self, manifest: &CheckpointManifest) -> Result<(), StoreError> {
        match self.verify(manifest).await {
            Err(StoreError::Damaged { place, reason }) => {
                tracing::warn!(place, reason, "this checkpoint seems to be damaged; it is read once more");
                self.verify(manifest).await
            }
            verified => verified,
        }
    }

    async fn is_gone(&self, step: u64) -> Result<bool, StoreError> {
        match retry(&step_folder(step), || self.read_manifest(step)).await {
            Ok(_) | Err(StoreError::Damaged { .. }) => Ok(false),
            Err(StoreError::NotFound { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The checkpoint of a step.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, [`StoreError::Damaged`] if it is not whole by its sizes.
    pub async fn manifest(&self, step: u64) -> Result<CheckpointManifest, StoreError> {
        let place = self.at.place(&step_folder(step));
        match self.inspect(step, self.files(step).await?).await?.state {
            CheckpointState::Whole(manifest) => Ok(manifest),
            CheckpointState::Damaged(reason) => Err(StoreError::Damaged { place, reason }),
            CheckpointState::Unfinished | CheckpointState::SetAside => Err(StoreError::NotFound {
                what: "a checkpoint".into(),
                place,
                remedy: "`cloze checkpoints ls` shows which there are".into(),
            }),
        }
    }

    /// Reads all parts and compares their checksums.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the first part that is not as it was written.
    pub async fn verify(&self, manifest: &CheckpointManifest) -> Result<(), StoreError> {
        let step = manifest.step;
        let parts = stream::iter(manifest.parts.clone())
            .map(|part| async move { self.read(step, &part, |_| {}).await });
        parts.buffered(PARTS).try_collect().await
    }

    /// Reads one part, checked before anything in it is looked at.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it is not as it was written.
    pub async fn read_part(&self, step: u64, part: &PartMeta) -> Result<Vec<Tensor>, StoreError> {
        let mut file = Vec::with_capacity(usize::try_from(part.size).unwrap_or(0));
        self.read(step, part, |piece| file.extend_from_slice(&piece)).await?;
        part::decode(&self.at.place(&part_path(step, &part.name)), &file.into())
    }

    /// Hands every tensor to `take`, part by part: two parts at most are in memory. What was taken before an
    /// error must not be used, so [verify](Checkpoints::verify) first what replaces something good.
    ///
    /// # Errors
    /// As [`Checkpoints::read_part`], and what `take` says.
    pub async fn load_into<E: From<StoreError>>(
        &self,
        manifest: &CheckpointManifest,
        mut take: impl FnMut(Tensor) -> Result<(), E>,
    ) -> Result<(), E> {
        let step = manifest.step;
        let mut parts = stream::iter(manifest.parts.clone())
            .map(|part| async move { self.read_part(step, &part).await })
            .buffered(PARTS);
        while let Some(tensors) = parts.try_next().await? {
            tensors.into_iter().try_for_each(&mut take)?;
        }
        Ok(())
    }

    /// Takes a damaged checkpoint out of sight, so that its step can be written again. Its parts stay until
    /// they are written anew, or pruned when there are as many newer checkpoints as are kept.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn set_aside(&self, step: u64) -> Result<(), StoreError> {
        let (path, aside) = (manifest_path(step), part_path(step, SET_ASIDE));
        match retry(&path, || self.at.get(&path)).await {
            Err(StoreError::NotFound { .. }) => return Ok(()),
            found => {
                let file = found?;
                retry(&aside, || self.at.put(&aside, file.clone())).await?;
            }
        }
        retry(&path, || self.at.delete(&path)).await
    }

    /// Which steps' checkpoints, and what is left of others, are no longer needed.
    ///
    /// # Errors
    /// As [`Checkpoints::list`].
    pub async fn doomed(&self, retention: &Retention) -> Result<Vec<u64>, StoreError> {
        let entries = self.list().await?;
        let mut measures = BTreeMap::new();
        if retention.best > 0 {
            for entry in entries.iter().filter(|entry| matches!(entry.state, CheckpointState::Whole(_))) {
                let found = self.run.evaluation(entry.step).await?;
                if let Some(&value) = found.and_then(|found| found.get(&retention.best_by).copied()).as_ref()
                {
                    measures.insert(entry.step, value);
                }
            }
        }
        Ok(retention.doomed(&entries, &measures))
    }

    /// Deletes what is no longer needed and returns the steps: checkpoints that the retention does not name, and
    /// unfinished ones older than the newest whole one. Files that were begun and have not grown for an hour go, too.
    ///
    /// # Errors
    /// [`StoreError::Io`]; then some may be gone and some not, and calling it again goes on.
    pub async fn prune(&self, retention: &Retention) -> Result<Vec<u64>, StoreError> {
        let doomed = self.doomed(retention).await?;
        for &step in &doomed {
            self.remove(step).await?;
        }
        // A listing does not show what killed writers have left.
        let at = self.at.clone();
        match tokio::task::spawn_blocking(move || at.remove_unfinished(ORPHAN)).await {
            Ok(removed) => removed?,
            Err(error) => return Err(StoreError::io(self.at.place(""), error)),
        }
        Ok(doomed)
    }

    /// The manifest goes first, so that half a checkpoint never looks like one.
    async fn remove(&self, step: u64) -> Result<(), StoreError> {
        let path = manifest_path(step);
        retry(&path, || self.at.delete(&path)).await?;
        let files = self.files(step).await?;
        stream::iter(files.into_keys())
            .map(|name| async move {
                let path = part_path(step, &name);
                retry(&path, || self.at.delete(&path)).await
            })
            .buffer_unordered(REQUESTS)
            .try_collect()
            .await
    }

    /// Copies a checkpoint: parts first, each compared while it streams, then, when what arrived was read back, the manifest.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names a part that is not as it was written; [`StoreError::Io`].
    pub(crate) async fn copy_to(
        &self,
        to: &Checkpoints,
        manifest: &CheckpointManifest,
    ) -> Result<(), StoreError> {
        let step = manifest.step;
        for part in &manifest.parts {
            let path = part_path(step, &part.name);
            let mut upload = to.at.upload(&path).await?;
            let mut hash = Xxh3Default::new();
            let mut pieces = std::pin::pin!(self.pieces(&path, part.size));
            loop {
                match pieces.try_next().await {
                    Ok(Some(piece)) => {
                        hash.update(&piece);
                        upload.write(piece).await?;
                    }
                    Ok(None) => break,
                    Err(error) => {
                        upload.abort().await;
                        return Err(error);
                    }
                }
            }
            let found = part::hex(hash.digest128());
            if found != part.checksum {
                upload.abort().await;
                let reason = format!("its checksum is {found} instead of {}", part.checksum);
                return Err(StoreError::Damaged { place: self.at.place(&path), reason });
            }
            upload.finish().await?;
        }
        to.verify(manifest).await?;
        let path = manifest_path(step);
        retry(&path, || to.at.put(&path, manifest.seal())).await
    }

    async fn files(&self, step: u64) -> Result<Files, StoreError> {
        let folder = step_folder(step);
        let found = retry(&folder, || self.at.list(&folder)).await?;
        let names = found.into_iter().filter_map(|(path, size)| {
            let name = path.strip_prefix(&folder)?.strip_prefix('/')?;
            Some((name.to_owned(), size))
        });
        Ok(names.collect())
    }

    async fn inspect(&self, step: u64, files: Files) -> Result<CheckpointEntry, StoreError> {
        let state = if files.contains_key(MANIFEST) {
            match retry(&step_folder(step), || self.read_manifest(step)).await {
                Ok(manifest) => match manifest.unfit(&files) {
                    None => CheckpointState::Whole(manifest),
                    Some((_, reason)) => CheckpointState::Damaged(reason),
                },
                Err(StoreError::Damaged { reason, .. }) => {
                    CheckpointState::Damaged(format!("{MANIFEST}: {reason}"))
                }
                // Pruned since it was listed.
                Err(StoreError::NotFound { .. }) => CheckpointState::Unfinished,
                Err(error) => return Err(error),
            }
        } else if files.contains_key(SET_ASIDE) {
            CheckpointState::SetAside
        } else {
            CheckpointState::Unfinished
        };
        Ok(CheckpointEntry { step, size: files.values().sum(), state })
    }

    async fn read_manifest(&self, step: u64) -> Result<CheckpointManifest, StoreError> {
        let path = manifest_path(step);
        let file = self.at.get(&path).await?;
        CheckpointManifest::unseal(&self.at.place(&path), step, &file)
    }
}

fn step_folder(step: u64) -> String {
    format!("step-{step:08}")
}

fn manifest_path(step: u64) -> String {
    part_path(step, MANIFEST)
}

fn part_path(step: u64, name: &str) -> String {
    format!("{}/{name}", step_folder(step))
}
