//! The web pages of a WARC or ARC archive. In a file with a gzip member per record, a piece has the records whose member
//! begins in it.

use std::io::ErrorKind;

use corpus::{Paragraphs, html};

use super::{Found, Reading, Sink};
use crate::PrepareError;
use crate::open::{Packing, raw, unpacked};
use crate::origin::Opened;
use crate::warc::{self, Kind, Records};

pub(super) fn read(
    reading: &Reading,
    input: &Opened,
    packing: Packing,
    sink: Sink,
) -> Result<(), PrepareError> {
    let piece = reading.piece;
    let most = reading.most as usize;
    match packing {
        Packing::Plain | Packing::Gzip => {
            let reader = raw(input, piece.start, piece.end, reading.progress);
            let records = match piece.start {
                0 => Records::new(reader, most),
                _ => Records::anywhere(reader, most),
            };
            take_all(reading, records, packing, sink)
        }
        Packing::Bzip2 | Packing::Zstd => match unpacked(input, packing, reading.progress) {
            Ok(reader) => take_all(reading, Records::new(reader, most), packing, sink),
            Err(error) => reading.failed(&error, packing.name(), sink),
        },
    }
}

fn take_all<R: std::io::BufRead>(
    reading: &Reading,
    mut records: Records<R>,
    packing: Packing,
    sink: Sink,
) -> Result<(), PrepareError> {
    let piece = reading.piece;
    loop {
        let found = match records.next_record() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return reading.failed(&error, packing.name(), sink),
        };
        let (warc::Found::Record(warc::Record { offset, .. }) | warc::Found::Damaged { offset, .. }) = &found;
        let offset = piece.start + offset;
        if offset >= piece.end {
            return Ok(());
        }
        let key = format!("{}@{offset}", reading.input.key);
        match found {
            warc::Found::Record(record) => take(reading, &record, key, sink)?,
            warc::Found::Damaged { reason, .. } => {
                sink(Found::Damaged(format!("{} (record at byte {offset})", reading.place()), reason))?;
            }
        }
    }
}

fn take(reading: &Reading, record: &warc::Record, key: String, sink: Sink) -> Result<(), PrepareError> {
    let mut drop = |reason: &'static str| sink(Found::dropped(reason, key.clone(), record.uri.clone()));
    match record.kind {
        Kind::Response | Kind::Resource | Kind::Conversion => {}
        Kind::Revisit => return drop("record is a revisit"),
        _ => return Ok(()),
    }
    let Some(page) = record.page() else { return drop("record is not a web page") };
    if record.uri.ends_with("/robots.txt") {
        return drop("page is a robots.txt");
    }
    if page.status != 200 {
        return drop("page has another status than 200");
    }
    let is_html = matches!(page.mime.as_str(), "text/html" | "application/xhtml+xml");
    if !is_html && page.mime != "text/plain" {
        return drop("page is neither HTML nor text");
    }
    let (text, encoding) = html::decode(&page.body, page.charset.as_deref());
    let mut document = reading.document(key.clone());
    document.url = Some(record.uri.clone());
    document.date = record.date.clone();
    if is_html {
        let limits = html::Limits { bytes: reading.most as usize, ..html::Limits::default() };
        match html::main_text(&text, &limits) {
            Ok(article) => {
                document.text = article.text;
                document.title = article.title;
                document.date = article.date.or(document.date);
            }
            Err(refused) => return sink(Found::dropped(refused.to_string(), key, record.uri.clone())),
        }
        if document.text.is_empty() {
            return drop("page has no main text");
        }
    } else {
        document.text = text;
    }
    if encoding != "UTF-8" {
        sink(Found::Converted)?;
    }
    sink(Found::Document(document, if is_html { Paragraphs::Line } else { Paragraphs::Auto }))
}
