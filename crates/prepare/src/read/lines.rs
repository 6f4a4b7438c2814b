//! A document per line, as a JSON object. A document's key is where its line begins in the unpacked file, so that it is
//! the same however the file is cut.

use std::io::BufRead;

use corpus::decode;

use super::{Found, Reading, Sink, excerpt};
use crate::PrepareError;
use crate::open::{Line, Packing, raw, read_line, unpacked};
use crate::origin::Opened;

pub(super) fn read(
    reading: &Reading,
    input: &Opened,
    packing: Packing,
    sink: Sink,
) -> Result<(), PrepareError> {
    let piece = reading.piece;
    let opened: std::io::Result<Box<dyn BufRead>> = match packing {
        Packing::Plain => Ok(Box::new(raw(input, piece.start, piece.end, reading.progress))),
        _ => unpacked(input, packing, reading.progress),
    };
    let mut reader = match opened {
        Ok(reader) => reader,
        Err(error) => return reading.failed(&error, packing.name(), sink),
    };
    let mut at = piece.start;
    let mut bytes = Vec::new();
    // The line that is under way at the beginning of a piece, even one that begins right there, belongs to the piece
    // before: that one cannot know whether it has read it whole.
    let mut skip = piece.start > 0;
    loop {
        let line = match read_line(&mut *reader, &mut bytes, reading.most) {
            Ok(line) => line,
            Err(error) => return reading.failed(&error, packing.name(), sink),
        };
        let begin = at;
        let skipped = std::mem::replace(&mut skip, false);
        match line {
            Line::End => return Ok(()),
            Line::Whole(len) | Line::TooLong(len) => at += len,
        }
        if skipped {
            continue;
        }
        if begin > piece.end {
            return Ok(());
        }
        let key = format!("{}@{begin}", reading.input.key);
        match line {
            Line::TooLong(_) => sink(Found::dropped(
                "line is larger than max_document_bytes",
                key,
                excerpt(&decode(&bytes).0),
            ))?,
            _ if bytes.trim_ascii().is_empty() => {}
            _ => parse(reading, &bytes, key, sink)?,
        }
    }
}

/// One line.
fn parse(reading: &Reading, bytes: &[u8], key: String, sink: Sink) -> Result<(), PrepareError> {
    let (line, converted) = decode(bytes);
    let line = line.strip_prefix('\u{feff}').unwrap_or(&line);
    let Ok(mut fields) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line) else {
        return sink(Found::dropped("line is not a JSON object", key, excerpt(line)));
    };
    let mut take = |name: &str| match fields.remove(name) {
        Some(serde_json::Value::String(value)) => Some(value),
        _ => None,
    };
    let Some(text) = take(&reading.source.text_field) else {
        return sink(Found::dropped("line has no text field", key, excerpt(line)));
    };
    if converted {
        sink(Found::Converted)?;
    }
    let mut document = reading.document(key);
    document.text = text;
    document.title = take("title");
    document.url = take("url");
    document.date = take("date").or_else(|| take("created"));
    sink(Found::Document(document, reading.source.paragraphs))
}
