//! Rows to Arrow batches and back. The two tables of a dataset have the same rows in the same order: `tokens` for
//! training, `docs` for the text that they were made from. Knows Arrow, not Parquet.

use std::sync::Arc;

use arrow::array::{
    Array, AsArray, FixedSizeBinaryArray, ListArray, PrimitiveArray, RecordBatch, StringArray, UInt8Array,
    UInt16Array, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt16Type, UInt32Type};

use crate::{Block, CorpusError, SentenceLens};

/// What is special about a row: bits of its `flags`.
pub mod flags {
    /// A sentence was longer than a chunk may be, and was cut.
    pub const SENTENCE_SPLIT: u8 = 1;
    /// Some of the text is unknown to the tokenizer.
    pub const HAS_UNKNOWN: u8 = 2;
}

/// How wide ids are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdWidth {
    /// Vocabularies of up to 65,536 ids.
    U16,
    /// Larger ones.
    U32,
}

impl IdWidth {
    /// The narrowest width that holds all ids of a vocabulary.
    pub fn of(vocab_size: u32) -> Self {
        if vocab_size <= 1 << 16 { IdWidth::U16 } else { IdWidth::U32 }
    }

    fn data_type(self) -> DataType {
        match self {
            IdWidth::U16 => DataType::UInt16,
            IdWidth::U32 => DataType::UInt32,
        }
    }
}

/// One row of both tables: a chunk of a document, its text and its tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The document's identity.
    pub doc_id: [u8; 16],
    /// Which chunk of the document this is.
    pub chunk: u32,
    /// The document's source.
    pub source: String,
    /// The document's key in its source.
    pub key: String,
    /// The document's title.
    pub title: Option<String>,
    /// The document's address.
    pub url: Option<String>,
    /// The chunk's text.
    pub text: String,
    /// The chunk's tokens, without special ones.
    pub ids: Vec<u32>,
    /// How many tokens each sentence has.
    pub sent_len: Vec<u16>,
    /// See [`flags`].
    pub flags: u8,
}

/// What `docs` says of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocText {
    /// The document's identity.
    pub doc_id: [u8; 16],
    /// Which chunk of the document this is.
    pub chunk: u32,
    /// The document's source.
    pub source: String,
    /// The document's key in its source.
    pub key: String,
    /// The document's title.
    pub title: Option<String>,
    /// The document's address.
    pub url: Option<String>,
    /// The chunk's text.
    pub text: String,
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", item, false)))
}

/// The columns of `tokens`.
pub fn tokens_schema(width: IdWidth) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("doc_id", DataType::FixedSizeBinary(16), false),
        Field::new("chunk", DataType::UInt32, false),
        Field::new("input_ids", list_of(width.data_type()), false),
        Field::new("sent_len", list_of(DataType::UInt16), false),
        Field::new("n_tokens", DataType::UInt32, false),
        Field::new("flags", DataType::UInt8, false),
    ]))
}

/// The columns of `docs`.
pub fn docs_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("doc_id", DataType::FixedSizeBinary(16), false),
        Field::new("chunk", DataType::UInt32, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("key", DataType::Utf8, false),
        Field::new("title", DataType::Utf8, true),
        Field::new("url", DataType::Utf8, true),
        Field::new("text", DataType::Utf8, false),
        Field::new("n_bytes", DataType::UInt32, false),
    ]))
}

fn doc_ids(rows: &[Row]) -> Result<FixedSizeBinaryArray, CorpusError> {
    FixedSizeBinaryArray::try_from_iter(rows.iter().map(|row| row.doc_id))
        .map_err(|error| CorpusError::Invalid(format!("a batch needs at least one row: {error}")))
}

fn list(item: DataType, lengths: impl Iterator<Item = usize>, values: Arc<dyn Array>) -> ListArray {
    let field = Arc::new(Field::new("element", item, false));
    ListArray::new(field, OffsetBuffer::from_lengths(lengths), values, None)
}

/// The `tokens` of some rows.
///
/// # Errors
/// [`CorpusError::Row`] for an id that does not fit, [`CorpusError::Invalid`] without rows.
pub fn tokens_batch(rows: &[Row], width: IdWidth) -> Result<RecordBatch, CorpusError> {
    let ids: Arc<dyn Array> = match width {
        IdWidth::U32 => {
            Arc::new(rows.iter().flat_map(|row| row.ids.iter().copied()).collect::<UInt32Array>())
        }
        IdWidth::U16 => {
            let mut narrow = Vec::with_capacity(rows.iter().map(|row| row.ids.len()).sum());
            for (index, row) in rows.iter().enumerate() {
                for &id in &row.ids {
                    narrow.push(u16::try_from(id).map_err(|_| CorpusError::Row {
                        row: index,
                        reason: format!("id {id} does not fit into 16 bits"),
                    })?);
                }
            }
            Arc::new(UInt16Array::from(narrow))
        }
    };
    let sent_len: UInt16Array = rows.iter().flat_map(|row| row.sent_len.iter().copied()).collect();
    let n_tokens = rows.iter().map(|row| row.ids.len() as u32);
    let columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(doc_ids(rows)?),
        Arc::new(rows.iter().map(|row| row.chunk).collect::<UInt32Array>()),
        Arc::new(list(width.data_type(), rows.iter().map(|row| row.ids.len()), ids)),
        Arc::new(list(DataType::UInt16, rows.iter().map(|row| row.sent_len.len()), Arc::new(sent_len))),
        Arc::new(n_tokens.collect::<UInt32Array>()),
        Arc::new(rows.iter().map(|row| row.flags).collect::<UInt8Array>()),
    ];
    Ok(RecordBatch::try_new(tokens_schema(width), columns).expect("the columns are those of the schema"))
}

