//! The table `docs`: the text of every row and where it came from. Does not know any tokenizer.

use std::sync::Arc;

use arrow::array::{
    Array, AsArray, FixedSizeBinaryArray, ListArray, RecordBatch, StringArray, UInt8Array, UInt32Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};

use serde::{Deserialize, Serialize};

use super::{column, doc_id, doc_ids, list, list_of, slice};
use crate::CorpusError;

/// One row of `docs`: a chunk of a document. Column names follow FineWeb's where it has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocRow {
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
    /// When it was published, as its source says it.
    pub date: Option<String>,
    /// The language that was found, as ISO 639.
    pub language: Option<String>,
    /// The chunk's text.
    pub text: String,
    /// Where each sentence ends in the text, in bytes; the last is the text's length.
    pub sent_end: Vec<u32>,
    /// See [`crate::flags`].
    pub flags: u8,
}

impl DocRow {
    /// The sentences of the text, each with the white space before it.
    pub fn sentences(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.sent_end.iter().map(move |&end| {
            let sentence = self.text.get(start..end as usize).unwrap_or_default();
            start = end as usize;
            sentence
        })
    }
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
        Field::new("date", DataType::Utf8, true),
        Field::new("language", DataType::Utf8, true),
        Field::new("n_bytes", DataType::UInt32, false),
        Field::new("flags", DataType::UInt8, false),
        Field::new("sent_end", list_of(DataType::UInt32), false),
        Field::new("text", DataType::Utf8, false),
    ]))
}

/// The `docs` of some rows.
///
/// # Errors
/// [`CorpusError::Invalid`] without rows.
pub fn docs_batch(rows: &[DocRow]) -> Result<RecordBatch, CorpusError> {
    let required = |of: fn(&DocRow) -> &String| -> Arc<dyn Array> {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let optional = |of: fn(&DocRow) -> &Option<String>| -> Arc<dyn Array> {
        Arc::new(rows.iter().map(|row| of(row).as_deref()).collect::<StringArray>())
    };
    let ends: UInt32Array = rows.iter().flat_map(|row| row.sent_end.iter().copied()).collect();
    let columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(doc_ids(rows.iter().map(|row| row.doc_id))?),
        Arc::new(rows.iter().map(|row| row.chunk).collect::<UInt32Array>()),
        required(|row| &row.source),
        required(|row| &row.key),
        optional(|row| &row.title),
        optional(|row| &row.url),
        optional(|row| &row.date),
        optional(|row| &row.language),
        Arc::new(rows.iter().map(|row| row.text.len() as u32).collect::<UInt32Array>()),
        Arc::new(rows.iter().map(|row| row.flags).collect::<UInt8Array>()),
        Arc::new(list(DataType::UInt32, rows.iter().map(|row| row.sent_end.len()), Arc::new(ends))),
        required(|row| &row.text),
    ];
    Ok(RecordBatch::try_new(docs_schema(), columns).expect("the columns are those of the schema"))
}

/// The rows of a batch of `docs`.
///
/// # Errors
/// [`CorpusError::Schema`] if it is something else, [`CorpusError::Row`] for sentences that are not the text.
pub fn doc_rows(batch: &RecordBatch) -> Result<Vec<DocRow>, CorpusError> {
    let ids: &FixedSizeBinaryArray = column(batch, "docs", "doc_id")?;
    let chunks: &UInt32Array = column(batch, "docs", "chunk")?;
    let flags: &UInt8Array = column(batch, "docs", "flags")?;
    let text = |name: &str| column::<StringArray>(batch, "docs", name);
    let (sources, keys, titles, urls) = (text("source")?, text("key")?, text("title")?, text("url")?);
    let (dates, languages, texts) = (text("date")?, text("language")?, text("text")?);
    let sent_end: &ListArray = column(batch, "docs", "sent_end")?;
    let ends = sent_end.values().as_primitive_opt::<UInt32Type>().ok_or_else(|| CorpusError::Schema {
        table: "docs",
        reason: format!("its column `sent_end` is {}", sent_end.data_type()),
    })?;
    let optional = |column: &StringArray, row| column.is_valid(row).then(|| column.value(row).to_owned());
    (0..batch.num_rows())
        .map(|row| {
            let (text, sent_end) = (texts.value(row), slice(sent_end, ends, row));
            let boundary = |&end: &u32| text.is_char_boundary(end as usize);
            if !sent_end.is_sorted()
                || !sent_end.iter().all(boundary)
                || sent_end.last().map_or(0, |&end| end as usize) != text.len()
            {
                return Err(CorpusError::Row { row, reason: "its sentences are not its text".into() });
            }
            Ok(DocRow {
                doc_id: doc_id(ids, row)?,
                chunk: chunks.value(row),
                source: sources.value(row).to_owned(),
                key: keys.value(row).to_owned(),
                title: optional(titles, row),
                url: optional(urls, row),
                date: optional(dates, row),
                language: optional(languages, row),
                text: text.to_owned(),
                sent_end: sent_end.to_vec(),
                flags: flags.value(row),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_survive_their_batches(
            parts in prop::collection::vec(("[a-zé。 ]{1,9}", any::<Option<String>>(), any::<[u8; 16]>()), 1..9),
        ) {
            let rows: Vec<DocRow> = parts.into_iter().enumerate().map(|(index, (text, title, doc_id))| DocRow {
                doc_id,
                chunk: index as u32,
                source: "books".into(),
                key: format!("{index}.txt"),
                language: title.clone(),
                title,
                sent_end: vec![0, text.len() as u32],
                text,
                flags: 1,
                ..DocRow::default()
            }).collect();
            prop_assert_eq!(doc_rows(&docs_batch(&rows).unwrap()).unwrap(), rows);
        }
    }

    #[test]
    fn sentences_that_are_not_the_text_are_refused() {
        for (text, sent_end) in [("abc", vec![2]), ("abc", vec![3, 2, 3]), ("é", vec![1, 2]), ("a", vec![])]
        {
            let row = DocRow { text: text.into(), sent_end, ..DocRow::default() };
            let message = doc_rows(&docs_batch(&[row]).unwrap()).unwrap_err().to_string();
            assert_eq!(message, "row 0: its sentences are not its text");
        }
        assert!(docs_batch(&[]).is_err());
    }
}
