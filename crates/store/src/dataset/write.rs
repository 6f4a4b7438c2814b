//! Writing a dataset: rows to two Parquet files per shard, and the manifest last. The same rows give the same bytes.
//! Knows nothing of the order of rows: they come sorted.

use std::collections::BTreeMap;

use bytes::Bytes;
use corpus::{IdWidth, Row, docs_batch, docs_schema, tokens_batch, tokens_schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::manifest::{Block, File, Manifest, Source, Span, Tokenizer, Totals, VERSION};
use super::{MANIFEST, hex};
use crate::{Location, StoreError};

/// Rows of a page: small enough to read one row without much else.
const PAGE_ROWS: usize = 128;
/// Parquet ends with the length of its footer and a magic word.
const TAIL: u64 = 8;

/// One shard in memory: its tokens and its texts.
#[derive(Debug)]
pub struct EncodedShard {
    tokens: Encoded,
    docs: Encoded,
    bytes: u64,
}

impl EncodedShard {
    /// Bytes of both files.
    pub fn size(&self) -> u64 {
        self.tokens.file.size + self.docs.file.size
    }
}

#[derive(Debug)]
struct Encoded {
    bytes: Bytes,
    /// Still without a path.
    file: File,
}

/// Encodes the rows of one shard, in the order in which they are pushed.
#[derive(Debug)]
pub struct ShardEncoder {
    tokens: ArrowWriter<Vec<u8>>,
    docs: ArrowWriter<Vec<u8>>,
    width: IdWidth,
    block_tokens: u64,
    /// The rows of the block that is open.
    rows: Vec<Row>,
    open_tokens: u64,
    /// Rows and tokens of the blocks that are closed.
    closed: Vec<(u64, u64)>,
    text_bytes: u64,
}

/// What cannot happen to a well-formed row. If it does, it is a bug and is told as one.
fn encoding(error: impl std::fmt::Display) -> StoreError {
    StoreError::Invalid(format!("rows cannot be encoded: {error}"))
}

impl ShardEncoder {
    /// An empty shard. A block is closed before it would exceed `block_tokens`.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn new(vocab_size: u32, block_tokens: u64) -> Result<Self, StoreError> {
        let width = IdWidth::of(vocab_size);
        let tokens = ArrowWriter::try_new(Vec::new(), tokens_schema(width), Some(tokens_properties()))
            .map_err(encoding)?;
        let docs =
            ArrowWriter::try_new(Vec::new(), docs_schema(), Some(docs_properties())).map_err(encoding)?;
        let (rows, closed) = (Vec::new(), Vec::new());
        Ok(ShardEncoder { tokens, docs, width, block_tokens, rows, open_tokens: 0, closed, text_bytes: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if an id is outside the vocabulary.
    pub fn push(&mut self, row: Row) -> Result<(), StoreError> {
        let tokens = row.ids.len() as u64;
        if !self.rows.is_empty() && self.open_tokens + tokens > self.block_tokens {
            self.close_block()?;
        }
        self.open_tokens += tokens;
        self.text_bytes += row.text.len() as u64;
        self.rows.push(row);
        Ok(())
    }

    fn close_block(&mut self) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.rows);
        self.tokens.write(&tokens_batch(&rows, self.width).map_err(encoding)?).map_err(encoding)?;
        self.tokens.flush().map_err(encoding)?;
        self.docs.write(&docs_batch(&rows).map_err(encoding)?).map_err(encoding)?;
        self.docs.flush().map_err(encoding)?;
        self.closed.push((rows.len() as u64, self.open_tokens));
        self.open_tokens = 0;
        Ok(())
    }

    /// The shard of all rows that were pushed.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if an id is outside the vocabulary.
    pub fn finish(mut self) -> Result<EncodedShard, StoreError> {
        if !self.rows.is_empty() {
            self.close_block()?;
        }
        Ok(EncodedShard {
            tokens: closed(self.tokens, &self.closed)?,
            docs: closed(self.docs, &self.closed)?,
            bytes: self.text_bytes,
        })
    }
}

/// Ends a file and notes where everything lies in it.
fn closed(mut writer: ArrowWriter<Vec<u8>>, blocks: &[(u64, u64)]) -> Result<Encoded, StoreError> {
    let metadata = writer.finish().map_err(encoding)?;
    let bytes = Bytes::from(std::mem::take(writer.inner_mut()));
    let size = bytes.len() as u64;
    let span = |offset: u64, len: u64| Span {
        offset,
        len,
        xxh3: hex(&bytes[offset as usize..(offset + len) as usize]),
    };
    let blocks: Vec<Block> = blocks
        .iter()
        .enumerate()
        .map(|(group, &(rows, tokens))| {
            let (offset, len) = group_range(&metadata, group);
            let sent_len = sent_len_range(&metadata, group).map(|(offset, len)| span(offset, len));
            Block { span: span(offset, len), rows, tokens, sent_len }
        })
        .collect();
    let tail: [u8; 4] = bytes[bytes.len() - TAIL as usize..][..4].try_into().expect("four bytes");
    let footer = u64::from(u32::from_le_bytes(tail)) + TAIL;
    let file = File {
        path: String::new(),
        size,
        xxh3: hex(&bytes),
        rows: blocks.iter().map(|block| block.rows).sum(),
        tokens: blocks.iter().map(|block| block.tokens).sum(),
        footer: span(size - footer, footer),
        blocks,
    };
    Ok(Encoded { bytes, file })
}

/// The bytes of a row group: its columns follow each other without gaps.
fn group_range(metadata: &ParquetMetaData, group: usize) -> (u64, u64) {
    let ranges = || metadata.row_group(group).columns().iter().map(|column| column.byte_range());
    let start = ranges().map(|(start, _)| start).min().unwrap_or(0);
    let end = ranges().map(|(start, len)| start + len).max().unwrap_or(0);
    (start, end - start)
}

fn sent_len_range(metadata: &ParquetMetaData, group: usize) -> Option<(u64, u64)> {
    let mut columns = metadata.row_group(group).columns().iter();
    let column = columns.find(|column| column.column_path().string().starts_with("sent_len."))?;
    Some(column.byte_range())
}

fn path(name: &str) -> ColumnPath {
    ColumnPath::new(name.split('.').map(str::to_owned).collect())
}

fn properties() -> parquet::file::properties::WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        // A fixed name: the bytes are a function of the rows and the format, not of the program's version.
        .set_created_by("cloze dataset format 1".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(path("doc_id"), EnabledStatistics::Page)
        .set_column_statistics_enabled(path("chunk"), EnabledStatistics::Page)
        .set_data_page_row_count_limit(PAGE_ROWS)
        // Limits are checked after every such many values.
        .set_write_batch_size(PAGE_ROWS)
        // Blocks are cut by tokens, by us.
        .set_max_row_group_row_count(None)
        .set_max_row_group_bytes(None)
}

fn zstd(level: i32) -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(level).expect("zstd has levels 1 to 22"))
}

