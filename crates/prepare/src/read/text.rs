//! A document per file.

use corpus::{Document, book, decode};

use super::{Found, Reading, Sink};
use crate::open::{Packing, read_all, unpacked};
use crate::origin::Opened;
use crate::{Format, PrepareError};

pub(super) fn read(
    reading: &Reading,
    input: &Opened,
    packing: Packing,
    sink: Sink,
) -> Result<(), PrepareError> {
    let read = unpacked(input, packing, reading.progress)
        .and_then(|mut reader| read_all(&mut *reader, reading.most));
    let bytes = match read {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            return sink(Found::dropped(
                "document is larger than max_document_bytes",
                reading.place(),
                String::new(),
            ));
        }
        Err(error) => return reading.failed(&error, packing.name(), sink),
    };
    let (text, converted) = decode(&bytes);
    if converted {
        sink(Found::Converted)?;
    }
    let mut document = reading.document(reading.input.key.clone());
    match reading.source.format {
        Format::Book => strip(&text, &mut document, sink)?,
        _ => document.text = text.into_owned(),
    }
    sink(Found::Document(document, reading.source.paragraphs))
}

/// A book without what Project Gutenberg has put around and into it.
fn strip(text: &str, document: &mut Document, sink: Sink) -> Result<(), PrepareError> {
    // Markers are looked for line by line, whatever ends a line.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let found = book::strip(&text);
    let mut dropped = book::Dropped::default();
    document.text = book::tidy(&text[found.body], &mut dropped);
    document.title = found.title;
    for (kind, count) in [
        ("illustration", dropped.illustrations),
        ("page number", dropped.page_numbers),
        ("mark of italics", dropped.italics),
        ("rule", dropped.rules),
        ("line of a table of contents", dropped.contents_lines),
    ] {
        if count > 0 {
            sink(Found::Markup(kind, count as u64))?;
        }
    }
    Ok(())
}
