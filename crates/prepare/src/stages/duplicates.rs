//! Second stage: which documents and paragraphs are there already. Of several that are the same, the first one in the
//! order of the corpus stays: sources as they stand in the configuration, their files by name, documents by place. One
//! task, whose outcome is a bit per document.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Context;
use super::read::{Outcome as Read, PartInfo, documents_name, entries_name};
use crate::PrepareError;
use crate::part::{Entry, Kept, Unpacker};
use crate::read::excerpt;
use crate::same::{Kind, Same};
use crate::tally::Sample;

const OUTCOME: &str = "duplicates.json";
const MARKS: &str = "duplicates.marks";
/// Rows that are sorted together have about so many bytes of text.
const BUCKET_BYTES: u64 = 32 << 20;

/// A part of the corpus.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub task: usize,
    pub part: usize,
    /// The number of its first document.
    pub first: u64,
    pub info: PartInfo,
}

/// All parts, in the order of the corpus.
pub(crate) fn parts(outcomes: &[Read]) -> Vec<Part> {
    let mut first = 0;
    let mut parts = Vec::new();
    for (task, outcome) in outcomes.iter().enumerate() {
        for (part, &info) in outcome.parts.iter().enumerate() {
            parts.push(Part { task, part, first, info });
            first += info.documents;
        }
    }
    parts
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Documents that are left out: by kind, and by source.
    pub documents: BTreeMap<String, BTreeMap<u32, u64>>,
    /// Paragraphs that are left out.
    pub paragraphs: u64,
    /// Some of the documents that are left out, with those that stay instead.
    pub samples: BTreeMap<String, Vec<Sample>>,
    /// Bytes of text that stay, before paragraphs are left out.
    pub bytes: u64,
    /// The leading bits of a row's key that say in which shard it is.
    pub shard_bits: u32,
    /// Those that say with which rows it is sorted; at least as many.
    pub bucket_bits: u32,
}

/// What is left out of one part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks {
    /// A bit for every document.
    documents: Vec<u8>,
    /// Document and number of paragraphs, ascending.
    paragraphs: Vec<(u32, u32)>,
}

impl Marks {
    /// Whether a document is left out.
    pub fn document(&self, index: usize) -> bool {
        self.documents[index / 8] >> (index % 8) & 1 == 1
    }

    /// The numbers of the paragraphs of a document that are left out.
    pub fn paragraphs(&self, index: usize) -> impl Iterator<Item = usize> {
        let from = self.paragraphs.partition_point(|&(document, _)| (document as usize) < index);
        let of_it =
            self.paragraphs[from..].iter().take_while(move |&&(document, _)| document as usize == index);
        of_it.map(|&(_, paragraph)| paragraph as usize)
    }
}

/// Looks for duplicates, unless that is done. Returns what was found, and what is left out of every part.
pub(crate) fn run(context: &Context, parts: &[Part]) -> Result<(Outcome, Vec<Marks>), PrepareError> {
    if context.work.find(OUTCOME)?.is_none() {
        context.progress.stage("duplicates", 0);
        let (outcome, marks) = find(context, parts)?;
        let marks = postcard::to_stdvec(&marks).map_err(|error| context.work.damaged(MARKS, error))?;
        context.work.put(MARKS, marks)?;
        context.work.put_json(OUTCOME, &outcome)?;
    }
    let marks = postcard::from_bytes(&context.work.get(MARKS)?);
    Ok((context.work.get_json(OUTCOME)?, marks.map_err(|error| context.work.damaged(MARKS, error))?))
}

fn find(context: &Context, parts: &[Part]) -> Result<(Outcome, Vec<Marks>), PrepareError> {
    let duplicates = &context.config.duplicates;
    let sum = |of: fn(&PartInfo) -> u64| -> u64 { parts.iter().map(|part| of(&part.info)).sum() };
    let documents = sum(|info| info.documents);
    let entries = Entries::new(context, parts);
    let each = |take: &mut dyn FnMut(u64, &Entry)| entries.each(take);
    let mut same = Same::new(documents, context.memory / 2, &each);
    same.again()?;
    if duplicates.exact {
        same.exact()?;
    }
    if duplicates.near {
        same.near(sum(|info| info.bands))?;
    }
    let mut marks: Vec<Marks> = parts
        .iter()
        .map(|part| Marks {
            documents: vec![0; part.info.documents.div_ceil(8) as usize],
            paragraphs: Vec::new(),
        })
        .collect();
    let part_of = |document: u64| parts.partition_point(|part| part.first <= document) - 1;
    let mut outcome = Outcome::default();
    each(&mut |document, entry| match same.fate(document) {
        None => outcome.bytes += entry.bytes,
        Some(kind) => {
            let part = part_of(document);
            let index = (document - parts[part].first) as usize;
            marks[part].documents[index / 8] |= 1 << (index % 8);
            *outcome.documents.entry(kind.name().into()).or_default().entry(entry.source).or_default() += 1;
        }
    })?;
    if duplicates.paragraphs {
        for (document, number) in same.paragraphs(sum(|info| info.paragraphs))? {
            let part = part_of(document);
            marks[part].paragraphs.push(((document - parts[part].first) as u32, number));
            outcome.paragraphs += 1;
        }
    }
    outcome.samples = samples(context, parts, part_of, same.samples())?;
    let bits = |bytes: u64| outcome.bytes.div_ceil(bytes).next_power_of_two().trailing_zeros();
    outcome.shard_bits = bits(context.config.dataset.shard_bytes);
    outcome.bucket_bits = bits(BUCKET_BYTES).max(outcome.shard_bits);
    Ok((outcome, marks))
}

