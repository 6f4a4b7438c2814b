//! Writing a dataset: rows to Parquet files of texts and of tokens, and the manifest last. The same rows give the same
//! bytes.
//! Knows nothing of the order of rows: they come sorted.

use std::collections::BTreeMap;

use bytes::Bytes;
use corpus::{DocRow, IdWidth, TokenRow, docs_batch, docs_schema, tokens_batch, tokens_schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::hex;
use super::manifest::{Block, File, Manifest, Source, Span, Tokenizer, Totals, VERSION};
use crate::retry::retry;
use crate::{Location, StoreError};

/// Rows of a page: small enough to read one row without much else.
const PAGE_ROWS: usize = 128;
/// Parquet ends with the length of its footer and a magic word.
const TAIL: u64 = 8;

/// One Parquet file in memory: of texts or of tokens.
#[derive(Debug)]
pub struct EncodedFile {
    bytes: Bytes,
    /// Still without a path.
    file: File,
}

impl EncodedFile {
    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.file.size
    }
}

/// What cannot happen to a well-formed row. If it does, it is a bug and is told as one.
fn encoding(error: impl std::fmt::Display) -> StoreError {
    StoreError::Invalid(format!("rows cannot be encoded: {error}"))
}

/// Encodes the texts of one shard, in the order in which they are pushed, and decides where its blocks end.
#[derive(Debug)]
pub struct DocsEncoder {
    writer: ArrowWriter<Vec<u8>>,
    block_bytes: u64,
    /// The rows of the block that is open.
    rows: Vec<DocRow>,
    open_bytes: u64,
    closed: Vec<Counted>,
}

/// What the manifest says of a block besides where it lies.
#[derive(Clone, Copy, Debug)]
struct Counted {
    rows: u64,
    /// Bytes of text, or tokens.
    amount: u64,
}

impl DocsEncoder {
    /// An empty shard. A block is closed before it would exceed `block_bytes` of text.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn new(block_bytes: u64) -> Result<Self, StoreError> {
        let writer =
            ArrowWriter::try_new(Vec::new(), docs_schema(), Some(docs_properties())).map_err(encoding)?;
        Ok(DocsEncoder { writer, block_bytes, rows: Vec::new(), open_bytes: 0, closed: Vec::new() })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn push(&mut self, row: DocRow) -> Result<(), StoreError> {
        let bytes = row.text.len() as u64;
        if !self.rows.is_empty() && self.open_bytes + bytes > self.block_bytes {
            self.close_block()?;
        }
        self.open_bytes += bytes;
        self.rows.push(row);
        Ok(())
    }

    fn close_block(&mut self) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.rows);
        self.writer.write(&docs_batch(&rows).map_err(encoding)?).map_err(encoding)?;
        self.writer.flush().map_err(encoding)?;
        self.closed.push(Counted { rows: rows.len() as u64, amount: self.open_bytes });
        self.open_bytes = 0;
        Ok(())
    }

    /// The file of all rows that were pushed.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn finish(mut self) -> Result<EncodedFile, StoreError> {
        if !self.rows.is_empty() {
            self.close_block()?;
        }
        closed(self.writer, &self.closed, |block, counted| block.bytes = counted.amount)
    }
}

/// Encodes the tokens of one shard, block by block, as its texts have them.
#[derive(Debug)]
pub struct TokensEncoder {
    writer: ArrowWriter<Vec<u8>>,
    width: IdWidth,
    closed: Vec<Counted>,
}

impl TokensEncoder {
    /// An empty shard.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn new(vocab_size: u32) -> Result<Self, StoreError> {
        let width = IdWidth::of(vocab_size);
        let writer = ArrowWriter::try_new(Vec::new(), tokens_schema(width), Some(tokens_properties()))
            .map_err(encoding)?;
        Ok(TokensEncoder { writer, width, closed: Vec::new() })
    }

    /// Adds a block.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if an id is outside the vocabulary, or the block is empty.
    pub fn push_block(&mut self, rows: &[TokenRow]) -> Result<(), StoreError> {
        self.writer.write(&tokens_batch(rows, self.width).map_err(encoding)?).map_err(encoding)?;
        self.writer.flush().map_err(encoding)?;
        let amount = rows.iter().map(|row| row.ids.len() as u64).sum();
        self.closed.push(Counted { rows: rows.len() as u64, amount });
        Ok(())
    }

    /// The file of all blocks that were pushed.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn finish(self) -> Result<EncodedFile, StoreError> {
        closed(self.writer, &self.closed, |block, counted| block.tokens = counted.amount)
    }
}

