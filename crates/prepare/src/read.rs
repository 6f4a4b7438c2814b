//! Files to documents, one after the other, without keeping more than one in memory. A file may be read in pieces: a
//! piece is a range of the file's own bytes, and has the documents that begin in it. Knows nothing of what is done
//! with the documents.

mod lines;
mod table;
mod text;
mod web;
mod wiki;

use std::borrow::Cow;
use std::io;

use corpus::{Document, Paragraphs};

use crate::input::Input;
use crate::open::Packing;
use crate::origin::storage_failed;
use crate::{Format, PrepareError, Progress, SourceConfig};

/// A range of the bytes of an input. The documents that begin in it belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Piece {
    /// Which input.
    pub input: usize,
    /// The first byte.
    pub start: u64,
    /// The byte after the last; `u64::MAX` for the end of the file, wherever that is.
    pub end: u64,
}

/// What was found in a file.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// A document, and how its paragraphs are marked.
    Document(Document, Paragraphs),
    /// A document that cannot be used, for this reason; where it is, and what it begins with.
    Dropped(Cow<'static, str>, String, String),
    /// A file or a part of it that is damaged: where, and how.
    Damaged(String, String),
    /// So many pieces of markup of this kind were left out of documents.
    Markup(&'static str, u64),
    /// A document was not UTF-8, and was converted.
    Converted,
}

impl Found {
    /// A document that cannot be used.
    fn dropped(reason: impl Into<Cow<'static, str>>, place: String, text: String) -> Self {
        Found::Dropped(reason.into(), place, text)
    }
}

/// Takes what was found.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(Found) -> Result<(), PrepareError>;

/// Everything that the reading of one piece needs to know.
pub(crate) struct Reading<'a> {
    pub input: &'a Input,
    pub source: &'a SourceConfig,
    pub piece: Piece,
    /// The most bytes of a document.
    pub most: u64,
    pub progress: &'a dyn Progress,
}

/// Reads a piece and hands its documents on.
pub(crate) fn read(reading: &Reading, sink: Sink) -> Result<(), PrepareError> {
    let opened = reading.input.origin.open(reading.input.size);
    let found = opened.and_then(|input| Ok((Packing::sniff(&input)?, input)));
    let (packing, input) = match found {
        Ok(found) => found,
        Err(error) => return reading.failed(&error, "file", sink),
    };
    match reading.source.format {
        Format::Text | Format::Book => text::read(reading, &input, packing, sink),
        Format::Jsonl => lines::read(reading, &input, packing, sink),
        Format::Parquet => table::read(reading, &input, sink),
        Format::Wikipedia => wiki::read(reading, &input, packing, sink),
        Format::Warc => web::read(reading, &input, packing, sink),
    }
}

/// Whether a file can be read in pieces.
pub(crate) fn splits(format: Format, packing: Packing) -> bool {
    match (format, packing) {
        (Format::Text | Format::Book, _) => false,
        (Format::Jsonl, packing) => packing == Packing::Plain,
        (Format::Parquet, _) => true,
        (Format::Wikipedia, packing) => matches!(packing, Packing::Plain | Packing::Bzip2),
        // A member per record can be found from anywhere; in a plain archive, a record may contain another one.
        (Format::Warc, packing) => packing == Packing::Gzip,
    }
}

impl Reading<'_> {
    fn document(&self, key: String) -> Document {
        Document { source: self.source.name.clone(), key, ..Document::default() }
    }

    fn place(&self) -> String {
        self.input.origin.place()
    }

    /// Tells apart what is wrong with the data, which is counted, from what is wrong with the way to it.
    fn failed(&self, error: &io::Error, what: &str, sink: Sink) -> Result<(), PrepareError> {
        match storage_failed(error) {
            Some(failed) => Err(PrepareError::Storage(failed.0.clone())),
            None => sink(Found::Damaged(
                self.place(),
                format!("the {what} is damaged or cannot be read: {error}"),
            )),
        }
    }
}

/// The beginning of a text, for people.
pub(crate) fn excerpt(text: &str) -> String {
    const SHOWN: usize = 160;
    let line = text.split_whitespace().take(40).collect::<Vec<_>>().join(" ");
    line[..line.floor_char_boundary(SHOWN)].to_owned()
}

#[cfg(test)]
mod tests;
