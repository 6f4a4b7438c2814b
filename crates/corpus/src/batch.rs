//! Rows to Arrow batches and back. The two tables of a dataset have the same rows in the same order: `docs` for the
//! text, `tokens` for what a tokenizer makes of it. Knows Arrow, not Parquet.

mod docs;
mod tokens;

pub use docs::{DocRow, doc_rows, docs_batch, docs_schema};
pub use tokens::{IdWidth, TokenRow, sentence_lens, tokens_batch, tokens_schema};

use std::sync::Arc;

use arrow::array::{Array, FixedSizeBinaryArray, ListArray, PrimitiveArray, RecordBatch};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};

use crate::CorpusError;

/// What is special about a row: bits of its `flags`.
pub mod flags {
    /// A sentence was longer than a chunk may be, or than its length can say, and was cut.
    pub const SENTENCE_SPLIT: u8 = 1;
    /// Some of the text is unknown to the tokenizer.
    pub const HAS_UNKNOWN: u8 = 2;
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", item, false)))
}

fn list(item: DataType, lengths: impl Iterator<Item = usize>, values: Arc<dyn Array>) -> ListArray {
    let field = Arc::new(Field::new("element", item, false));
    ListArray::new(field, OffsetBuffer::from_lengths(lengths), values, None)
}

fn doc_ids(rows: impl Iterator<Item = [u8; 16]>) -> Result<FixedSizeBinaryArray, CorpusError> {
    FixedSizeBinaryArray::try_from_iter(rows)
        .map_err(|error| CorpusError::Invalid(format!("a batch needs at least one row: {error}")))
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

fn doc_id(column: &FixedSizeBinaryArray, row: usize) -> Result<[u8; 16], CorpusError> {
    let wrong = |_| CorpusError::Row { row, reason: "its doc_id is not of 16 bytes".into() };
    column.value(row).try_into().map_err(wrong)
}