/// Names and beginnings of some duplicates, which only their parts know.
fn samples(
    context: &Context,
    parts: &[Part],
    part_of: impl Fn(u64) -> usize,
    pairs: &BTreeMap<Kind, BTreeMap<u64, u64>>,
) -> Result<BTreeMap<String, Vec<Sample>>, PrepareError> {
    let wanted: BTreeSet<u64> =
        pairs.values().flatten().flat_map(|(&document, &first)| [document, first]).collect();
    let mut names: BTreeMap<u64, (String, String)> = BTreeMap::new();
    let sources = &context.config.sources;
    for part in wanted.iter().map(|&document| part_of(document)).collect::<BTreeSet<usize>>() {
        let part = parts[part];
        let name = documents_name(part.task, part.part);
        let packed = context.work.get(&name)?;
        let failed = |error| context.work.damaged(&name, error);
        let mut unpacker = Unpacker::new(&packed).map_err(failed)?;
        for document in part.first..part.first + part.info.documents {
            let Some(kept) = unpacker.next::<Kept>().map_err(failed)? else { break };
            if wanted.contains(&document) {
                let source = &sources[kept.source as usize].name;
                names.insert(document, (format!("{source} {}", kept.key), excerpt(&kept.text)));
            }
        }
    }
    let sample = |(document, first): (&u64, &u64)| {
        let (place, text) = names.get(document)?;
        let (other, _) = names.get(first)?;
        Some(Sample { place: format!("{place}, the same as {other}"), text: text.clone() })
    };
    Ok(pairs
        .iter()
        .map(|(kind, pairs)| (kind.name().to_owned(), pairs.iter().filter_map(sample).collect()))
        .collect())
}

/// What identifies the documents of all parts: read once if it fits into memory, else for every pass.
struct Entries<'a> {
    context: &'a Context<'a>,
    parts: &'a [Part],
    kept: Option<RefCell<BTreeMap<usize, Vec<Entry>>>>,
}

impl<'a> Entries<'a> {
    fn new(context: &'a Context<'a>, parts: &'a [Part]) -> Self {
        let bytes = |part: &Part| 112 * part.info.documents + 8 * part.info.bands + 16 * part.info.paragraphs;
        let fits = parts.iter().map(bytes).sum::<u64>() <= context.memory / 4;
        Entries { context, parts, kept: fits.then(RefCell::default) }
    }

    fn each(&self, take: &mut dyn FnMut(u64, &Entry)) -> Result<(), PrepareError> {
        for (index, part) in self.parts.iter().enumerate() {
            let mut hand_on = |entries: &[Entry]| {
                entries.iter().zip(part.first..).for_each(|(entry, document)| take(document, entry));
            };
            match &self.kept {
                None => hand_on(&self.load(part)?),
                Some(kept) => {
                    let missing = !kept.borrow().contains_key(&index);
                    if missing {
                        let loaded = self.load(part)?;
                        kept.borrow_mut().insert(index, loaded);
                    }
                    hand_on(&kept.borrow()[&index]);
                }
            }
        }
        Ok(())
    }

    fn load(&self, part: &Part) -> Result<Vec<Entry>, PrepareError> {
        let name = entries_name(part.task, part.part);
        let packed = self.context.work.get(&name)?;
        let entries: Vec<Entry> = Unpacker::new(&packed)
            .and_then(Unpacker::all)
            .map_err(|error| self.context.work.damaged(&name, error))?;
        if entries.len() as u64 != part.info.documents {
            return Err(self.context.work.damaged(&name, "documents are missing"));
        }
        Ok(entries)
    }
}
