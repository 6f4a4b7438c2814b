//! One Parquet file of a dataset: reads parts of it with one request each, checks them, and decodes them. Knows
//! nothing of the other files.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use corpus::{CorpusError, DocRow, SentenceLens};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::reader::{ChunkReader, Length};
use tokio::sync::OnceCell;

use super::hex;
use super::manifest::{File, Span};
use crate::retry::retry;
use crate::{BlockCache, Location, StoreError};

/// A file of texts or of tokens, as the manifest describes it.
#[derive(Debug)]
pub struct ShardFile {
    at: Location,
    file: File,
    elsewhere: Elsewhere,
    footer: OnceCell<ArrowReaderMetadata>,
}

impl ShardFile {
    /// The file `file` of a dataset at `at`. Nothing is read yet.
    pub fn new(at: Location, file: File) -> Self {
        ShardFile { at, file, elsewhere: Elsewhere::default(), footer: OnceCell::new() }
    }

    /// The same file, read with the help of other places.
    pub(super) fn with(&self, elsewhere: Elsewhere) -> Self {
        ShardFile { at: self.at.clone(), file: self.file.clone(), elsewhere, footer: OnceCell::new() }
    }

    /// How many blocks it has.
    pub fn blocks(&self) -> usize {
        self.file.blocks.len()
    }

    /// The rows of a block of texts.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the file and the row group; [`StoreError::NotFound`], [`StoreError::Io`].
    pub async fn doc_rows(&self, group: usize) -> Result<Vec<DocRow>, StoreError> {
        let part = self.read(&self.file.blocks[group].span, || row_group(group)).await?;
        let rows = self.decoded(group, &[], part, |batches| {
            batches.iter().map(corpus::doc_rows).collect::<Result<Vec<_>, _>>()
        });
        Ok(rows.await?.into_iter().flatten().collect())
    }

    /// A block of tokens.
    ///
    /// # Errors
    /// As [`ShardFile::doc_rows`].
    pub(super) async fn block(&self, group: usize, vocab_size: u32) -> Result<corpus::Block, StoreError> {
        let part = self.read(&self.file.blocks[group].span, || row_group(group)).await?;
        self.decoded(group, &[], part, move |batches| corpus::Block::from_batches(batches, vocab_size)).await
    }

    /// The lengths of the sentences of a block of tokens: a hundredth of it.
    ///
    /// # Errors
    /// As [`ShardFile::doc_rows`].
    pub(super) async fn sentence_lens(&self, group: usize) -> Result<SentenceLens, StoreError> {
        let entry = &self.file.blocks[group];
        let part = self.read(entry.head.as_ref().unwrap_or(&entry.span), || row_group(group)).await?;
        self.decoded(group, &["doc_id", "source", "sent_len"], part, corpus::sentence_lens).await
    }

    /// Reads some bytes and checks them. Returns where they begin, too.
    async fn read(&self, span: &Span, what: impl Fn() -> String) -> Result<(u64, Bytes), StoreError> {
        let cache = self.elsewhere.cache.as_ref();
        if let Some(cache) = cache
            && let Some(bytes) = cache.get(&span.xxh3).await
        {
            match hex(&bytes) == span.xxh3 {
                true => return Ok((span.offset, bytes)),
                false => cache.forget(&span.xxh3),
            }
        }
        let (offset, bytes) = self.read_anywhere(span, what).await?;
        if let Some(cache) = cache {
            cache.put(&span.xxh3, bytes.clone()).await;
        }
        Ok((offset, bytes))
    }

    async fn read_anywhere(
        &self,
        span: &Span,
        what: impl Fn() -> String,
    ) -> Result<(u64, Bytes), StoreError> {
        let first = match self.read_from(&self.at, span, &what).await {
            // Memory and networks err, too: what lies there may be whole.
            Err(StoreError::Damaged { place, reason }) => {
                tracing::warn!(place, reason, "reading it again");
                self.read_from(&self.at, span, &what).await
            }
            other => other,
        };
        let Err(error) = first else { return first };
        for replica in &self.elsewhere.replicas {
            match self.read_from(replica, span, &what).await {
                Ok(found) => {
                    tracing::warn!(%error, replica = replica.place(""), "read from a replica instead");
                    return Ok(found);
                }
                Err(of_replica) => tracing::warn!(error = %of_replica, "a replica does not help"),
            }
        }
        Err(error)
    }