/// Ends a file and notes where everything lies in it.
fn closed(
    mut writer: ArrowWriter<Vec<u8>>,
    blocks: &[Counted],
    note: fn(&mut Block, &Counted),
) -> Result<EncodedFile, StoreError> {
    let metadata = writer.finish().map_err(encoding)?;
    let bytes = Bytes::from(std::mem::take(writer.inner_mut()));
    let size = bytes.len() as u64;
    let span = |(offset, len): (u64, u64)| Span {
        offset,
        len,
        xxh3: hex(&bytes[offset as usize..(offset + len) as usize]),
    };
    let block = |(group, counted): (usize, &Counted)| {
        let head = head_range(&metadata, group).map(span);
        let whole = span(group_range(&metadata, group));
        let mut block = Block { span: whole, rows: counted.rows, bytes: 0, tokens: 0, head };
        note(&mut block, counted);
        block
    };
    let blocks: Vec<Block> = blocks.iter().enumerate().map(block).collect();
    let tail: [u8; 4] = bytes[bytes.len() - TAIL as usize..][..4].try_into().expect("four bytes");
    let footer = u64::from(u32::from_le_bytes(tail)) + TAIL;
    let file = File {
        path: String::new(),
        size,
        xxh3: hex(&bytes),
        rows: blocks.iter().map(|block| block.rows).sum(),
        bytes: blocks.iter().map(|block| block.bytes).sum(),
        tokens: blocks.iter().map(|block| block.tokens).sum(),
        footer: span((size - footer, footer)),
        blocks,
    };
    Ok(EncodedFile { bytes, file })
}

/// The bytes of a row group: its columns follow each other without gaps.
fn group_range(metadata: &ParquetMetaData, group: usize) -> (u64, u64) {
    let ranges = || metadata.row_group(group).columns().iter().map(|column| column.byte_range());
    let start = ranges().map(|(start, _)| start).min().unwrap_or(0);
    let end = ranges().map(|(start, len)| start + len).max().unwrap_or(0);
    (start, end - start)
}

/// The bytes of a row group of tokens before its ids; texts have no such part.
fn head_range(metadata: &ParquetMetaData, group: usize) -> Option<(u64, u64)> {
    let mut columns = metadata.row_group(group).columns().iter();
    let ids = columns.find(|column| column.column_path().string().starts_with("input_ids."))?;
    let (start, _) = group_range(metadata, group);
    Some((start, ids.byte_range().0 - start))
}

fn path(name: &str) -> ColumnPath {
    ColumnPath::new(name.split('.').map(str::to_owned).collect())
}

fn properties() -> parquet::file::properties::WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        // A fixed name: the bytes are a function of the rows and the format, not of the program's version.
        .set_created_by("cloze dataset format 2".to_owned())
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
        .set_column_dictionary_enabled(path("language"), true)
        .set_column_encoding(path("sent_end.list.element"), Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding(path("text"), Encoding::PLAIN)
        .build()
}

/// What the one who prepared a dataset knows of it, beside its files.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// See [`Manifest::recipe`].
    pub recipe: String,
    /// See [`Tokenizer::recipe`].
    pub tokenizer_recipe: String,
    /// See [`Manifest::seed`].
    pub seed: u64,
    /// See [`Manifest::chunk_bytes`].
    pub chunk_bytes: u32,
    /// See [`Manifest::block_bytes`].
    pub block_bytes: u64,
    /// See [`Manifest::sources`].
    pub sources: Vec<Source>,
    /// See [`Manifest::dropped`].
    pub dropped: BTreeMap<String, u64>,
}

/// Puts a dataset's objects where they belong. Writing the same object again is harmless: the bytes are the same.
#[derive(Clone, Debug)]
pub struct DatasetWriter {
    at: Location,
}

