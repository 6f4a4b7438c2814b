//! Rows on their way from the files to the shards: kept on disk in buckets by the leading bits of their keys, so that
//! only one bucket has to be in memory to be sorted. Knows nothing of what the keys mean.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use corpus::Row;
use tempfile::TempDir;

use crate::PrepareError;

/// Leading bits of the key that choose the bucket.
pub(crate) const BUCKET_BITS: u32 = 8;
/// What a bucket keeps in memory before it writes.
const BUFFER: usize = 1 << 16;

const PREFIX: &str = ".spill-";
/// Locked as long as the process lives: what is not locked was left behind by one that was killed.
const LOCK: &str = "lock";

/// All buckets. Their folder goes away with them.
pub(crate) struct Spill {
    folder: TempDir,
    _lock: File,
    buckets: Vec<Mutex<BufWriter<File>>>,
}

impl Spill {
    /// Empty buckets in a new folder inside `parent`. What killed preparations have left there is removed.
    pub fn new(parent: &Path) -> Result<Self, PrepareError> {
        remove_stale(parent).map_err(PrepareError::io(parent))?;
        let folder =
            tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent).map_err(PrepareError::io(parent))?;
        let lock = File::create(folder.path().join(LOCK)).map_err(PrepareError::io(folder.path()))?;
        lock.lock().map_err(PrepareError::io(folder.path()))?;
        let create = |bucket: usize| {
            let path = path(&folder, bucket);
            let file = File::create(&path).map_err(PrepareError::io(&path))?;
            Ok(Mutex::new(BufWriter::with_capacity(BUFFER, file)))
        };
        let buckets = (0..1 << BUCKET_BITS).map(create).collect::<Result<_, PrepareError>>()?;
        Ok(Spill { folder, _lock: lock, buckets })
    }

    /// Keeps a row.
    pub fn push(&self, key: u128, row: &Row) -> Result<(), PrepareError> {
        let bucket = (key >> (u128::BITS - BUCKET_BITS)) as usize;
        let record = encode(key, row);
        let mut file = self.buckets[bucket].lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&record).map_err(PrepareError::io(&path(&self.folder, bucket)))
    }

    /// The rows of a bucket, sorted by key. The bucket is empty afterwards.
    pub fn take(&self, bucket: usize) -> Result<Vec<(u128, Row)>, PrepareError> {
        let path = path(&self.folder, bucket);
        let mut file = self.buckets[bucket].lock().unwrap_or_else(PoisonError::into_inner);
        file.flush().map_err(PrepareError::io(&path))?;
        let bytes = std::fs::read(&path).map_err(PrepareError::io(&path))?;
        std::fs::remove_file(&path).map_err(PrepareError::io(&path))?;
        let mut rest = bytes.as_slice();
        let mut rows = Vec::new();
        while !rest.is_empty() {
            rows.push(decode(&mut rest).ok_or_else(|| {
                let reason = "rows that were written there have changed; run the preparation again";
                PrepareError::input(path.display().to_string(), reason)
            })?);
        }
        rows.sort_by(|(one, a), (two, b)| (one, a.doc_id, a.chunk).cmp(&(two, b.doc_id, b.chunk)));
        Ok(rows)
    }
}

fn remove_stale(parent: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(parent)? {
        let path = entry?.path();
        let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if ours && File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            std::fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

fn path(folder: &TempDir, bucket: usize) -> PathBuf {
    folder.path().join(format!("bucket-{bucket:03}"))
}

fn encode(key: u128, row: &Row) -> Vec<u8> {
    let mut record = Vec::with_capacity(128 + row.text.len() + 4 * row.ids.len() + 2 * row.sent_len.len());
    record.extend(key.to_le_bytes());
    record.extend(row.doc_id);
    record.extend(row.chunk.to_le_bytes());
    record.push(row.flags);
    put(&mut record, row.source.as_bytes());
    put(&mut record, row.key.as_bytes());
    for optional in [&row.title, &row.url] {
        record.push(u8::from(optional.is_some()));
        put(&mut record, optional.as_deref().unwrap_or_default().as_bytes());
    }
    put(&mut record, row.text.as_bytes());
    record.extend((row.ids.len() as u32).to_le_bytes());
    record.extend(row.ids.iter().flat_map(|id| id.to_le_bytes()));
    record.extend((row.sent_len.len() as u32).to_le_bytes());
    record.extend(row.sent_len.iter().flat_map(|len| len.to_le_bytes()));
    record
}

fn put(record: &mut Vec<u8>, bytes: &[u8]) {
    record.extend((bytes.len() as u32).to_le_bytes());
    record.extend(bytes);
}

fn decode(rest: &mut &[u8]) -> Option<(u128, Row)> {
    let key = u128::from_le_bytes(array(rest)?);
    let doc_id = array(rest)?;
    let chunk = u32::from_le_bytes(array(rest)?);
    let [flags] = array(rest)?;
    let (source, name) = (string(rest)?, string(rest)?);
    let (title, url) = (optional(rest)?, optional(rest)?);
    let text = string(rest)?;
    let ids = list(rest, u32::from_le_bytes)?;
    let sent_len = list(rest, u16::from_le_bytes)?;
    Some((key, Row { doc_id, chunk, source, key: name, title, url, text, ids, sent_len, flags }))
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn string(rest: &mut &[u8]) -> Option<String> {
    let len = u32::from_le_bytes(array(rest)?) as usize;
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    String::from_utf8(head.to_vec()).ok()
}

fn optional(rest: &mut &[u8]) -> Option<Option<String>> {
    let [present] = array(rest)?;
    let value = string(rest)?;
    Some((present == 1).then_some(value))
}

fn list<T, const N: usize>(rest: &mut &[u8], of: fn([u8; N]) -> T) -> Option<Vec<T>> {
    let len = u32::from_le_bytes(array(rest)?) as usize;
    let (head, tail) = rest.split_at_checked(len * N)?;
    *rest = tail;
    let (items, _) = head.as_chunks::<N>();
    Some(items.iter().map(|&item| of(item)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_come_back_sorted(
            keys in prop::collection::vec(any::<u128>(), 0..20),
            text in ".{0,20}",
            title in any::<Option<String>>(),
            ids in prop::collection::vec(any::<u32>(), 0..9),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let spill = Spill::new(folder.path()).unwrap();
            let row = Row { text, title, sent_len: vec![ids.len() as u16], ids, flags: 2, ..Row::default() };
            for &key in &keys {
                spill.push(key, &row).unwrap();
            }
            let mut found = Vec::new();
            for bucket in 0..1 << BUCKET_BITS {
                found.extend(spill.take(bucket).unwrap());
            }
            let mut sorted = keys;
            sorted.sort();
            prop_assert_eq!(found.iter().map(|(key, _)| *key).collect::<Vec<_>>(), sorted);
            prop_assert!(found.iter().all(|(_, found)| *found == row));
            drop(spill);
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_was_left_behind_is_removed_and_what_is_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(".spill-left");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join(LOCK), "").unwrap();
        let used = Spill::new(folder.path()).unwrap();
        assert!(!left.exists());
        let other = Spill::new(folder.path()).unwrap();
        assert!(used.folder.path().exists() && other.folder.path().exists());
    }
}
