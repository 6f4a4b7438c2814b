//! The articles of a MediaWiki XML dump. A piece has the pages whose first byte lies in it; in a bzip2 file, the pages
//! that begin in one of its blocks.

use std::io::{BufReader, Read};

use corpus::Paragraphs;
use corpus::wiki::{self, Pages, Site};

use super::{Found, Reading, Sink, excerpt};
use crate::PrepareError;
use crate::bzip::Blocks;
use crate::open::{Packing, raw, unpacked};
use crate::origin::Opened;

/// What stands before the first page: names of namespaces, at most some ten kilobytes.
const HEAD: u64 = 1 << 17;
const BUFFER: usize = 1 << 18;

pub(super) fn read(
    reading: &Reading,
    input: &Opened,
    packing: Packing,
    sink: Sink,
) -> Result<(), PrepareError> {
    let mut head = Vec::new();
    let silent = crate::Silent;
    let read = unpacked(input, packing, &silent).and_then(|reader| reader.take(HEAD).read_to_end(&mut head));
    // A file whose head is damaged may have whole pages; what is wrong with it is told when it is read.
    drop(read);
    let site = Site::parse(&head);
    let piece = reading.piece;
    match packing {
        Packing::Plain => {
            let reader = raw(input, piece.start, piece.end, reading.progress);
            let own = piece.end - piece.start;
            pages(reading, &site, packing, Pages::new(reader, reading.most as usize), |_| Some(own), sink)
        }
        Packing::Bzip2 => {
            let reader = raw(input, piece.start, piece.end, reading.progress);
            let blocks = BufReader::with_capacity(BUFFER, Blocks::new(reader, piece.start..piece.end));
            let pages_of = Pages::new(blocks, reading.most as usize);
            pages(reading, &site, packing, pages_of, |blocks| blocks.get_ref().own_end(), sink)
        }
        Packing::Gzip | Packing::Zstd => match unpacked(input, packing, reading.progress) {
            Ok(reader) => {
                pages(reading, &site, packing, Pages::new(reader, reading.most as usize), |_| None, sink)
            }
            Err(error) => reading.failed(&error, packing.name(), sink),
        },
    }
}

/// `own_end` tells where the pages begin that belong to the next piece, as soon as that is known.
fn pages<R: std::io::BufRead>(
    reading: &Reading,
    site: &Site,
    packing: Packing,
    mut pages: Pages<R>,
    own_end: impl Fn(&R) -> Option<u64>,
    sink: Sink,
) -> Result<(), PrepareError> {
    loop {
        let found = match pages.next_page() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(error) => {
                let resumable = packing == Packing::Bzip2 && error.kind() == std::io::ErrorKind::InvalidData;
                reading.failed(&error, packing.name(), sink)?;
                if resumable {
                    continue;
                }
                return Ok(());
            }
        };
        let offset = match &found {
            wiki::Found::Page(page) => page.offset,
            wiki::Found::Damaged { offset, .. } => *offset,
        };
        if own_end(pages.get_ref()).is_some_and(|end| offset >= end) {
            return Ok(());
        }
        match found {
            wiki::Found::Page(page) => take(reading, site, page, sink)?,
            wiki::Found::Damaged { offset, reason } => {
                let place =
                    format!("{} (page at byte {offset} from {})", reading.place(), reading.piece.start);
                sink(Found::Damaged(place, reason.to_owned()))?;
            }
        }
    }
}

fn take(reading: &Reading, site: &Site, page: wiki::Page, sink: Sink) -> Result<(), PrepareError> {
    // The revision is a part of the key: another dump has another text.
    let key = format!("{}:{}@{}", site.dbname().unwrap_or("wiki"), page.id, page.revision);
    let dropped = match &page {
        page if page.namespace != 0 => Some("page is not an article"),
        page if page.redirect => Some("page is a redirect"),
        page if page.model.as_deref().is_some_and(|model| model != "wikitext") => {
            Some("page is not wikitext")
        }
        page if wiki::is_disambiguation(&page.text) => Some("page is a disambiguation"),
        _ => None,
    };
    if let Some(reason) = dropped {
        return sink(Found::dropped(reason, key, page.title));
    }
    let mut markup = wiki::Counts::default();
    let mut document = reading.document(key);
    document.text = wiki::text(&page.text, site, &reading.source.wiki, &mut markup);
    for (kind, count) in markup {
        sink(Found::Markup(kind, count))?;
    }
    if document.text.is_empty() {
        return sink(Found::dropped("page has no prose", document.key, excerpt(&page.text)));
    }
    document.title = Some(page.title);
    document.date = page.timestamp;
    document.language = site.language().map(str::to_owned);
    sink(Found::Document(document, Paragraphs::Line))
}
