//! Third stage: parts of documents to rows, sorted by their keys. The rows of a part lie in one object, those of a shard
//! next to each other, in buckets: a length, and rows that are packed together.

use std::collections::BTreeMap;

use corpus::{DocRow, chunks};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::duplicates::{Marks, Outcome as Duplicates, Part};
use super::read::documents_name;
use super::{Context, Stage, Waiting};
use crate::part::{Kept, Packer, Unpacker};
use crate::{Config, PrepareError};

pub(crate) const FOLDER: &str = "rows";

/// What became of a part.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Where the rows of each shard begin in its object; one more entry than shards.
    pub offsets: Vec<u64>,
    /// By source: documents that stay, and their bytes.
    pub sources: BTreeMap<u32, (u64, u64)>,
    /// By source: documents of which no paragraph stays.
    pub emptied: BTreeMap<u32, u64>,
}

/// A row on its way to its shard.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyedRow {
    pub key: u128,
    pub row: DocRow,
}

/// The rows of a part.
pub(crate) fn rows_name(part: usize) -> String {
    format!("{FOLDER}/{part:06}.rows")
}

/// The outcome of a part.
pub(crate) fn outcome_name(part: usize) -> String {
    format!("{FOLDER}/{part:06}.json")
}

pub(crate) fn run(
    context: &Context,
    parts: &[Part],
    duplicates: &Duplicates,
    marks: &[Marks],
) -> Result<Option<Waiting>, PrepareError> {
    // A part, its rows, and their packed form.
    let largest = parts.iter().map(|part| part.info.bytes).max().unwrap_or(0);
    let stage = Stage { name: "sort", folder: FOLDER, tasks: parts.len(), memory: 4 * largest };
    context.run(
        &stage,
        |part| parts[part].info.bytes,
        |part| one_part(context, part, &parts[part], duplicates, &marks[part]),
    )
}

fn one_part(
    context: &Context,
    number: usize,
    part: &Part,
    duplicates: &Duplicates,
    marks: &Marks,
) -> Result<(), PrepareError> {
    let name = documents_name(part.task, part.part);
    let packed = context.work.get(&name)?;
    let failed = |error| context.work.damaged(&name, error);
    let mut unpacker = Unpacker::new(&packed).map_err(failed)?;
    let mut outcome = Outcome::default();
    let mut rows: Vec<KeyedRow> = Vec::new();
    for index in 0..part.info.documents as usize {
        let kept: Kept = unpacker
            .next()
            .map_err(failed)?
            .ok_or_else(|| context.work.damaged(&name, "documents are missing"))?;
        context.progress.advance(kept.text.len() as u64);
        if marks.document(index) {
            continue;
        }
        let text = without(&kept.text, marks.paragraphs(index));
        if text.is_empty() {
            *outcome.emptied.entry(kept.source).or_default() += 1;
            continue;
        }
        let (documents, bytes) = outcome.sources.entry(kept.source).or_default();
        (*documents, *bytes) = (*documents + 1, *bytes + text.len() as u64);
        cut(context.config, Kept { text, ..kept }, &mut rows);
    }
    drop(packed);
    rows.sort_by_key(|keyed| (keyed.key, keyed.row.doc_id, keyed.row.chunk));
    let object = pack(&rows, duplicates, &mut outcome.offsets)
        .map_err(|error| PrepareError::Machine(format!("rows cannot be packed: {error}")))?;
    context.work.put(&rows_name(number), object)?;
    context.work.put_json(&outcome_name(number), &outcome)
}

/// A text without some of its paragraphs.
fn without(text: &str, paragraphs: impl Iterator<Item = usize>) -> String {
    let mut left_out = paragraphs.peekable();
    if left_out.peek().is_none() {
        return text.to_owned();
    }
    let stays = |(number, _): &(usize, &str)| left_out.next_if_eq(number).is_none();
    text.split('\n').enumerate().filter(stays).map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

/// The rows of a document.
fn cut(config: &Config, kept: Kept, rows: &mut Vec<KeyedRow>) {
    let source = &config.sources[kept.source as usize].name;
    let doc_id = corpus::doc_id(source, &kept.key);
    let most = config.dataset.chunk_bytes as usize;
    for (index, chunk) in chunks(&kept.text, kept.language.as_deref(), most).into_iter().enumerate() {
        let index = index as u32;
        let name = [&doc_id[..], &index.to_le_bytes()].concat();
        let row = DocRow {
            doc_id,
            chunk: index,
            source: source.clone(),
            key: kept.key.clone(),
            title: kept.title.clone(),
            url: kept.url.clone(),
            date: kept.date.clone(),
            language: kept.language.clone(),
            text: kept.text[chunk.text.clone()].to_owned(),
            sent_end: chunk.sent_end,
            flags: chunk.flags,
        };
        rows.push(KeyedRow { key: xxh3_128_with_seed(&name, config.dataset.seed), row });
    }
}

/// The leading `bits` of a key.
pub(crate) fn leading(key: u128, bits: u32) -> usize {
    key.checked_shr(u128::BITS - bits).unwrap_or(0) as usize
}

/// Packs sorted rows, and notes where every shard begins.
fn pack(rows: &[KeyedRow], duplicates: &Duplicates, offsets: &mut Vec<u64>) -> std::io::Result<Vec<u8>> {
    let &Duplicates { shard_bits, bucket_bits, .. } = duplicates;
    let mut object = Vec::new();
    let mut rest = rows;
    for bucket in 0..1usize << bucket_bits {
        if bucket.is_multiple_of(1 << (bucket_bits - shard_bits)) {
            offsets.push(object.len() as u64);
        }
        let (mine, others) =
            rest.split_at(rest.partition_point(|keyed| leading(keyed.key, bucket_bits) <= bucket));
        rest = others;
        let mut packed = Vec::new();
        if !mine.is_empty() {
            let mut packer = Packer::new()?;
            mine.iter().try_for_each(|keyed| packer.push(keyed))?;
            packed = packer.finish()?;
        }
        object.extend((packed.len() as u32).to_le_bytes());
        object.extend(packed);
    }
    offsets.push(object.len() as u64);
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_left_out_by_number() {
        assert_eq!(without("a\nb\nc", [1].into_iter()), "a\nc");
        assert_eq!(without("a\nb\nc", [0, 2].into_iter()), "b");
        assert_eq!(without("a", [0].into_iter()), "");
        assert_eq!(without("a\nb", [].into_iter()), "a\nb");
    }
}
