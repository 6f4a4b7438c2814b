//! A store in memory that fails on purpose. Knows nothing of what is kept in it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// Healthy until it is told otherwise.
#[derive(Clone, Debug)]
pub struct Faulty {
    inner: Arc<InMemory>,
    /// Writes that are still carried out; then everything fails, as if the machine had died.
    until_crash: Arc<AtomicI64>,
    /// Writes that will be carried out without an answer.
    lost_answers: Arc<AtomicI64>,
    /// Parts of checkpoints cannot be read, while everything else goes on.
    parts_unreadable: Arc<AtomicBool>,
    /// Reads of parts whose bytes will break off in the middle.
    broken_off: Arc<AtomicI64>,
    /// Reads of parts and shards that will have a wrong bit.
    corrupted: Arc<AtomicI64>,
    /// Uploads in several requests that will be carried out, and then be unknown, as when the last answer was lost and the
    /// request is repeated.
    lost_uploads: Arc<AtomicI64>,
    /// The only objects that listings still show.
    listed: Arc<OnceLock<HashSet<Path>>>,
}

impl Default for Faulty {
    fn default() -> Self {
        Faulty {
            inner: Arc::default(),
            until_crash: Arc::new(AtomicI64::new(i64::MAX)),
            lost_answers: Arc::default(),
            parts_unreadable: Arc::default(),
            broken_off: Arc::default(),
            corrupted: Arc::default(),
            lost_uploads: Arc::default(),
            listed: Arc::default(),
        }
    }
}

fn failure() -> Error {
    Error::Generic { store: "faulty", source: "it fails on purpose".into() }
}

impl Faulty {
    pub fn crash_after(&self, writes: i64) {
        self.until_crash.store(writes, Ordering::SeqCst);
    }

    pub fn restart(&self) {
        self.crash_after(i64::MAX);
    }

    pub fn lose_answers(&self, writes: i64) {
        self.lost_answers.store(writes, Ordering::SeqCst);
    }

    pub fn make_parts_unreadable(&self) {
        self.parts_unreadable.store(true, Ordering::SeqCst);
    }

    pub fn break_off(&self, reads: i64) {
        self.broken_off.store(reads, Ordering::SeqCst);
    }

    pub fn corrupt(&self, reads: i64) {
        self.corrupted.store(reads, Ordering::SeqCst);
    }

    pub fn lose_uploads(&self, uploads: i64) {
        self.lost_uploads.store(uploads, Ordering::SeqCst);
    }

    /// From now on a listing shows what is there now.
    pub async fn freeze_listings(&self) {
        let now: Vec<_> = self.inner.list(None).map_ok(|meta| meta.location).try_collect().await.unwrap();
        self.listed.set(now.into_iter().collect()).unwrap();
    }

    fn alive(&self) -> Result<()> {
        if self.until_crash.load(Ordering::SeqCst) > 0 { Ok(()) } else { Err(failure()) }
    }

    fn may_write(&self) -> Result<()> {
        if self.until_crash.fetch_sub(1, Ordering::SeqCst) > 0 { Ok(()) } else { Err(failure()) }
    }

    fn answer<T>(&self, done: Result<T>) -> Result<T> {
        if self.lost_answers.fetch_sub(1, Ordering::SeqCst) > 0 { Err(failure()) } else { done }
    }
}

/// The bytes of an answer, and the answer without them.
async fn taken(mut found: GetResult) -> Result<(Bytes, GetResult)> {
    let nothing = GetResultPayload::Stream(stream::empty().boxed());
    let (range, meta) = (found.range.clone(), found.meta.clone());
    let payload = std::mem::replace(&mut found.payload, nothing);
    let bytes =
        GetResult { payload, range, meta, attributes: Default::default(), extensions: Default::default() };
    Ok((bytes.bytes().await?, found))
}

/// An answer with a wrong bit.
async fn corrupted(found: GetResult) -> Result<GetResult> {
    let (bytes, mut found) = taken(found).await?;
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    found.payload = GetResultPayload::Stream(stream::iter([Ok(bytes.into())]).boxed());
    Ok(found)
}

/// An answer whose second half is missing, with an error in its place or without a word.
async fn half(found: GetResult, error: bool) -> Result<GetResult> {
    let (bytes, mut found) = taken(found).await?;
    let first = stream::iter([Ok(bytes.slice(..bytes.len() / 2))]);
    found.payload = match error {
        true => GetResultPayload::Stream(first.chain(stream::iter([Err(failure())])).boxed()),
        false => GetResultPayload::Stream(first.boxed()),
    };
    Ok(found)
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.may_write()?;
        let done = self.inner.put_opts(path, payload, options).await;
        self.answer(done)
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.may_write()?;
        let inner = self.inner.put_multipart_opts(path, options).await?;
        Ok(Box::new(Uploading { inner, lost: self.lost_uploads.clone() }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.alive()?;
        if self.parts_unreadable.load(Ordering::SeqCst) && path.as_ref().ends_with(".safetensors") {
            return Err(failure());
        }
        let head = options.head;
        let found = self.inner.get_opts(path, options).await?;
        if path.as_ref().ends_with(".safetensors") {
            let left = self.broken_off.fetch_sub(1, Ordering::SeqCst);
            if left > 0 {
                return half(found, left % 2 == 0).await;
            }
        }
        let checked = [".safetensors", ".parquet"].iter().any(|ending| path.as_ref().ends_with(ending));
        if checked && !head && self.corrupted.fetch_sub(1, Ordering::SeqCst) > 0 {
            return corrupted(found).await;
        }
        Ok(found)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let allowed = paths.map(move |path| store.may_write().and(path)).boxed();
        let store = self.clone();
        self.inner.delete_stream(allowed).map(move |done| store.answer(done)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.alive() {
            Ok(()) => {
                let listed = self.listed.clone();
                let shown = move |meta: &ObjectMeta| {
                    listed.get().is_none_or(|listed| listed.contains(&meta.location))
                };
                let found = self.inner.list(prefix);
                found.try_filter(move |meta| std::future::ready(shown(meta))).boxed()
            }
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.alive()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.may_write()?;
        self.inner.copy_opts(from, to, options).await
    }
}

/// An upload in several requests.
#[derive(Debug)]
struct Uploading {
    inner: Box<dyn MultipartUpload>,
    lost: Arc<AtomicI64>,
}

#[async_trait]
impl MultipartUpload for Uploading {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        self.inner.put_part(part)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let done = self.inner.complete().await;
        if self.lost.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Err(Error::NotFound {
                path: "an upload".into(),
                source: "there is no such upload".into(),
            });
        }
        done
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