/// The `docs` of some rows.
///
/// # Errors
/// [`CorpusError::Invalid`] without rows.
pub fn docs_batch(rows: &[Row]) -> Result<RecordBatch, CorpusError> {
    let required = |of: fn(&Row) -> &String| -> Arc<dyn Array> {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let optional = |of: fn(&Row) -> &Option<String>| -> Arc<dyn Array> {
        Arc::new(rows.iter().map(|row| of(row).as_deref()).collect::<StringArray>())
    };
    let columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(doc_ids(rows)?),
        Arc::new(rows.iter().map(|row| row.chunk).collect::<UInt32Array>()),
        required(|row| &row.source),
        required(|row| &row.key),
        optional(|row| &row.title),
        optional(|row| &row.url),
        required(|row| &row.text),
        Arc::new(rows.iter().map(|row| row.text.len() as u32).collect::<UInt32Array>()),
    ];
    Ok(RecordBatch::try_new(docs_schema(), columns).expect("the columns are those of the schema"))
}

/// A column of one of the two tables, as the type that it must have.
fn column<'a, A: Array + 'static>(
    batch: &'a RecordBatch,
    table: &'static str,
    name: &str,
) -> Result<&'a A, CorpusError> {
    let wrong = |reason: String| CorpusError::Schema { table, reason };
    let column = batch.column_by_name(name).ok_or_else(|| wrong(format!("it has no column `{name}`")))?;
    column
        .as_any()
        .downcast_ref()
        .ok_or_else(|| wrong(format!("its column `{name}` is {}", column.data_type())))
}

/// The values of one row of a list column.
fn slice<'a, T: arrow::datatypes::ArrowPrimitiveType>(
    list: &ListArray,
    values: &'a PrimitiveArray<T>,
    row: usize,
) -> &'a [T::Native] {
    let offsets = list.value_offsets();
    &values.values()[offsets[row] as usize..offsets[row + 1] as usize]
}

fn sentences(batch: &RecordBatch) -> Result<(&ListArray, &UInt16Array), CorpusError> {
    let list: &ListArray = column(batch, "tokens", "sent_len")?;
    let values = list.values().as_primitive_opt::<UInt16Type>().ok_or_else(|| CorpusError::Schema {
        table: "tokens",
        reason: format!("its column `sent_len` is {}", list.data_type()),
    })?;
    Ok((list, values))
}

/// The lengths of the sentences of a block, from batches that have at least the column `sent_len`.
///
/// # Errors
/// [`CorpusError::Schema`] if they do not, [`CorpusError::Row`] if they cannot be a block.
pub fn sentence_lens(batches: &[RecordBatch]) -> Result<SentenceLens, CorpusError> {
    let mut lens = SentenceLens::default();
    for batch in batches {
        let (list, values) = sentences(batch)?;
        for row in 0..batch.num_rows() {
            lens.push(slice(list, values, row))?;
        }
    }
    Ok(lens)
}

impl Block {
    /// The block that these batches of `tokens` are.
    ///
    /// # Errors
    /// [`CorpusError::Schema`] if they are something else, [`CorpusError::Row`] for a row that breaks the rules.
    pub fn from_batches(batches: &[RecordBatch], vocab_size: u32) -> Result<Self, CorpusError> {
        let mut builder = Block::builder(vocab_size);
        let mut wide = Vec::new();
        let mut before = 0;
        for batch in batches {
            let doc_ids: &FixedSizeBinaryArray = column(batch, "tokens", "doc_id")?;
            let chunks: &UInt32Array = column(batch, "tokens", "chunk")?;
            let ids: &ListArray = column(batch, "tokens", "input_ids")?;
            let n_tokens: &UInt32Array = column(batch, "tokens", "n_tokens")?;
            let (sent_list, sent_len) = sentences(batch)?;
            for row in 0..batch.num_rows() {
                wide.clear();
                if let Some(narrow) = ids.values().as_primitive_opt::<UInt16Type>() {
                    wide.extend(slice(ids, narrow, row).iter().map(|&id| u32::from(id)));
                } else if let Some(ids32) = ids.values().as_primitive_opt::<UInt32Type>() {
                    wide.extend_from_slice(slice(ids, ids32, row));
                } else {
                    let reason = format!("its column `input_ids` is {}", ids.data_type());
                    return Err(CorpusError::Schema { table: "tokens", reason });
                }
                let wrong = |reason: String| CorpusError::Row { row: before + row, reason };
                if n_tokens.value(row) as usize != wide.len() {
                    let reason = format!("it has {} tokens, n_tokens is {}", wide.len(), n_tokens.value(row));
                    return Err(wrong(reason));
                }
                let doc_id = doc_ids.value(row).try_into();
                let doc_id = doc_id.map_err(|_| wrong("its doc_id is not of 16 bytes".into()))?;
                builder.push(doc_id, chunks.value(row), &wide, slice(sent_list, sent_len, row))?;
            }
            before += batch.num_rows();
        }
        Ok(builder.finish())
    }
}

