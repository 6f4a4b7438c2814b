//! A place on some storage: a store and a prefix in it. Knows nothing of what is kept there.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutPayload, WriteMultipart};

use crate::retry::retry;
use crate::{StoreError, service};

/// Objects up to this size are written with one request, larger ones in requests of this size: 10,000 of them (the
/// limit of S3) make 160 GiB, and one of them takes less than a client waits for an answer (30 s) even at 5 MBit/s.
const CHUNK: usize = 16 << 20;
/// What is read of a file at a time.
const PIECE: usize = 256 << 10;
/// Writers at once in a probe of conditions.
const PROBES: usize = 4;
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
            let url = service::url(place)?;
            if url.scheme() == "file" {
                let folder = url.to_file_path().map_err(|()| {
                    StoreError::Invalid(format!("{place} names no folder here; write file:///folder"))
                })?;
                return Self::open_folder(&folder, place);
            }
            let (store, prefix) = service::open(&url)?;
            return Ok(Location { store, prefix, shown: place.to_owned(), folder: None });
        }
        Self::open_folder(FsPath::new(place), place)
    }

    fn open_folder(folder: &FsPath, shown: &str) -> Result<Self, StoreError> {
        let store = object_store::local::LocalFileSystem::new().with_fsync(true).with_automatic_cleanup(true);
        let absolute = std::path::absolute(folder).map_err(|error| StoreError::io(shown, error))?;
        make_folder(&absolute).map_err(|error| StoreError::io(shown, error))?;
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

    /// A prefix on any store, for tests.
    #[cfg(test)]
    pub(crate) fn of(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Location { store, prefix: Path::from(prefix), shown: "test:".to_owned(), folder: None }
    }

    /// The place below this one.
    pub fn child(&self, name: &str) -> Self {
        let prefix = name.split('/').fold(self.prefix.clone(), |path, part| path.join(part));
        let folder = self.folder.as_ref().map(|folder| folder.join(name));
        Location { store: self.store.clone(), prefix, shown: self.place(name), folder }
    }

    /// Whether it is a folder on this machine.
    pub fn is_local(&self) -> bool {
        self.folder.is_some()
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
            other => match service::unbelieved(&other) {
                Some(reason) => StoreError::io(place, reason),
                None => StoreError::io(place, other),
            },
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

    /// The bytes of a range of an object, in order, as they come.
    ///
    /// # Errors
    /// As [`Location::get`], here or on the way.
    pub async fn get_stream(
        &self,
        name: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let (at, name) = (self.clone(), name.to_owned());
        if self.is_local() {
            // `LocalFileSystem` would hand out 8 KiB at a time.
            let end = range.end;
            let pieces = range.step_by(PIECE).map(move |start| start..end.min(start + PIECE as u64));
            let read = move |piece| {
                let (at, name) = (at.clone(), name.clone());
                async move { at.get_range(&name, piece).await }
            };
            return Ok(stream::iter(pieces).then(read).boxed());
        }
        let options = GetOptions::new().with_range(Some(range));
        let found = self.store.get_opts(&self.path(&name), options).await;
        let found = found.map_err(|error| self.error(&name, error))?;
        Ok(found.into_stream().map_err(move |error| at.error(&name, error)).boxed())
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
        let size = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        self.put_stream(name, size, stream::iter(chunks.iter().cloned().map(Ok))).await
    }

    /// As [`Location::put_chunks`], for chunks that are `size` bytes in all and are there only when they are asked for.
    ///
    /// # Errors
    /// [`StoreError::Io`], and the first one of the chunks.
    pub async fn put_stream(
        &self,
        name: &str,
        size: u64,
        chunks: impl Stream<Item = Result<Bytes, StoreError>>,
    ) -> Result<(), StoreError> {
        let mut chunks = pin!(chunks);
        if size <= CHUNK as u64 {
            return self
                .put(name, chunks.try_collect::<Vec<_>>().await?.into_iter().collect::<PutPayload>())
                .await;
        }
        let mut upload = self.upload(name).await?;
        loop {
            match chunks.try_next().await {
                Ok(Some(chunk)) => upload.write(chunk).await?,
                Ok(None) => return upload.finish().await,
                Err(error) => {
                    upload.abort().await;
                    return Err(error);
                }
            }
        }
    }

    /// Begins a large object whose bytes come one after the other. Nothing is visible before it is finished.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn upload(&self, name: &str) -> Result<Upload, StoreError> {
        let upload =
            self.store.put_multipart(&self.path(name)).await.map_err(|error| self.error(name, error))?;
        let writer = WriteMultipart::new_with_chunk_size(upload, CHUNK);
        Ok(Upload { at: self.clone(), name: name.to_owned(), writer: Some(writer) })
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

    /// Whether creation on condition means here what it says: of several at once one wins, and later ones lose.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if it does not, [`StoreError::Io`] if that cannot be found out.
    pub async fn probe_conditions(&self) -> Result<(), StoreError> {
        let name = format!("probe-{}", nonce());
        // A service that fails now and then may still keep conditions.
        let attempt = async |content: String| retry(&name, || self.put_new(&name, content.clone())).await;
        let at_once = join_all((0..PROBES).map(|n| attempt(n.to_string()))).await;
        let late = attempt("late".to_owned()).await;
        let removed = retry(&name, || self.delete(&name)).await;
        let winners = at_once.iter().chain([&late]).filter(|answer| answer.is_ok()).count();
        if late.is_ok() || winners > 1 {
            return Err(StoreError::Invalid(format!(
                "{} does not keep conditions: {winners} of {} writers created the same object, so that nothing would \
                 stop a second coordinator. Keep the run on a service with conditional writes (If-None-Match), or set \
                 run.unfenced = true and see to it that there is never more than one",
                self.shown,
                PROBES + 1
            )));
        }
        // None at all: the first one's answer was lost.
        let failure = at_once.into_iter().chain([late]).filter_map(Result::err);
        failure.filter(|error| !matches!(error, StoreError::Fenced { .. })).try_for_each(Err)?;
        removed
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
                Ok(_) => Err(StoreError::Fenced { place, reason }),
                // Another request for it is under way, maybe an earlier one of our own (S3 answers with 409 meanwhile).
                Err(StoreError::NotFound { .. }) => {
                    Err(StoreError::io(place, "somebody is about to create it, and it cannot be seen yet"))
                }
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
        let mut names: Vec<(String, u64)> =
            found.iter().map(|meta| (self.relative(&meta.location), meta.size)).collect();
        names.sort();
        Ok(names)
    }

    /// The name of an object here.
    fn relative(&self, path: &Path) -> String {
        let parts: Vec<String> =
            path.parts().skip(self.prefix.parts().count()).map(|part| part.as_ref().to_owned()).collect();
        parts.join("/")
    }

    /// The names (relative to this place) of the objects below `prefix` that come after the name `after`.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn list_after(&self, prefix: &str, after: &str) -> Result<Vec<String>, StoreError> {
        let listed = self.store.list_with_offset(Some(&self.path(prefix)), &self.path(after));
        let found: Vec<_> = listed.try_collect().await.map_err(|error| self.error(prefix, error))?;
        Ok(found.iter().map(|meta| self.relative(&meta.location)).collect())
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

    /// Removes what processes that were killed have left of objects that they were writing, if nobody has written there
    /// for `idle`. Only a folder has such things in sight: `object_store` writes to `name#1` and renames it. Whoever is
    /// still writing there will fail.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove_unfinished(&self, idle: Duration) -> Result<(), StoreError> {
        const OURS: [&str; 6] = [".parquet", ".json", ".html", ".jsonl", ".toml", ".safetensors"];
        let Some(folder) = &self.folder else { return Ok(()) };
        let failed = |error| StoreError::io(self.shown.clone(), error);
        let gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        let mut folders = vec![folder.clone()];
        while let Some(next) = folders.pop() {
            let entries = match std::fs::read_dir(&next) {
                Err(error) if gone(&error) => continue,
                entries => entries.map_err(failed)?,
            };
            for entry in entries {
                let path = entry.map_err(failed)?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let unfinished = name.rsplit_once('#').is_some_and(|(of, number)| {
                    let ours = OURS.iter().any(|ending| of.ends_with(ending));
                    ours && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                });
                if path.is_dir() {
                    folders.push(path);
                } else if unfinished && is_idle(&path, idle) {
                    std::fs::remove_file(&path)
                        .or_else(|error| if gone(&error) { Ok(()) } else { Err(failed(error)) })?;
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

/// Makes a folder and those above it, so that they are still there after a power cut.
fn make_folder(folder: &FsPath) -> std::io::Result<()> {
    let missing: Vec<&FsPath> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    std::fs::create_dir_all(folder)?;
    // Elsewhere a folder cannot be opened as a file.
    if cfg!(unix) {
        for parent in missing.into_iter().filter_map(FsPath::parent) {
            std::fs::File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

/// Whether a file was last written so long ago. A file that is gone was no orphan.
fn is_idle(path: &FsPath, idle: Duration) -> bool {
    let modified = path.metadata().and_then(|found| found.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|since| since >= idle))
}

/// A large object that is being written.
#[derive(Debug)]
pub struct Upload {
    at: Location,
    name: String,
    /// None after a failure.
    writer: Option<WriteMultipart>,
}

impl Upload {
    /// Writes the next bytes; waits while enough requests are under way.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the upload is given up then.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let Some(writer) = &mut self.writer else {
                return Err(StoreError::io(self.at.place(&self.name), "the upload was given up"));
            };
            if let Err(error) = writer.wait_for_capacity(IN_FLIGHT).await {
                // The first failure is the one to tell; what the store keeps of an upload is invisible.
                if let Some(writer) = self.writer.take() {
                    writer.abort().await.ok();
                }
                return Err(self.failed(error));
            }
            writer.put(bytes.split_to(bytes.len().min(CHUNK)));
        }
        Ok(())
    }

    /// Makes the object visible.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn finish(mut self) -> Result<(), StoreError> {
        match self.writer.take() {
            Some(writer) => writer.finish().await.map(drop).map_err(|error| self.failed(error)),
            None => Err(StoreError::io(self.at.place(&self.name), "the upload was given up")),
        }
    }

    /// An upload that the store does not know of is over; if the answer was lost that said so, it may even be whole.
    fn failed(&self, error: object_store::Error) -> StoreError {
        match self.at.error(&self.name, error) {
            StoreError::NotFound { place, .. } => {
                StoreError::io(place, "the store knows nothing of its upload")
            }
            other => other,
        }
    }

    /// Leaves nothing behind, as far as the store lets us.
    pub async fn abort(mut self) {
        if let Some(writer) = self.writer.take() {
            writer.abort().await.ok();
        }
    }
}

/// A word that nobody else has.
pub(crate) fn nonce() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}