fn tokens_properties() -> WriterProperties {
    properties()
        .set_compression(zstd(3))
        .set_column_statistics_enabled(path("n_tokens"), EnabledStatistics::Page)
        .set_column_encoding(path("input_ids.list.element"), Encoding::PLAIN)
        .set_column_encoding(path("sent_len.list.element"), Encoding::DELTA_BINARY_PACKED)
        .build()
}

fn docs_properties() -> WriterProperties {
    properties()
        .set_compression(zstd(3))
        .set_column_dictionary_enabled(path("source"), true)
        .set_column_encoding(path("text"), Encoding::PLAIN)
        .build()
}

/// What the one who prepared a dataset knows of it, beside its files.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// See [`Manifest::recipe`].
    pub recipe: String,
    /// See [`Manifest::seed`].
    pub seed: u64,
    /// See [`Manifest::chunk_tokens`].
    pub chunk_tokens: u32,
    /// See [`Manifest::block_tokens`].
    pub block_tokens: u64,
    /// See [`Manifest::sources`].
    pub sources: Vec<Source>,
    /// See [`Manifest::dropped`].
    pub dropped: BTreeMap<String, u64>,
}

/// Puts a dataset's objects where they belong.
#[derive(Clone, Debug)]
pub struct DatasetWriter {
    at: Location,
    tokenizer: Tokenizer,
}

