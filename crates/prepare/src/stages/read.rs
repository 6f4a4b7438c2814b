//! First stage: files to parts of clean documents.

use std::collections::BTreeMap;

use corpus::normal::Oddities;
use corpus::similar::Scratch;
use serde::{Deserialize, Serialize};

use super::{Context, Stage, Waiting};
use crate::config::OnDamage;
use crate::input::Input;
use crate::part::{Entry, Kept, Packer};
use crate::read::{Found, Piece, Reading, excerpt, read};
use crate::refine::Refinery;
use crate::tally::Tally;
use crate::tasks::TaskList;
use crate::{Config, PrepareError};

pub(crate) const FOLDER: &str = "read";
/// About how many bytes of clean text a part has.
const PART_BYTES: u64 = 32 << 20;

/// What became of a task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Its parts.
    pub parts: Vec<PartInfo>,
    /// What was seen of each source.
    pub tallies: BTreeMap<usize, Tally>,
}

/// What is known of a part.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PartInfo {
    /// Documents.
    pub documents: u64,
    /// Their bytes of clean text.
    pub bytes: u64,
    /// Hashes of bands.
    pub bands: u64,
    /// Hashes of paragraphs.
    pub paragraphs: u64,
}

/// Where the documents of a part are kept.
pub(crate) fn documents_name(task: usize, part: usize) -> String {
    format!("{FOLDER}/{task:05}/{part:04}.documents")
}

/// Where that is kept which identifies the documents of a part.
pub(crate) fn entries_name(task: usize, part: usize) -> String {
    format!("{FOLDER}/{task:05}/{part:04}.entries")
}

/// The outcome of a task.
pub(crate) fn outcome_name(task: usize) -> String {
    format!("{FOLDER}/{task:05}.json")
}

pub(crate) fn run(
    context: &Context,
    inputs: &[Input],
    list: &TaskList,
) -> Result<Option<Waiting>, PrepareError> {
    let bytes = |piece: &Piece| piece.end.min(inputs[piece.input].size).saturating_sub(piece.start);
    let weight = |task: usize| list.tasks[task].iter().map(bytes).sum();
    let most = context.config.dataset.max_document_bytes;
    // A part, packed and unpacked, and the document that is being cleaned, in several copies.
    let stage = Stage {
        name: "read",
        folder: FOLDER,
        tasks: list.tasks.len(),
        memory: 3 * PART_BYTES + 4 * most.min(PART_BYTES),
    };
    context.run(&stage, weight, |task| one_task(context, inputs, task, &list.tasks[task]))
}

fn one_task(context: &Context, inputs: &[Input], task: usize, pieces: &[Piece]) -> Result<(), PrepareError> {
    let mut parts = Parts { context, task, infos: Vec::new(), open: None };
    let mut tallies: BTreeMap<usize, Tally> = BTreeMap::new();
    let refineries: Vec<Refinery> =
        context.config.sources.iter().map(|source| Refinery::new(context.config, source)).collect();
    let mut scratch = Scratch::default();
    for &piece in pieces {
        let input = &inputs[piece.input];
        let refinery = &refineries[input.source];
        let tally = tallies.entry(input.source).or_default();
        let mut oddities = Oddities::default();
        let reading = Reading {
            input,
            source: &context.config.sources[input.source],
            piece,
            most: context.config.dataset.max_document_bytes,
            progress: context.progress,
        };
        read(&reading, &mut |found| {
            match found {
                Found::Document(document, paragraphs) => {
                    tally.found += 1;
                    let place = document.key.clone();
                    match refinery.refine(document, paragraphs, &mut scratch, &mut oddities) {
                        Ok((mut kept, mut entry)) => {
                            (kept.source, entry.source) = (input.source as u32, input.source as u32);
                            tally.keep_one(entry.bytes, kept.language.as_deref());
                            parts.push(&kept, entry)?;
                        }
                        Err((reason, text)) => tally.drop_one(reason, place, excerpt(&text)),
                    }
                }
                Found::Dropped(reason, place, text) => {
                    tally.found += 1;
                    tally.drop_one(&reason, place, text);
                }
                Found::Damaged(place, reason) => damaged(context.config, tally, place, reason)?,
                Found::Markup(kind, count) => *tally.markup.entry(kind.to_owned()).or_default() += count,
                Found::Converted => tally.converted += 1,
            }
            Ok(())
        })?;
        note(tally, &oddities);
    }
    let parts = parts.finish()?;
    context.work.put_json(&outcome_name(task), &Outcome { parts, tallies })
}

/// Counts the characters that were taken out of texts, and those that stand for what others could not read.
fn note(tally: &mut Tally, oddities: &Oddities) {
    for (kind, count) in [
        ("invisible character", oddities.invisible),
        ("private character", oddities.private),
        ("replacement character (stays)", oddities.replacements),
    ] {
        if count > 0 {
            *tally.markup.entry(kind.to_owned()).or_default() += count as u64;
        }
    }
}

/// Counts a damaged place, or gives up over it, as the configuration says.
pub(crate) fn damaged(
    config: &Config,
    tally: &mut Tally,
    place: String,
    reason: String,
) -> Result<(), PrepareError> {
    match config.dataset.damaged {
        OnDamage::Count => tally.damage_one(place, reason),
        OnDamage::Refuse => {
            let remedy = "get it again, or set dataset.damaged = \"count\"";
            return Err(PrepareError::input(place, format!("{reason}; {remedy}")));
        }
    }
    Ok(())
}

/// Cuts the documents of a task into parts, and writes them.
struct Parts<'a> {
    context: &'a Context<'a>,
    task: usize,
    infos: Vec<PartInfo>,
    open: Option<(Packer, Packer, PartInfo)>,
}

impl Parts<'_> {
    fn push(&mut self, kept: &Kept, entry: Entry) -> Result<(), PrepareError> {
        let failed =
            |error: std::io::Error| PrepareError::Machine(format!("a part cannot be packed: {error}"));
        let (documents, entries, info) = match &mut self.open {
            Some(open) => open,
            None => {
                let packers = (Packer::new().map_err(failed)?, Packer::new().map_err(failed)?);
                self.open.insert((packers.0, packers.1, PartInfo::default()))
            }
        };
        documents.push(kept).map_err(failed)?;
        entries.push(&entry).map_err(failed)?;
        info.documents += 1;
        info.bytes += entry.bytes;
        info.bands += entry.bands.len() as u64;
        info.paragraphs += entry.paragraphs.len() as u64;
        if info.bytes >= PART_BYTES {
            self.close()?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), PrepareError> {
        let Some((documents, entries, info)) = self.open.take() else { return Ok(()) };
        let failed =
            |error: std::io::Error| PrepareError::Machine(format!("a part cannot be packed: {error}"));
        let (task, part) = (self.task, self.infos.len());
        self.context.work.put(&documents_name(task, part), documents.finish().map_err(failed)?)?;
        self.context.work.put(&entries_name(task, part), entries.finish().map_err(failed)?)?;
        self.infos.push(info);
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<PartInfo>, PrepareError> {
        self.close()?;
        Ok(self.infos)
    }
}
