//! A place on some storage: a store and a prefix in it. Knows nothing of what is kept there.

use std::ops::Range;
use std::path::Path as FsPath;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use crate::StoreError;

/// A prefix on an object store. Names below it are relative, with `/` between their parts.
#[derive(Clone, Debug)]
pub struct Location {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    shown: String,
}

impl Location {
    /// Opens a path or URL. A local folder is made if it is absent.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a URL that no store serves.
    pub fn open(place: &str) -> Result<Self, StoreError> {
        if place.contains("://") {
            let url = url::Url::parse(place)
                .map_err(|error| StoreError::Invalid(format!("{place} is not a URL: {error}")))?;
            let options = std::env::vars().map(|(key, value)| (key.to_lowercase(), value));
            let (store, prefix) = object_store::parse_url_opts(&url, options)
                .map_err(|error| StoreError::Invalid(format!("{place} cannot be opened: {error}")))?;
            return Ok(Location { store: store.into(), prefix, shown: place.to_owned() });
        }
        let store = object_store::local::LocalFileSystem::new();
        let absolute = std::path::absolute(place).map_err(|error| StoreError::io(place, error))?;
        std::fs::create_dir_all(&absolute).map_err(|error| StoreError::io(place, error))?;
        let prefix = Path::from_absolute_path(&absolute)
            .map_err(|error| StoreError::Invalid(format!("{place} cannot be a store: {error}")))?;
        Ok(Location { store: Arc::new(store), prefix, shown: place.to_owned() })
    }

    /// Whether a local path (not a URL) exists; URLs are taken to exist until something is read from them.
    pub fn may_exist(place: &str) -> bool {
        place.contains("://") || FsPath::new(place).exists()
    }

    /// A store in memory, for tests.
    pub fn memory() -> Self {
        let store = Arc::new(object_store::memory::InMemory::new());
        Location { store, prefix: Path::default(), shown: "memory:".to_owned() }
    }

    /// The place below this one.
    pub fn child(&self, name: &str) -> Self {
        let prefix = name.split('/').fold(self.prefix.clone(), |path, part| path.join(part));
        Location { store: self.store.clone(), prefix, shown: self.place(name) }
    }

    /// How to name an object here in a message.
    pub fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.shown.trim_end_matches('/'))
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    fn error(&self, name: &str, error: object_store::Error) -> StoreError {
        let place = self.place(name);
        match error {
            object_store::Error::NotFound { .. } => {
                StoreError::NotFound { what: "an object".into(), place, remedy: String::new() }
            }
            object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
                StoreError::Fenced { place, reason: "it exists already".into() }
            }
            other => StoreError::io(place, other),
        }
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::Io`].
    pub async fn get(&self, name: &str) -> Result<Bytes, StoreError> {
        let found = self.store.get(&self.path(name)).await.map_err(|error| self.error(name, error))?;
        found.bytes().await.map_err(|error| self.error(name, error))
    }

    /// Reads a range of bytes of an object.
    ///
    /// # Errors
    /// As [`Location::get`].
    pub async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.store.get_range(&self.path(name), range).await.map_err(|error| self.error(name, error))
    }

    /// Writes an object, replacing what was there. Readers see the old one or the new one, never a part.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn put(&self, name: &str, bytes: impl Into<PutPayload>) -> Result<(), StoreError> {
        self.store.put(&self.path(name), bytes.into()).await.map_err(|error| self.error(name, error))?;
        Ok(())
    }

    /// Writes an object on condition that there is none yet.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if there is one.
    pub async fn put_new(&self, name: &str, bytes: impl Into<PutPayload>) -> Result<(), StoreError> {
        let options = PutMode::Create.into();
        self.store
            .put_opts(&self.path(name), bytes.into(), options)
            .await
            .map_err(|error| self.error(name, error))?;
        Ok(())
    }

    /// The names of all objects below `prefix` (relative to this place), sorted, with their sizes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let root = if prefix.is_empty() { self.prefix.clone() } else { self.path(prefix) };
        let found: Vec<_> =
            self.store.list(Some(&root)).try_collect().await.map_err(|error| self.error(prefix, error))?;
        let depth = self.prefix.parts().count();
        let mut names: Vec<(String, u64)> = found
            .into_iter()
            .map(|meta| {
                let parts: Vec<String> =
                    meta.location.parts().skip(depth).map(|part| part.as_ref().to_owned()).collect();
                (parts.join("/"), meta.size)
            })
            .collect();
        names.sort();
        Ok(names)
    }

    /// Deletes an object; deleting what is not there is no error.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(name, error)),
        }
    }
}
