//! How a part gets to storage: hashed, sent piece by piece, and read back. Knows nothing of the other parts, nor of what
//! makes a checkpoint of them.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};

use super::part::{self, Encoded, TensorSource};
use super::{Checkpoints, PartMeta, PartName, part_path};
use crate::StoreError;
use crate::retry::retry;

/// How often a part is written that is not there afterwards as it was written.
const WRITES: u32 = 3;

impl Checkpoints {
    /// Writes one part, and reads it back if it is told to. It is no checkpoint before [`Checkpoints::commit`]. Writing
    /// the same again is no error.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the step is committed with another content of this part; [`StoreError::Invalid`] for
    /// tensors that cannot be stored, or that their source has lost; [`StoreError::Damaged`] if something else is read
    /// than was written.
    pub async fn write_part(
        &self,
        step: u64,
        part: PartName,
        tensors: impl TensorSource,
        read_back: bool,
    ) -> Result<PartMeta, StoreError> {
        let (path, tensors) = (part_path(step, &part.to_string()), Arc::new(tensors));
        let source = Arc::clone(&tensors);
        // Work off this thread does not end with this future by itself, and would hold on to the tensors.
        let waiting = Arc::new(());
        let waits = Arc::downgrade(&waiting);
        let wanted = move || waits.strong_count() > 0;
        let encoded = Arc::new(off_thread(move || part::encode(source.as_ref(), wanted)).await?);
        let meta = PartMeta {
            name: part.to_string(),
            size: encoded.size,
            checksum: encoded.checksum.clone(),
            tensors: encoded.names(),
        };
        match retry(&path, || self.read_manifest(step)).await {
            // The same bytes again are harmless, and heal a damaged part.
            Ok(committed) => {
                if committed.parts.iter().any(|other| other.name == meta.name && *other != meta) {
                    return Err(StoreError::Fenced {
                        place: self.at.place(&path),
                        reason:
                            "its checkpoint is committed, with another content; this writer is stale, or \
                                 the old checkpoint has to be set aside first"
                                .into(),
                    });
                }
            }
            Err(StoreError::NotFound { .. } | StoreError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut written = 0;
        loop {
            let file = || pieces(Arc::clone(&encoded), Arc::clone(&tensors));
            retry(&path, || self.at.put_stream(&path, meta.size, file())).await?;
            written += 1;
            let found = if read_back { self.read(step, &meta, |_| {}).await } else { Ok(()) };
            match found {
                Err(StoreError::Damaged { place, reason }) if written < WRITES => {
                    tracing::warn!(place, reason, "what was stored is not what is there; storing it again");
                }
                found => return found.map(|()| meta),
            }
        }
    }
}

/// The file, piece by piece.
fn pieces(
    encoded: Arc<Encoded>,
    tensors: Arc<impl TensorSource>,
) -> impl Stream<Item = Result<Bytes, StoreError>> + Send {
    let count = encoded.pieces.len();
    stream::iter(0..count).then(move |index| {
        let (encoded, tensors) = (Arc::clone(&encoded), Arc::clone(&tensors));
        off_thread(move || encoded.pieces[index].read(tensors.as_ref()))
    })
}

/// Hashing gigabytes, or waiting for a source, would hold up everything else on this thread.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    // No failure of storage: trying again does not help.
    let failed = |error: tokio::task::JoinError| Err(StoreError::Invalid(error.to_string()));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(failed)
}
