//! Fourth stage: rows to the Parquet files of `docs`, one task per shard.

use store::{DatasetWriter, DocsEncoder, FileEntry};

use super::duplicates::Outcome as Duplicates;
use super::rows::{self, KeyedRow, rows_name};
use super::{Context, Stage, Waiting};
use crate::PrepareError;
use crate::part::Unpacker;

pub(crate) const FOLDER: &str = "docs";

/// The outcome of a shard: its entry in the manifest.
pub(crate) fn outcome_name(shard: usize) -> String {
    format!("{FOLDER}/{shard:05}.json")
}

pub(crate) fn run(
    context: &Context,
    writer: &DatasetWriter,
    duplicates: &Duplicates,
    parts: &[rows::Outcome],
) -> Result<Option<Waiting>, PrepareError> {
    let shards = 1usize << duplicates.shard_bits;
    let size = |shard: usize| parts.iter().map(|part| part.offsets[shard + 1] - part.offsets[shard]).sum();
    let largest: u64 = (0..shards).map(size).max().unwrap_or(0);
    // The packed rows, a file that is about as large, and a bucket as text and as rows.
    let stage =
        Stage { name: "write texts", folder: FOLDER, tasks: shards, memory: 2 * largest + (128 << 20) };
    context.run(&stage, size, |shard| one_shard(context, writer, duplicates, parts, shard))
}

fn one_shard(
    context: &Context,
    writer: &DatasetWriter,
    duplicates: &Duplicates,
    parts: &[rows::Outcome],
    shard: usize,
) -> Result<(), PrepareError> {
    let mut packed = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let name = rows_name(number);
        packed.push((context.work.get_range(&name, part.offsets[shard]..part.offsets[shard + 1])?, name));
    }
    let mut encoder = DocsEncoder::new(context.config.dataset.block_bytes)?;
    for _ in 0..1usize << (duplicates.bucket_bits - duplicates.shard_bits) {
        let mut bucket: Vec<KeyedRow> = Vec::new();
        for (rest, name) in &mut packed {
            let failed = |error: std::io::Error| context.work.damaged(name, error);
            let len = rest
                .split_to_checked(4)
                .and_then(|len| Some(u32::from_le_bytes(len.as_ref().try_into().ok()?)));
            let frame = len.and_then(|len| rest.split_to_checked(len as usize));
            let frame = frame.ok_or_else(|| context.work.damaged(name, "rows are missing"))?;
            if !frame.is_empty() {
                bucket.extend(Unpacker::new(&frame).and_then(Unpacker::all::<KeyedRow>).map_err(failed)?);
            }
            context.progress.advance(4 + frame.len() as u64);
        }
        bucket.sort_by_key(|keyed| (keyed.key, keyed.row.doc_id, keyed.row.chunk));
        for keyed in bucket {
            encoder.push(keyed.row)?;
        }
    }
    drop(packed);
    let file = context.work.runtime().block_on(writer.put_docs(shard, encoder.finish()?))?;
    context.work.put_json(&outcome_name(shard), &file)
}

/// Bytes that may be fewer than they should be.
trait SplitToChecked: Sized {
    fn split_to_checked(&mut self, len: usize) -> Option<Self>;
}

impl SplitToChecked for bytes::Bytes {
    fn split_to_checked(&mut self, len: usize) -> Option<Self> {
        (len <= self.len()).then(|| self.split_to(len))
    }
}

/// The entries of all shards.
pub(crate) fn outcomes(context: &Context, shards: usize) -> Result<Vec<FileEntry>, PrepareError> {
    (0..shards).map(|shard| context.work.get_json(&outcome_name(shard))).collect()
}
