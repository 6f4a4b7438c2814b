//! A document per row of a Parquet file. A piece has the row groups that begin in it.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use bytes::Buf;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::{Found, Reading, Sink};
use crate::PrepareError;
use crate::origin::{Opened, StorageFailed};

/// Rows that are decoded together: texts may be long.
const BATCH: usize = 32;

impl Length for Opened {
    fn len(&self) -> u64 {
        self.size()
    }
}

impl ChunkReader for Opened {
    type T = bytes::buf::Reader<bytes::Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        // Only asked for headers of pages.
        Ok(self.read_at(start, 1 << 16)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<bytes::Bytes> {
        let bytes = self.read_at(start, length as u64)?;
        match bytes.len() == length {
            true => Ok(bytes),
            false => Err(ParquetError::EOF(format!("it ends before byte {}", start + length as u64))),
        }
    }
}

pub(super) fn read(reading: &Reading, input: &Opened, sink: Sink) -> Result<(), PrepareError> {
    match rows(reading, input, sink) {
        Ok(done) => done,
        Err(error) => match failed(&error) {
            Some(failed) => Err(PrepareError::Storage(failed.0.clone())),
            None => {
                sink(Found::Damaged(reading.place(), format!("the Parquet file cannot be read: {error}")))
            }
        },
    }
}

/// What failed, if it was the storage and not the data.
fn failed(error: &ParquetError) -> Option<&StorageFailed> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(failed) = error.downcast_ref::<StorageFailed>() {
            return Some(failed);
        }
        source = error.source();
    }
    None
}

fn begins_at(group: &RowGroupMetaData) -> u64 {
    group.columns().iter().map(|column| column.byte_range().0).min().unwrap_or(0)
}

/// The outer result is about the file, the inner one about what was done with its documents.
fn rows(reading: &Reading, input: &Opened, sink: Sink) -> ParquetResult<Result<(), PrepareError>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(input.clone())?;
    let (metadata, schema) = (builder.metadata().clone(), builder.schema().clone());
    let text = &reading.source.text_field;
    if schema.field_with_name(text).is_err() {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let reason = format!("it has no column `{text}` but {}; set text_field", names.join(", "));
        return Ok(Err(PrepareError::input(reading.place(), reason)));
    }
    let wanted = [text.as_str(), "title", "url", "date"];
    let mut first = 0u64;
    for (index, group) in metadata.row_groups().iter().enumerate() {
        let begins = first;
        first += group.num_rows() as u64;
        if !(reading.piece.start..reading.piece.end).contains(&begins_at(group)) {
            continue;
        }
        let builder = ParquetRecordBatchReaderBuilder::try_new(input.clone())?;
        let roots = schema.fields().iter().enumerate();
        let roots = roots.filter(|(_, field)| wanted.contains(&field.name().as_str()));
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots.map(|(root, _)| root));
        let batches =
            builder.with_row_groups(vec![index]).with_projection(mask).with_batch_size(BATCH).build()?;
        let mut row = begins;
        for batch in batches {
            let batch = batch?;
            if let Err(error) = documents(reading, &batch, row, sink) {
                return Ok(Err(error));
            }
            row += batch.num_rows() as u64;
        }
        reading.progress.advance(group.compressed_size() as u64);
    }
    Ok(Ok(()))
}

fn documents(reading: &Reading, batch: &RecordBatch, first: u64, sink: Sink) -> Result<(), PrepareError> {
    let strings = |name: &str| {
        let column = batch.column_by_name(name)?;
        cast(column, &DataType::Utf8).ok()
    };
    let texts = strings(&reading.source.text_field);
    let (titles, urls, dates) = (strings("title"), strings("url"), strings("date"));
    let value = |column: &Option<arrow::array::ArrayRef>, row: usize| {
        let column = column.as_ref()?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    for row in 0..batch.num_rows() {
        let mut document = reading.document(format!("{}#{}", reading.input.key, first + row as u64));
        match value(&texts, row) {
            Some(text) if text.len() as u64 <= reading.most => document.text = text,
            Some(_) => {
                let reason = "document is larger than max_document_bytes";
                sink(Found::dropped(reason, document.key, String::new()))?;
                continue;
            }
            None => {
                sink(Found::dropped("row has no text", document.key, String::new()))?;
                continue;
            }
        }
        (document.title, document.url, document.date) =
            (value(&titles, row), value(&urls, row), value(&dates, row));
        sink(Found::Document(document, reading.source.paragraphs))?;
    }
    Ok(())
}
