//! Bytes that were read from other machines, kept on this one's disk by their checksums: what has another checksum is
//! something else, so that nothing here can be stale. Several processes share a folder. Knows nothing of what the bytes
//! are.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;

use crate::StoreError;

/// After so much of the limit was written, the folder is looked through again: other processes write there, too.
const LOOK_EVERY: u64 = 16;
/// Of a folder that is too full so much stays, so that not every write has to look through it.
const STAYS: (u64, u64) = (9, 10);

/// A folder with a limit. Clones share it.
#[derive(Clone, Debug)]
pub struct BlockCache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    limit: u64,
    /// Bytes written since the folder was last looked through.
    written: AtomicU64,
}

impl BlockCache {
    /// A cache of at most about `limit` bytes in `folder`, which is made if it is absent.
    ///
    /// # Errors
    /// [`StoreError::Io`] if that cannot be.
    pub fn open(folder: &Path, limit: u64) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder)
            .map_err(|error| StoreError::io(format!("{} (data.cache)", folder.display()), error))?;
        let inner = Inner { folder: folder.to_owned(), limit, written: AtomicU64::new(0) };
        let cache = BlockCache { inner: Arc::new(inner) };
        cache.inner.make_room();
        Ok(cache)
    }

    /// What is kept under a checksum. The caller compares it: disks err, too.
    pub(crate) async fn get(&self, checksum: &str) -> Option<Bytes> {
        let path = self.inner.path(checksum);
        tokio::task::spawn_blocking(move || {
            let bytes = std::fs::read(&path).ok()?;
            // What was used last is thrown away last.
            if let Ok(file) = std::fs::File::options().append(true).open(&path) {
                let _ = file.set_modified(SystemTime::now());
            }
            Some(Bytes::from(bytes))
        })
        .await
        .ok()
        .flatten()
    }

    /// Keeps bytes. A cache that cannot be written is slow, and no reason to stop.
    pub(crate) async fn put(&self, checksum: &str, bytes: Bytes) {
        let (inner, path) = (self.inner.clone(), self.inner.path(checksum));
        let written = tokio::task::spawn_blocking(move || {
            let unfinished = path.with_extension(crate::location::nonce());
            let done = std::fs::write(&unfinished, &bytes).and_then(|()| std::fs::rename(&unfinished, &path));
            if done.is_err() {
                let _ = std::fs::remove_file(&unfinished);
            }
            let size = bytes.len() as u64;
            if inner.written.fetch_add(size, Ordering::Relaxed) + size > inner.limit / LOOK_EVERY {
                inner.make_room();
            }
            done
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(folder = %self.inner.folder.display(), %error, "the cache of blocks cannot be written");
        }
    }

    /// Forgets what is kept under a checksum.
    pub(crate) fn forget(&self, checksum: &str) {
        let _ = std::fs::remove_file(self.inner.path(checksum));
    }
}

impl Inner {
    fn path(&self, checksum: &str) -> PathBuf {
        self.folder.join(format!("{checksum}.block"))
    }

    /// Throws away what was used longest ago, if there is too much. What cannot be looked at is passed over: another
    /// process may be doing the same.
    fn make_room(&self) {
        self.written.store(0, Ordering::Relaxed);
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .flatten()
            .filter(|entry| is_ours(&entry.file_name().to_string_lossy()))
            .filter_map(|entry| {
                let found = entry.metadata().ok()?;
                found
                    .is_file()
                    .then(|| (found.modified().unwrap_or(SystemTime::UNIX_EPOCH), found.len(), entry.path()))
            })
            .collect();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        if total <= self.limit {
            return;
        }
        files.sort();
        for (_, size, path) in files {
            if total <= self.limit / STAYS.1 * STAYS.0 {
                return;
            }
            let _ = std::fs::remove_file(path);
            total -= size;
        }
    }
}

/// Whether a file is one of the cache's: a checksum, and that it is a block or the name under which one was begun. Somebody
/// may have named a folder that holds other things.
fn is_ours(name: &str) -> bool {
    name.split_once('.').is_some_and(|(checksum, ending)| {
        let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let begun = || ending.len() == crate::location::nonce().len() && hexadecimal(ending);
        !checksum.is_empty() && hexadecimal(checksum) && (ending == "block" || begun())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_used_longest_ago_goes_first_and_the_limit_holds() {
        let folder = tempfile::tempdir().unwrap();
        let cache = BlockCache::open(folder.path(), 1_000).unwrap();
        let size = || -> u64 {
            std::fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().metadata().unwrap().len())
                .sum()
        };
        for block in 0..30 {
            cache.put(&format!("{block:02}"), vec![block; 100].into()).await;
            assert_eq!(cache.get("00").await.unwrap(), vec![0; 100], "it was used last");
            assert!(size() <= 1_000, "{}", size());
            // The clock of a file system may be coarse.
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(cache.get("29").await.is_some() && cache.get("05").await.is_none());
        cache.forget("29");
        assert!(cache.get("29").await.is_none());
    }

    #[tokio::test]
    async fn what_others_keep_in_the_folder_stays() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["thesis.tex", "abc.txt", "block", "0123.blocks"] {
            std::fs::write(folder.path().join(name), vec![0; 5_000]).unwrap();
        }
        let cache = BlockCache::open(folder.path(), 1_000).unwrap();
        for block in 0..30 {
            cache.put(&format!("{block:02}"), vec![block; 100].into()).await;
        }
        // Whoever was killed while it wrote one.
        std::fs::write(folder.path().join(format!("aa.{}", crate::location::nonce())), vec![0; 5_000])
            .unwrap();
        drop(BlockCache::open(folder.path(), 1_000).unwrap());
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut others: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        others.retain(|name| !name.ends_with(".block"));
        others.sort();
        assert_eq!(others, ["0123.blocks", "abc.txt", "block", "thesis.tex"]);
    }
}
