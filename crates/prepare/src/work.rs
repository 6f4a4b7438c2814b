//! The work area of a preparation: a folder in the dataset's own store, where the outcome of every task is kept, so that
//! a preparation that was interrupted, or that many machines share, goes on where it was. An object is there as a whole
//! or not at all, and a task's last object says that it is done. Knows nothing of what the objects mean.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Location, StoreError, retry};
use tokio::runtime::Handle;

use crate::PrepareError;

/// Readers of data lakes pass over names that begin with an underscore.
const FOLDER: &str = "_work";

/// The work area.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    at: Location,
    runtime: Handle,
}

impl Work {
    /// The work area of the dataset at `out`.
    pub fn new(out: &Location, runtime: Handle) -> Self {
        Work { at: out.child(FOLDER), runtime }
    }

    /// How to name an object here in a message.
    pub fn place(&self, name: &str) -> String {
        self.at.place(name)
    }

    /// Where requests are carried out.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Writes an object.
    pub fn put(&self, name: &str, bytes: impl Into<Bytes>) -> Result<(), PrepareError> {
        let bytes = bytes.into();
        Ok(self.runtime.block_on(retry(name, || self.at.put_chunks(name, std::slice::from_ref(&bytes))))?)
    }

    /// Writes an object as JSON.
    pub fn put_json(&self, name: &str, value: &impl Serialize) -> Result<(), PrepareError> {
        let json = serde_json::to_vec(value).map_err(|error| self.damaged(name, error))?;
        self.put(name, json)
    }

    /// Writes an object unless there is one, and returns the one that is there then.
    pub fn put_first(&self, name: &str, bytes: Vec<u8>) -> Result<Bytes, PrepareError> {
        match self.runtime.block_on(retry(name, || self.at.put_once(name, bytes.clone()))) {
            Ok(()) => Ok(bytes.into()),
            Err(StoreError::Fenced { .. }) => self.get(name),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads an object.
    pub fn get(&self, name: &str) -> Result<Bytes, PrepareError> {
        Ok(self.runtime.block_on(retry(name, || self.at.get(name)))?)
    }

    /// Reads an object, if there is one.
    pub fn find(&self, name: &str) -> Result<Option<Bytes>, PrepareError> {
        match self.get(name) {
            Err(PrepareError::Store(StoreError::NotFound { .. })) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Reads a part of an object.
    pub fn get_range(&self, name: &str, range: std::ops::Range<u64>) -> Result<Bytes, PrepareError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        Ok(self.runtime.block_on(retry(name, || self.at.get_range(name, range.clone())))?)
    }

    /// Reads an object as JSON.
    pub fn get_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, PrepareError> {
        serde_json::from_slice(&self.get(name)?).map_err(|error| self.damaged(name, error))
    }

    /// The numbers of the tasks of a stage that are done: `<stage>/<number>.json` is there.
    pub fn done(&self, stage: &str) -> Result<BTreeSet<usize>, PrepareError> {
        let listed = self.runtime.block_on(retry(stage, || self.at.list(stage)))?;
        let number = |(name, _): (String, u64)| {
            let name = name.strip_prefix(stage)?.strip_prefix('/')?.strip_suffix(".json")?;
            name.parse().ok()
        };
        Ok(listed.into_iter().filter_map(number).collect())
    }

    /// Removes everything.
    pub fn remove(&self) -> Result<(), PrepareError> {
        Ok(self.runtime.block_on(retry(FOLDER, || self.at.delete_all()))?)
    }

    /// An object that is not what was written here: the user must begin anew.
    pub fn damaged(&self, name: &str, error: impl std::fmt::Display) -> PrepareError {
        let place = self.place(name);
        let reason = format!("what was written there has changed ({error}); remove {}", self.place(""));
        PrepareError::input(place, format!("{reason} and run the preparation again"))
    }
}
