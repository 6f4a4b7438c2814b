//! Where the bytes of an input come from: a file of this machine, or an object of a store. Knows nothing of what is in
//! them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use store::{Location, StoreError, retry};
use tokio::runtime::Handle;

use crate::Progress;

/// One request to an object store: enough to outweigh its latency (Amazon advises 8 to 16 MB).
const REMOTE_PART: u64 = 8 << 20;
const LOCAL_PART: u64 = 1 << 20;

/// The place of an input.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A file of this machine.
    Local(PathBuf),
    /// An object below a location.
    Remote {
        /// The place that `name` is relative to.
        at: Location,
        /// The object.
        name: String,
        /// Where requests are carried out.
        runtime: Handle,
    },
}

/// A request that failed for reasons that are not in the data: trying later may help. Travels inside an `io::Error`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct StorageFailed(pub Arc<StoreError>);

/// What failed, if it was the storage and not the data.
pub(crate) fn storage_failed(error: &io::Error) -> Option<&StorageFailed> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

impl Origin {
    /// How to name it in a message.
    pub fn place(&self) -> String {
        match self {
            Origin::Local(path) => path.display().to_string(),
            Origin::Remote { at, name, .. } => at.place(name),
        }
    }

    /// Opens it for reading at any place; `size` is its size.
    pub fn open(&self, size: u64) -> io::Result<Opened> {
        let from = match self {
            Origin::Local(path) => From::File(File::open(path)?),
            Origin::Remote { at, name, runtime } => {
                From::Object { at: at.clone(), name: name.clone(), runtime: runtime.clone() }
            }
        };
        Ok(Opened { from: Arc::new(from), size })
    }
}

#[derive(Debug)]
enum From {
    File(File),
    Object { at: Location, name: String, runtime: Handle },
}

/// An input that can be read at any place. Clones share the file.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    from: Arc<From>,
    size: u64,
}

impl Opened {
    /// Its size.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Up to `len` bytes from `offset`; fewer only at the end.
    pub fn read_at(&self, offset: u64, len: u64) -> io::Result<Bytes> {
        let len = len.min(self.size.saturating_sub(offset));
        if len == 0 {
            return Ok(Bytes::new());
        }
        match &*self.from {
            From::File(file) => {
                let mut bytes = vec![0; len as usize];
                let mut filled = 0;
                while filled < bytes.len() {
                    match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                        Ok(0) => break,
                        Ok(count) => filled += count,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                bytes.truncate(filled);
                Ok(bytes.into())
            }
            From::Object { at, name, runtime } => runtime
                .block_on(retry(name, || at.get_range(name, offset..offset + len)))
                .map_err(|error| io::Error::other(StorageFailed(Arc::new(error)))),
        }
    }

    /// Reads on from `start`. What lies in `start..end` is told to `progress`.
    pub fn reader<'a>(&self, start: u64, end: u64, progress: &'a dyn Progress) -> Raw<'a> {
        Raw { input: self.clone(), at: start, end, part: Bytes::new(), progress }
    }
}

/// Reads an input from some place to its end.
pub(crate) struct Raw<'a> {
    input: Opened,
    at: u64,
    /// What lies behind it belongs to others, who will tell that they have read it.
    end: u64,
    part: Bytes,
    progress: &'a dyn Progress,
}

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.part.is_empty() {
            let len = match &*self.input.from {
                From::File(_) => LOCAL_PART,
                From::Object { .. } => REMOTE_PART,
            };
            self.part = self.input.read_at(self.at, len)?;
            let told = self.end.saturating_sub(self.at).min(self.part.len() as u64);
            self.progress.advance(told);
            self.at += self.part.len() as u64;
        }
        let count = buffer.len().min(self.part.len());
        buffer[..count].copy_from_slice(&self.part.split_to(count));
        Ok(count)
    }
}
