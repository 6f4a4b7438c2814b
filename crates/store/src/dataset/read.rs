//! Reading a dataset: one request per block, checked before it is decoded. Knows nothing of who asks.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use corpus::{CorpusError, DocText, SentenceLens, Tokenizer, Vocabulary};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::reader::{ChunkReader, Length};
use tokio::sync::OnceCell;

use super::manifest::{Block, File, Manifest, Span};
use super::{MANIFEST, hex};
use crate::retry::retry;
use crate::{Location, StoreError};

/// A prepared dataset. Clones share what was read of it.
#[derive(Clone, Debug)]
pub struct Dataset {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    at: Location,
    manifest: Manifest,
    /// Shard and row group of every block.
    blocks: Vec<(usize, usize)>,
    tokens: Vec<OnceCell<ArrowReaderMetadata>>,
    docs: Vec<OnceCell<ArrowReaderMetadata>>,
}

impl Dataset {
    /// Opens a dataset at a path or URL.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, [`StoreError::Damaged`] if its manifest is.
    pub async fn open(place: &str) -> Result<Self, StoreError> {
        if !Location::may_exist(place) {
            return Err(missing(place.to_owned()));
        }
        Self::open_at(Location::open(place)?).await
    }

    /// Opens a dataset at a location.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub async fn open_at(at: Location) -> Result<Self, StoreError> {
        let bytes = match retry(MANIFEST, || at.get(MANIFEST)).await {
            Err(StoreError::NotFound { place, .. }) => return Err(missing(place)),
            other => other?,
        };
        let manifest = Manifest::parse(&at.place(MANIFEST), &bytes)?;
        let blocks = manifest.shards.iter().enumerate();
        let blocks = blocks
            .flat_map(|(shard, file)| (0..file.blocks.len()).map(move |group| (shard, group)))
            .collect();
        let cells = |files: &[File]| files.iter().map(|_| OnceCell::new()).collect();
        let (tokens, docs) = (cells(&manifest.shards), cells(&manifest.docs));
        Ok(Dataset { inner: Arc::new(Inner { at, manifest, blocks, tokens, docs }) })
    }

    /// The table of contents.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// The identity of the dataset.
    pub fn hash(&self) -> String {
        self.manifest().hash.clone()
    }

    /// The identity of its tokenizer.
    pub fn tokenizer_hash(&self) -> String {
        self.manifest().tokenizer.hash.clone()
    }

    /// What the families need to know of its vocabulary.
    pub fn vocabulary(&self) -> Vocabulary {
        self.manifest().tokenizer.vocabulary.clone()
    }

    /// How many tokens it has.
    pub fn tokens(&self) -> u64 {
        self.manifest().totals.tokens
    }

    /// How many blocks it has.
    pub fn blocks(&self) -> usize {
        self.inner.blocks.len()
    }

    /// The `tokenizer.json`, byte for byte.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Damaged`], [`StoreError::Io`].
    pub async fn tokenizer_json(&self) -> Result<Bytes, StoreError> {
        let Inner { at, manifest, .. } = &*self.inner;
        let name = &manifest.tokenizer.file;
        let bytes = retry(name, || at.get(name)).await.map_err(|error| self.part(error))?;
        checked(&bytes, &manifest.tokenizer.hash, || at.place(name))?;
        Ok(bytes)
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// As [`Dataset::tokenizer_json`].
    pub async fn tokenizer(&self) -> Result<Tokenizer, StoreError> {
        let json = self.tokenizer_json().await?;
        let place = self.inner.at.place(&self.manifest().tokenizer.file);
        Tokenizer::from_bytes(&json).map_err(|error| StoreError::Damaged { place, reason: error.to_string() })
    }

    /// Reads a block with one request (and one more for each shard, the first time).
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the file and the row group; [`StoreError::Invalid`] if there is no such block.
    pub async fn block(&self, index: usize) -> Result<corpus::Block, StoreError> {
        let (shard, group) = self.find(index)?;
        let file = &self.manifest().shards[shard];
        let (entry, vocab_size) = (&file.blocks[group], self.manifest().tokenizer.vocabulary.size);
        let bytes = self.read(file, &entry.span, || row_group(group)).await?;
        let decode =
            Decode { metadata: self.footer(&self.inner.tokens, file, shard).await?, group, column: None };
        self.decoded(file, entry, decode, bytes, move |batches| {
            corpus::Block::from_batches(batches, vocab_size)
        })
        .await
    }

    /// Reads only the lengths of the sentences of a block: a hundredth of it, and all that packing needs.
    ///
    /// # Errors
    /// As [`Dataset::block`].
    pub async fn sentence_lens(&self, index: usize) -> Result<SentenceLens, StoreError> {
        let (shard, group) = self.find(index)?;
        let file = &self.manifest().shards[shard];
        let entry = &file.blocks[group];
        let span = entry.sent_len.as_ref().unwrap_or(&entry.span);
        let bytes = self.read(file, span, || row_group(group)).await?;
        let metadata = self.footer(&self.inner.tokens, file, shard).await?;
        let decode = Decode { metadata, group, column: Some("sent_len") };
        self.decoded(file, entry, decode, bytes, corpus::sentence_lens).await
    }

    /// What `docs` says of one row of a block: its text, and the document that it is from.
    ///
    /// # Errors
    /// As [`Dataset::block`].
    pub async fn document(&self, index: usize, row: usize) -> Result<DocText, StoreError> {
        let (shard, group) = self.find(index)?;
        let file = &self.manifest().docs[shard];
        let entry = &file.blocks[group];
        let bytes = self.read(file, &entry.span, || row_group(group)).await?;
        let decode =
            Decode { metadata: self.footer(&self.inner.docs, file, shard).await?, group, column: None };
        let texts = self.decoded(file, entry, decode, bytes, |batches| {
            batches.iter().map(corpus::doc_texts).collect::<Result<Vec<_>, _>>()
        });
        texts.await?.into_iter().flatten().nth(row).ok_or_else(|| {
            StoreError::Invalid(format!("block {index} has {} rows, there is no row {row}", entry.rows))
        })
    }

    /// The text of one row of a block.
    ///
    /// # Errors
    /// As [`Dataset::block`].
    pub async fn text(&self, index: usize, row: usize) -> Result<String, StoreError> {
        Ok(self.document(index, row).await?.text)
    }

    fn find(&self, index: usize) -> Result<(usize, usize), StoreError> {
        self.inner.blocks.get(index).copied().ok_or_else(|| {
            StoreError::Invalid(format!(
                "the dataset has {} blocks, there is no block {index}",
                self.blocks()
            ))
        })
    }

    /// A part that the manifest lists and storage does not have.
    fn part(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::NotFound { place, .. } => StoreError::NotFound {
                what: "a part of the dataset".into(),
                place,
                remedy: "its manifest lists it: copy it there, or prepare the dataset again".into(),
            },
            other => other,
        }
    }

    /// Reads some bytes of a file and checks them. Returns where they begin, too.
    async fn read(
        &self,
        file: &File,
        span: &Span,
        what: impl Fn() -> String,
    ) -> Result<(u64, Bytes), StoreError> {
        let at = &self.inner.at;
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
            Err(error) => return Err(self.part(error)),
        };
        if bytes.len() as u64 != span.len {
            let reason = format!("{} bytes were read, its manifest says {}", bytes.len(), span.len);
            return Err(StoreError::Damaged { place: place(), reason });
        }
        checked(&bytes, &span.xxh3, place)?;
        Ok((span.offset, bytes))
    }

    async fn footer(
        &self,
        cells: &[OnceCell<ArrowReaderMetadata>],
        file: &File,
        shard: usize,
    ) -> Result<ArrowReaderMetadata, StoreError> {
        let read = async || {
            let (_, bytes) = self.read(file, &file.footer, || "footer".to_owned()).await?;
            // The last eight bytes are its length and a magic word.
            let parsed = ParquetMetaDataReader::decode_metadata(&bytes[..bytes.len().saturating_sub(8)]);
            parsed
                .and_then(|metadata| {
                    ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())
                })
                .map_err(|error| StoreError::Damaged {
                    place: format!("{} (footer)", self.inner.at.place(&file.path)),
                    reason: error.to_string(),
                })
        };
        cells[shard].get_or_try_init(read).await.cloned()
    }

    /// Decodes on a thread where that does not keep others waiting, and holds the result against the manifest.
    async fn decoded<T: Send + 'static>(
        &self,
        file: &File,
        entry: &Block,
        decode: Decode,
        (offset, bytes): (u64, Bytes),
        build: impl FnOnce(&[arrow::array::RecordBatch]) -> Result<T, CorpusError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = format!("{} ({})", self.inner.at.place(&file.path), row_group(decode.group));
        let part = Part { offset, bytes, size: file.size };
        let rows = entry.rows;
        let work = move || {
            let damaged = |reason: String| StoreError::Damaged { place: place.clone(), reason };
            let batches = decode.batches(part).map_err(|error| damaged(error.to_string()))?;
            let found: usize = batches.iter().map(|batch| batch.num_rows()).sum();
            if found as u64 != rows {
                return Err(damaged(format!("it has {found} rows, the manifest says {rows}")));
            }
            build(&batches).map_err(|error| damaged(error.to_string()))
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| StoreError::io(self.inner.at.place(&file.path), error))?
    }
}