impl DatasetWriter {
    /// Begins a dataset: removes what an interrupted run has left, and writes the tokenizer.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if there is a whole dataset, [`StoreError::Io`].
    pub async fn begin(at: Location, tokenizer: &corpus::Tokenizer) -> Result<Self, StoreError> {
        if at.size(MANIFEST).await?.is_some() {
            let reason = "a dataset is there already; remove it, or choose another place".to_owned();
            return Err(StoreError::Fenced { place: at.place(MANIFEST), reason });
        }
        for prefix in ["docs", "tokens"] {
            for (name, _) in at.list(prefix).await? {
                let file = name.rsplit('/').next().unwrap_or_default();
                if file.starts_with("part-") && file.ends_with(".parquet") {
                    at.delete(&name).await?;
                }
            }
        }
        let file = format!("tokens/{}/tokenizer.json", tokenizer.hash());
        at.put(&file, tokenizer.json().to_vec()).await?;
        let vocabulary = tokenizer.vocabulary().clone();
        Ok(DatasetWriter { at, tokenizer: Tokenizer { hash: tokenizer.hash().to_owned(), file, vocabulary } })
    }

    /// Writes shard `index`; returns its entries in the manifest, for tokens and texts, and its bytes of text.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn put_shard(
        &self,
        index: usize,
        shard: EncodedShard,
    ) -> Result<(File, File, u64), StoreError> {
        let EncodedShard { mut tokens, mut docs, bytes } = shard;
        tokens.file.path = format!("tokens/{}/part-{index:05}.parquet", self.tokenizer.hash);
        docs.file.path = format!("docs/part-{index:05}.parquet");
        self.at.put_chunks(&tokens.file.path, &[tokens.bytes]).await?;
        self.at.put_chunks(&docs.file.path, &[docs.bytes]).await?;
        Ok((tokens.file, docs.file, bytes))
    }

    /// Makes the dataset visible: writes the manifest. `shards` are all that [`DatasetWriter::put_shard`] returned,
    /// in order.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if another dataset was written there meanwhile; the same one is fine.
    pub async fn commit(self, draft: Draft, shards: Vec<(File, File, u64)>) -> Result<Manifest, StoreError> {
        let bytes = shards.iter().map(|(.., bytes)| bytes).sum();
        let (shards, docs): (Vec<File>, Vec<File>) =
            shards.into_iter().map(|(tokens, docs, _)| (tokens, docs)).unzip();
        let mut content = format!("{VERSION} {}\n", self.tokenizer.hash);
        for file in shards.iter().chain(&docs) {
            content += &format!("{}\n", file.xxh3);
        }
        let totals = Totals {
            documents: draft.sources.iter().map(|source| source.documents).sum(),
            rows: shards.iter().map(|file| file.rows).sum(),
            tokens: shards.iter().map(|file| file.tokens).sum(),
            bytes,
            blocks: shards.iter().map(|file| file.blocks.len() as u64).sum(),
        };
        let Draft { recipe, seed, chunk_tokens, block_tokens, sources, dropped } = draft;
        let manifest = Manifest {
            version: VERSION,
            hash: hex(content.as_bytes()),
            recipe,
            seed,
            chunk_tokens,
            block_tokens,
            tokenizer: self.tokenizer,
            totals,
            sources,
            dropped,
            shards,
            docs,
        };
        self.at.put_once(MANIFEST, manifest.to_json()).await?;
        Ok(manifest)
    }
}