    async fn read_from(
        &self,
        at: &Location,
        span: &Span,
        what: impl Fn() -> String,
    ) -> Result<(u64, Bytes), StoreError> {
        let file = &self.file;
        let place = || format!("{} ({})", at.place(&file.path), what());
        let range = span.offset..span.offset + span.len;
        let read = retry(&file.path, || at.get_range(&file.path, range.clone())).await;
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error @ StoreError::Io { .. }) => {
                // Stores word a range behind the end in many ways; the size tells whether it is that.
                return Err(match at.size(&file.path).await {
                    Ok(Some(size)) if size < file.size => {
                        let reason = format!("it has {size} bytes, its manifest says {}", file.size);
                        StoreError::Damaged { place: place(), reason }
                    }
                    _ => error,
                });
            }
            Err(error) => return Err(missing_part(error)),
        };
        if bytes.len() as u64 != span.len {
            let reason = format!("{} bytes were read, its manifest says {}", bytes.len(), span.len);
            return Err(StoreError::Damaged { place: place(), reason });
        }
        checked(&bytes, &span.xxh3, place)?;
        Ok((span.offset, bytes))
    }

    async fn footer(&self) -> Result<ArrowReaderMetadata, StoreError> {
        let read = async || {
            let (_, bytes) = self.read(&self.file.footer, || "footer".to_owned()).await?;
            // The last eight bytes are its length and a magic word.
            let parsed = ParquetMetaDataReader::decode_metadata(&bytes[..bytes.len().saturating_sub(8)]);
            parsed
                .and_then(|metadata| {
                    ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())
                })
                .map_err(|error| StoreError::Damaged {
                    place: format!("{} (footer)", self.at.place(&self.file.path)),
                    reason: error.to_string(),
                })
        };
        self.footer.get_or_try_init(read).await.cloned()
    }

    /// Decodes on a thread where that does not keep others waiting, and holds the result against the manifest.
    /// `columns`: those that are wanted; none means all.
    async fn decoded<T: Send + 'static>(
        &self,
        group: usize,
        columns: &'static [&'static str],
        (offset, bytes): (u64, Bytes),
        build: impl FnOnce(&[arrow::array::RecordBatch]) -> Result<T, CorpusError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = format!("{} ({})", self.at.place(&self.file.path), row_group(group));
        let metadata = self.footer().await?;
        let part = Part { offset, bytes, size: self.file.size };
        let rows = self.file.blocks[group].rows;
        let work = move || {
            let damaged = |reason: String| StoreError::Damaged { place: place.clone(), reason };
            let batches =
                batches(metadata, group, columns, part).map_err(|error| damaged(error.to_string()))?;
            let found: usize = batches.iter().map(|batch| batch.num_rows()).sum();
            if found as u64 != rows {
                return Err(damaged(format!("it has {found} rows, the manifest says {rows}")));
            }
            build(&batches).map_err(|error| damaged(error.to_string()))
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| StoreError::io(self.at.place(&self.file.path), error))?
    }
}

/// Other places with the same bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Elsewhere {
    /// The same dataset, asked for what the first place does not have whole.
    pub replicas: Vec<Location>,
    /// Bytes that were read before.
    pub cache: Option<BlockCache>,
}

/// A part that the manifest lists and storage does not have.
pub(super) fn missing_part(error: StoreError) -> StoreError {
    match error {
        StoreError::NotFound { place, .. } => StoreError::NotFound {
            what: "a part of the dataset".into(),
            place,
            remedy: "its manifest lists it: copy it there, or prepare the dataset again".into(),
        },
        other => other,
    }
}

fn row_group(group: usize) -> String {
    format!("row group {group}")
}

pub(super) fn checked(
    bytes: &[u8],
    expected: &str,
    place: impl FnOnce() -> String,
) -> Result<(), StoreError> {
    let found = hex(bytes);
    if found == expected {
        return Ok(());
    }
    let reason = format!("its checksum is {found}, its manifest says {expected}");
    Err(StoreError::Damaged { place: place(), reason })
}

fn batches(
    metadata: ArrowReaderMetadata,
    group: usize,
    columns: &[&str],
    part: Part,
) -> Result<Vec<arrow::array::RecordBatch>, ParquetError> {
    let schema = metadata.metadata().file_metadata().schema_descr_ptr();
    let mask = match columns {
        [] => ProjectionMask::all(),
        some => ProjectionMask::columns(&schema, some.iter().copied()),
    };
    ParquetRecordBatchReaderBuilder::new_with_metadata(part, metadata)
        .with_row_groups(vec![group])
        .with_projection(mask)
        .build()?
        .collect::<Result<Vec<_>, _>>()
        .map_err(ParquetError::from)
}

/// Some bytes of a file, in the place of all of it.
struct Part {
    offset: u64,
    bytes: Bytes,
    size: u64,
}

impl Part {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let outside = || ParquetError::General(format!("byte {start} was not read"));
        let at = start.checked_sub(self.offset).ok_or_else(outside)? as usize;
        if at > self.bytes.len() {
            return Err(outside());
        }
        Ok(self.bytes.slice(at..))
    }
}

impl Length for Part {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Part {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::General(format!("{length} bytes from {start} were not read")));
        }
        Ok(bytes.slice(..length))
    }
}
