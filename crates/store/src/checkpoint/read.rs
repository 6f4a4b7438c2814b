//! The bytes of a part as they come, several requests at a time. What has come and is not taken yet waits in the sockets,
//! so that whoever reads back what it has written holds little of it. Knows no tensors.

use std::ops::Range;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use xxhash_rust::xxh3::Xxh3Default;

use super::{Checkpoints, PartMeta, part, part_path};
use crate::retry::retry;
use crate::{Location, StoreError};

/// What one request asks for.
const RANGE: u64 = 4 << 20;
/// Requests under way.
const RANGES: usize = 8;
/// How often the bytes of one request may break off.
const BREAKS: u32 = 8;

impl Checkpoints {
    /// Reads a part piece by piece and then says whether it was whole.
    pub(super) async fn read(
        &self,
        step: u64,
        part: &PartMeta,
        mut take: impl FnMut(Bytes),
    ) -> Result<(), StoreError> {
        let path = part_path(step, &part.name);
        let damaged = |reason: String| StoreError::Damaged { place: self.at.place(&path), reason };
        if let Some(reason) = part.wrong_size(retry(&path, || self.at.size(&path)).await?) {
            return Err(damaged(reason));
        }
        let mut hash = Xxh3Default::new();
        let mut pieces = std::pin::pin!(self.pieces(&path, part.size));
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| match error {
                StoreError::NotFound { .. } => damaged("it is missing".into()),
                error => error,
            })?;
            hash.update(&piece);
            take(piece);
        }
        let found = part::hex(hash.digest128());
        if found != part.checksum {
            return Err(damaged(format!("its checksum is {found} instead of {}", part.checksum)));
        }
        Ok(())
    }

    /// The bytes of an object of that size, in order.
    pub(super) fn pieces(&self, path: &str, size: u64) -> impl Stream<Item = Result<Bytes, StoreError>> {
        let ranges = (0..size).step_by(RANGE as usize).map(move |start| start..size.min(start + RANGE));
        let (at, path) = (self.at.clone(), path.to_owned());
        let opened = stream::iter(ranges).map(move |range| Flow::open(at.clone(), path.clone(), range));
        let pieces = |flow| {
            stream::try_unfold(flow, async |mut flow: Flow| {
                Ok::<_, StoreError>(flow.next().await?.map(|piece| (piece, flow)))
            })
        };
        opened.buffered(RANGES).map_ok(pieces).try_flatten()
    }
}

/// The bytes of one request. If they break off, the rest is asked for again.
struct Flow {
    at: Location,
    path: String,
    /// What has not come yet.
    rest: Range<u64>,
    bytes: BoxStream<'static, Result<Bytes, StoreError>>,
    breaks: u32,
}

impl Flow {
    async fn open(at: Location, path: String, rest: Range<u64>) -> Result<Self, StoreError> {
        let bytes = retry(&path, || at.get_stream(&path, rest.clone())).await?;
        Ok(Flow { at, path, rest, bytes, breaks: 0 })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        while !self.rest.is_empty() {
            match self.bytes.next().await {
                Some(Ok(piece)) => {
                    self.rest.start += piece.len() as u64;
                    return Ok(Some(piece));
                }
                Some(Err(error)) if self.breaks == BREAKS || !matches!(error, StoreError::Io { .. }) => {
                    return Err(error);
                }
                None if self.breaks == BREAKS => {
                    let place = self.at.place(&self.path);
                    return Err(StoreError::io(place, "fewer bytes come than were promised"));
                }
                Some(Err(_)) | None => {
                    self.breaks += 1;
                    let (at, path, rest) = (&self.at, &self.path, &self.rest);
                    self.bytes = retry(path, || at.get_stream(path, rest.clone())).await?;
                }
            }
        }
        Ok(None)
    }
}
