//! A place on some storage: a store and a prefix in it. Knows nothing of what is kept there.

use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, WriteMultipart};

use crate::StoreError;

/// Objects up to this size are written with one request.
const WHOLE_UP_TO: usize = 64 << 20;
/// Larger ones are written in requests of this size, so that 10,000 of them (the limit of S3) make 160 GiB.
const CHUNK: usize = 16 << 20;
/// Requests of one large object that are under way at a time.
const IN_FLIGHT: usize = 4;

/// A prefix on an object store. Names below it are relative, with `/` between their parts.
#[derive(Clone, Debug)]
pub struct Location {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    shown: String,
    /// The folder, if the store is one.
    folder: Option<PathBuf>,
}

impl Location {
    /// Opens a path or URL. A local folder is made if it is absent, and what is written there is on the disk
    /// (fsync) when a call that writes returns.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a URL that no store serves.
    pub fn open(place: &str) -> Result<Self, StoreError> {
        if place.contains("://") {
            let url = url::Url::parse(place)
                .map_err(|error| StoreError::Invalid(format!("{place} is not a URL: {error}")))?;
            if url.scheme() == "file" {
                let folder = url.to_file_path().map_err(|()| {
                    StoreError::Invalid(format!("{place} names no folder here; write file:///folder"))
                })?;
                return Self::open_folder(&folder, place);
            }
            // What is not UTF-8 is no option of a store, and `vars` would panic over it.
            let options = std::env::vars_os().filter_map(|(key, value)| {
                Some((key.into_string().ok()?.to_lowercase(), value.into_string().ok()?))
            });
            // Whoever writes http:// has decided against encryption.
            let plain = (url.scheme() == "http").then(|| ("allow_http".to_owned(), "true".to_owned()));
            let (store, prefix) = object_store::parse_url_opts(&url, options.chain(plain))
                .map_err(|error| StoreError::Invalid(format!("{place} cannot be opened: {error}")))?;
            return Ok(Location { store: store.into(), prefix, shown: place.to_owned(), folder: None });
        }
        Self::open_folder(FsPath::new(place), place)
    }

    fn open_folder(folder: &FsPath, shown: &str) -> Result<Self, StoreError> {
        let store = object_store::local::LocalFileSystem::new().with_fsync(true).with_automatic_cleanup(true);
        let absolute = std::path::absolute(folder).map_err(|error| StoreError::io(shown, error))?;
        std::fs::create_dir_all(&absolute).map_err(|error| StoreError::io(shown, error))?;
        let prefix = Path::from_absolute_path(&absolute)
            .map_err(|error| StoreError::Invalid(format!("{shown} cannot be a store: {error}")))?;
        Ok(Location { store: Arc::new(store), prefix, shown: shown.to_owned(), folder: Some(absolute) })
    }

    /// Whether a local path (not a URL) exists; URLs are taken to exist until something is read from them.
    pub fn may_exist(place: &str) -> bool {
        place.contains("://") || FsPath::new(place).exists()
    }

    /// A store in memory, for tests.
    pub fn memory() -> Self {
        let store = Arc::new(object_store::memory::InMemory::new());
        Location { store, prefix: Path::default(), shown: "memory:".to_owned(), folder: None }
    }

    /// Any store, for tests of what happens when it fails.
    #[cfg(test)]
    pub(crate) fn of(store: Arc<dyn ObjectStore>) -> Self {
        Location { store, prefix: Path::default(), shown: "test:".to_owned(), folder: None }
    }

    /// The place below this one.
    pub fn child(&self, name: &str) -> Self {
        let prefix = name.split('/').fold(self.prefix.clone(), |path, part| path.join(part));
        let folder = self.folder.as_ref().map(|folder| folder.join(name));
        Location { store: self.store.clone(), prefix, shown: self.place(name), folder }
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

    /// As [`Location::put`], for large objects: `chunks` follow each other, none is copied, and few requests
    /// are under way at a time. Nothing is visible before the last one is done.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn put_chunks(&self, name: &str, chunks: &[Bytes]) -> Result<(), StoreError> {
        if chunks.iter().map(Bytes::len).sum::<usize>() <= WHOLE_UP_TO {
            return self.put(name, chunks.iter().cloned().collect::<PutPayload>()).await;
        }
        let upload =
            self.store.put_multipart(&self.path(name)).await.map_err(|error| self.error(name, error))?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, CHUNK);
        for chunk in chunks {
            let mut rest = chunk.clone();
            while !rest.is_empty() {
                if let Err(error) = writer.wait_for_capacity(IN_FLIGHT).await {
                    // The first failure is the one to tell; what the store keeps of an upload is invisible.
                    writer.abort().await.ok();
                    return Err(self.error(name, error));
                }
                writer.put(rest.split_to(rest.len().min(CHUNK)));
            }
        }
        writer.finish().await.map_err(|error| self.error(name, error))?;
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

    /// As [`Location::put_new`], but finding exactly these bytes is success: a request whose answer was lost
    /// may have been carried out, and is then repeated in vain.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if there is another object.
    pub async fn put_once(&self, name: &str, bytes: impl Into<Bytes>) -> Result<(), StoreError> {
        let bytes = bytes.into();
        match self.put_new(name, bytes.clone()).await {
            Err(StoreError::Fenced { place, reason }) => match self.get(name).await {
                Ok(found) if found == bytes => Ok(()),
                Ok(_) | Err(StoreError::NotFound { .. }) => Err(StoreError::Fenced { place, reason }),
                Err(error) => Err(error),
            },
            done => done,
        }
    }

    /// The size of an object, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn size(&self, name: &str) -> Result<Option<u64>, StoreError> {
        match self.store.head(&self.path(name)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(name, error)),
        }
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

    /// The names of the objects at this place itself, sorted; what lies in folders below is passed over.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn list_here(&self) -> Result<Vec<String>, StoreError> {
        let listed = self.store.list_with_delimiter(Some(&self.prefix)).await;
        let listed = listed.map_err(|error| self.error("", error))?;
        let name = |meta: object_store::ObjectMeta| meta.location.filename().map(str::to_owned);
        let mut names: Vec<String> = listed.objects.into_iter().filter_map(name).collect();
        names.sort();
        Ok(names)
    }

    /// Removes what processes that were killed have left of objects that they were writing. Only a folder has such
    /// things in sight: `object_store` writes to `name#1` and renames it. Whoever is writing here now will fail.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove_unfinished(&self) -> Result<(), StoreError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let failed = |error| StoreError::io(self.shown.clone(), error);
        let mut folders = vec![folder.clone()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(&next).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let unfinished = name.rsplit_once('#').is_some_and(|(of, number)| {
                    let ours = [".parquet", ".json", ".html"].iter().any(|ending| of.ends_with(ending));
                    ours && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                });
                if path.is_dir() {
                    folders.push(path);
                } else if unfinished {
                    std::fs::remove_file(&path).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    /// Deletes everything at this place.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn delete_all(&self) -> Result<(), StoreError> {
        if let Some(folder) = &self.folder {
            return match std::fs::remove_dir_all(folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(StoreError::io(self.shown.clone(), error))
                }
                _ => Ok(()),
            };
        }
        for (name, _) in self.list("").await? {
            self.delete(&name).await?;
        }
        Ok(())
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