fn missing(place: String) -> StoreError {
    let remedy = "prepare it with `cloze prepare CONFIG`".to_owned();
    StoreError::NotFound { what: "a dataset".into(), place, remedy }
}

fn row_group(group: usize) -> String {
    format!("row group {group}")
}

fn checked(bytes: &[u8], expected: &str, place: impl FnOnce() -> String) -> Result<(), StoreError> {
    let found = hex(bytes);
    if found == expected {
        return Ok(());
    }
    let reason = format!("its checksum is {found}, its manifest says {expected}");
    Err(StoreError::Damaged { place: place(), reason })
}

/// Which part of a file is to be decoded.
struct Decode {
    metadata: ArrowReaderMetadata,
    group: usize,
    /// One column only.
    column: Option<&'static str>,
}

impl Decode {
    fn batches(self, part: Part) -> Result<Vec<arrow::array::RecordBatch>, ParquetError> {
        let schema = self.metadata.metadata().file_metadata().schema_descr_ptr();
        let mask = match self.column {
            Some(column) => ProjectionMask::columns(&schema, [column]),
            None => ProjectionMask::all(),
        };
        ParquetRecordBatchReaderBuilder::new_with_metadata(part, self.metadata)
            .with_row_groups(vec![self.group])
            .with_projection(mask)
            .build()?
            .collect::<Result<Vec<_>, _>>()
            .map_err(ParquetError::from)
    }
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