impl DatasetWriter {
    /// A writer at a place.
    pub fn new(at: Location) -> Self {
        DatasetWriter { at }
    }

    /// Writes the texts of shard `index`; returns their entry in the manifest.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn put_docs(&self, index: usize, docs: EncodedFile) -> Result<File, StoreError> {
        self.put(format!("docs/part-{index:05}.parquet"), docs).await
    }

    /// Writes the tokens of shard `index`; returns their entry in the manifest.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn put_tokens(
        &self,
        tokenizer: &corpus::Tokenizer,
        index: usize,
        tokens: EncodedFile,
    ) -> Result<File, StoreError> {
        self.put(format!("tokens/{}/part-{index:05}.parquet", tokenizer.hash()), tokens).await
    }

    async fn put(&self, path: String, encoded: EncodedFile) -> Result<File, StoreError> {
        let EncodedFile { bytes, mut file } = encoded;
        file.path = path;
        retry(&file.path, || self.at.put_chunks(&file.path, std::slice::from_ref(&bytes))).await?;
        Ok(file)
    }

    /// Makes the dataset visible: writes the tokenizer, and then the manifest under `name`. What an interrupted
    /// preparation of something else has left between its files is removed.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if another dataset was written there meanwhile; the same one is fine.
    pub async fn commit(
        &self,
        name: &str,
        tokenizer: &corpus::Tokenizer,
        manifest: &Manifest,
    ) -> Result<(), StoreError> {
        let file = &manifest.tokenizer.file;
        retry(file, || self.at.put(file, tokenizer.json().to_vec())).await?;
        let json = manifest.to_json();
        retry(name, || self.at.put_once(name, json.clone())).await?;
        self.remove_others(&manifest.docs, "docs").await?;
        self.remove_others(&manifest.shards, &format!("tokens/{}", tokenizer.hash())).await
    }

    /// Removes files of a folder that are not among `files`.
    async fn remove_others(&self, files: &[File], folder: &str) -> Result<(), StoreError> {
        for (name, _) in self.at.list(folder).await? {
            let last = name.rsplit('/').next().unwrap_or_default();
            let part = last.starts_with("part-") && last.ends_with(".parquet");
            if part && !files.iter().any(|file| file.path == name) {
                self.at.delete(&name).await?;
            }
        }
        Ok(())
    }
}

impl Manifest {
    /// The table of contents of a dataset that is complete. `docs` and `shards` are what [`DatasetWriter::put_docs`]
    /// and [`DatasetWriter::put_tokens`] returned, in order.
    pub fn new(tokenizer: &corpus::Tokenizer, draft: Draft, docs: Vec<File>, shards: Vec<File>) -> Self {
        let totals = Totals {
            documents: draft.sources.iter().map(|source| source.documents).sum(),
            rows: docs.iter().map(|file| file.rows).sum(),
            tokens: shards.iter().map(|file| file.tokens).sum(),
            bytes: docs.iter().map(|file| file.bytes).sum(),
            blocks: docs.iter().map(|file| file.blocks.len() as u64).sum(),
        };
        let Draft { recipe, tokenizer_recipe, seed, chunk_bytes, block_bytes, sources, dropped } = draft;
        let docs_hash = content_hash(&format!("docs {VERSION}"), &docs);
        Manifest {
            version: VERSION,
            hash: content_hash(&format!("{docs_hash} {}", tokenizer.hash()), &shards),
            docs_hash,
            recipe,
            seed,
            chunk_bytes,
            block_bytes,
            tokenizer: Tokenizer {
                hash: tokenizer.hash().to_owned(),
                // Not beside the tokens: a folder of Parquet files is read as it is.
                file: format!("tokenizers/{}/tokenizer.json", tokenizer.hash()),
                recipe: tokenizer_recipe,
                vocabulary: tokenizer.vocabulary().clone(),
            },
            totals,
            sources,
            dropped,
            docs,
            shards,
        }
    }
}

/// The identity of some files: their checksums, and what they are.
fn content_hash(what: &str, files: &[File]) -> String {
    let mut content = format!("{what}\n");
    for file in files {
        content += &format!("{}\n", file.xxh3);
    }
    hex(content.as_bytes())
}