/// The rows of a batch of `docs`.
///
/// # Errors
/// [`CorpusError::Schema`] if it is something else.
pub fn doc_texts(batch: &RecordBatch) -> Result<Vec<DocText>, CorpusError> {
    let doc_ids: &FixedSizeBinaryArray = column(batch, "docs", "doc_id")?;
    let chunks: &UInt32Array = column(batch, "docs", "chunk")?;
    let text = |name: &str| column::<StringArray>(batch, "docs", name);
    let (sources, keys, titles, urls) = (text("source")?, text("key")?, text("title")?, text("url")?);
    let texts = text("text")?;
    let optional = |column: &StringArray, row| column.is_valid(row).then(|| column.value(row).to_owned());
    (0..batch.num_rows())
        .map(|row| {
            let doc_id = doc_ids.value(row).try_into();
            Ok(DocText {
                doc_id: doc_id
                    .map_err(|_| CorpusError::Row { row, reason: "its doc_id is not of 16 bytes".into() })?,
                chunk: chunks.value(row),
                source: sources.value(row).to_owned(),
                key: keys.value(row).to_owned(),
                title: optional(titles, row),
                url: optional(urls, row),
                text: texts.value(row).to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let row =
            (any::<[u8; 16]>(), any::<u32>(), prop::collection::vec(1u16..9, 0..6), any::<Option<String>>());
        prop::collection::vec(row, 1..9).prop_map(|rows| {
            rows.into_iter()
                .map(|(doc_id, chunk, sent_len, title)| Row {
                    doc_id,
                    chunk,
                    source: "books".into(),
                    key: format!("{chunk}.txt"),
                    text: title.clone().unwrap_or_default(),
                    title,
                    url: None,
                    ids: (0..sent_len.iter().map(|&len| u32::from(len)).sum()).collect(),
                    sent_len,
                    flags: 3,
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn rows_survive_their_batches(rows in rows(), wide in any::<bool>()) {
            let width = if wide { IdWidth::U32 } else { IdWidth::U16 };
            let tokens = tokens_batch(&rows, width).unwrap();
            let (first, second) = (tokens.slice(0, rows.len() / 2), tokens.slice(rows.len() / 2, rows.len().div_ceil(2)));
            let block = Block::from_batches(&[first.clone(), second.clone()], 100).unwrap();
            prop_assert_eq!(&sentence_lens(&[first, second]).unwrap(), block.sentence_lens());
            let texts = doc_texts(&docs_batch(&rows).unwrap()).unwrap();
            for (index, row) in rows.iter().enumerate() {
                prop_assert_eq!(block.row(index), &row.ids[..]);
                prop_assert_eq!(block.sentence_lens().row(index), &row.sent_len[..]);
                prop_assert_eq!((block.doc_id(index), block.chunk(index)), (row.doc_id, row.chunk));
                prop_assert_eq!((&texts[index].text, &texts[index].title), (&row.text, &row.title));
                prop_assert_eq!((texts[index].doc_id, &texts[index].key), (row.doc_id, &row.key));
            }
        }
    }

    #[test]
    fn what_is_no_block_is_refused() {
        let row = Row { ids: vec![1, 70_000], sent_len: vec![2], ..Row::default() };
        let message = tokens_batch(std::slice::from_ref(&row), IdWidth::U16).unwrap_err().to_string();
        assert_eq!(message, "row 0: id 70000 does not fit into 16 bits");
        let batch = tokens_batch(std::slice::from_ref(&row), IdWidth::U32).unwrap();
        let message = Block::from_batches(&[batch], 100).unwrap_err().to_string();
        assert_eq!(message, "row 0: id 70000 is outside the vocabulary of 100");
        let docs = docs_batch(&[row]).unwrap();
        let message = Block::from_batches(&[docs], 100).unwrap_err().to_string();
        assert_eq!(message, "not a tokens table: it has no column `input_ids`");
    }
}
