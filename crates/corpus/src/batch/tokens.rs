//! The table `tokens`: what one tokenizer makes of the rows of `docs`. Does not know their text.

use std::sync::Arc;

use arrow::array::{
    Array, AsArray, FixedSizeBinaryArray, ListArray, RecordBatch, UInt8Array, UInt16Array, UInt32Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt16Type, UInt32Type};

use super::{column, doc_id, doc_ids, list, list_of, slice};
use crate::{Block, CorpusError, SentenceLens};

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

/// One row of `tokens`: the tokens of the row of `docs` that stands at the same place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRow {
    /// The document's identity.
    pub doc_id: [u8; 16],
    /// The number of the document's source in the dataset's table of contents.
    pub source: u16,
    /// Which chunk of the document this is.
    pub chunk: u32,
    /// The chunk's tokens, without special ones.
    pub ids: Vec<u32>,
    /// How many tokens each sentence has; sentences without tokens are left out.
    pub sent_len: Vec<u16>,
    /// See [`crate::flags`].
    pub flags: u8,
}

/// The columns of `tokens`. `input_ids` is the last: all that packing needs lies in one piece before it.
pub fn tokens_schema(width: IdWidth) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("doc_id", DataType::FixedSizeBinary(16), false),
        Field::new("source", DataType::UInt16, false),
        Field::new("chunk", DataType::UInt32, false),
        Field::new("n_tokens", DataType::UInt32, false),
        Field::new("flags", DataType::UInt8, false),
        Field::new("sent_len", list_of(DataType::UInt16), false),
        Field::new("input_ids", list_of(width.data_type()), false),
    ]))
}

/// The `tokens` of some rows.
///
/// # Errors
/// [`CorpusError::Row`] for an id that does not fit, [`CorpusError::Invalid`] without rows.
pub fn tokens_batch(rows: &[TokenRow], width: IdWidth) -> Result<RecordBatch, CorpusError> {
    let ids: Arc<dyn Array> = match width {
        IdWidth::U32 => {
            Arc::new(rows.iter().flat_map(|row| row.ids.iter().copied()).collect::<UInt32Array>())
        }
        IdWidth::U16 => Arc::new(UInt16Array::from(narrow(rows)?)),
    };
    let sent_len: UInt16Array = rows.iter().flat_map(|row| row.sent_len.iter().copied()).collect();
    let columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(doc_ids(rows.iter().map(|row| row.doc_id))?),
        Arc::new(rows.iter().map(|row| row.source).collect::<UInt16Array>()),
        Arc::new(rows.iter().map(|row| row.chunk).collect::<UInt32Array>()),
        Arc::new(rows.iter().map(|row| row.ids.len() as u32).collect::<UInt32Array>()),
        Arc::new(rows.iter().map(|row| row.flags).collect::<UInt8Array>()),
        Arc::new(list(DataType::UInt16, rows.iter().map(|row| row.sent_len.len()), Arc::new(sent_len))),
        Arc::new(list(width.data_type(), rows.iter().map(|row| row.ids.len()), ids)),
    ];
    Ok(RecordBatch::try_new(tokens_schema(width), columns).expect("the columns are those of the schema"))
}

fn narrow(rows: &[TokenRow]) -> Result<Vec<u16>, CorpusError> {
    let mut narrow = Vec::with_capacity(rows.iter().map(|row| row.ids.len()).sum());
    for (index, row) in rows.iter().enumerate() {
        for &id in &row.ids {
            narrow.push(u16::try_from(id).map_err(|_| CorpusError::Row {
                row: index,
                reason: format!("id {id} does not fit into 16 bits"),
            })?);
        }
    }
    Ok(narrow)
}

fn sentences(batch: &RecordBatch) -> Result<(&ListArray, &UInt16Array), CorpusError> {
    let list: &ListArray = column(batch, "tokens", "sent_len")?;
    let values = list.values().as_primitive_opt::<UInt16Type>().ok_or_else(|| CorpusError::Schema {
        table: "tokens",
        reason: format!("its column `sent_len` is {}", list.data_type()),
    })?;
    Ok((list, values))
}

/// The lengths of the sentences of a block, from batches that have at least the columns `doc_id`, `source` and
/// `sent_len`.
///
/// # Errors
/// [`CorpusError::Schema`] if they do not, [`CorpusError::Row`] if they cannot be a block.
pub fn sentence_lens(batches: &[RecordBatch]) -> Result<SentenceLens, CorpusError> {
    let mut lens = SentenceLens::default();
    for batch in batches {
        let ids: &FixedSizeBinaryArray = column(batch, "tokens", "doc_id")?;
        let sources: &UInt16Array = column(batch, "tokens", "source")?;
        let (list, values) = sentences(batch)?;
        for row in 0..batch.num_rows() {
            lens.push(doc_id(ids, row)?, sources.value(row), slice(list, values, row))?;
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
            let sources: &UInt16Array = column(batch, "tokens", "source")?;
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
                if n_tokens.value(row) as usize != wide.len() {
                    let reason = format!("it has {} tokens, n_tokens is {}", wide.len(), n_tokens.value(row));
                    return Err(CorpusError::Row { row: before + row, reason });
                }
                let doc_id = doc_id(doc_ids, row)?;
                let sent_len = slice(sent_list, sent_len, row);
                builder.push(doc_id, sources.value(row), chunks.value(row), &wide, sent_len)?;
            }
            before += batch.num_rows();
        }
        Ok(builder.finish())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Vec<TokenRow>> {
        let row = (any::<[u8; 16]>(), any::<u16>(), any::<u32>(), prop::collection::vec(1u16..9, 0..6));
        prop::collection::vec(row, 1..9).prop_map(|rows| {
            rows.into_iter()
                .map(|(doc_id, source, chunk, sent_len)| TokenRow {
                    doc_id,
                    source,
                    chunk,
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
            for (index, row) in rows.iter().enumerate() {
                prop_assert_eq!(block.row(index), &row.ids[..]);
                prop_assert_eq!(block.sentence_lens().row(index), &row.sent_len[..]);
                prop_assert_eq!(block.sentence_lens().source(index), row.source);
                prop_assert_eq!((block.doc_id(index), block.chunk(index)), (row.doc_id, row.chunk));
            }
        }
    }

    #[test]
    fn what_is_no_block_is_refused() {
        let row = TokenRow { ids: vec![1, 70_000], sent_len: vec![2], ..TokenRow::default() };
        let message = tokens_batch(std::slice::from_ref(&row), IdWidth::U16).unwrap_err().to_string();
        assert_eq!(message, "row 0: id 70000 does not fit into 16 bits");
        let batch = tokens_batch(std::slice::from_ref(&row), IdWidth::U32).unwrap();
        let message = Block::from_batches(&[batch], 100).unwrap_err().to_string();
        assert_eq!(message, "row 0: id 70000 is outside the vocabulary of 100");
        let docs = crate::docs_batch(&[crate::DocRow::default()]).unwrap();
        let message = Block::from_batches(&[docs], 100).unwrap_err().to_string();
        assert_eq!(message, "not a tokens table: its column `source` is Utf8");
    }
}
