//! The pages of a MediaWiki export (versions 0.10 and 0.11), one after the other, from a stream of bytes that may
//! begin and end anywhere. Knows nothing of markup: a page's text comes out as it stands in the dump.

use std::io::{BufRead, Error, ErrorKind, Result};

use memchr::memmem::{self, Finder};
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};

const OPEN: &[u8] = b"<page>";
const CLOSE: &[u8] = b"</page>";
/// What both end with.
const NAME: &[u8] = b"page>";

/// One page, with the newest of its revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Where its `<page>` begins, in bytes from the beginning of the stream.
    pub offset: u64,
    /// The title, with the namespace's prefix.
    pub title: String,
    /// The number of the namespace; articles are in 0.
    pub namespace: i32,
    /// The identity of the page.
    pub id: u64,
    /// The identity of the revision.
    pub revision: u64,
    /// When the revision was saved.
    pub timestamp: Option<String>,
    /// Whether the page only points to another one.
    pub redirect: bool,
    /// What the text is written in; `wikitext` for articles.
    pub model: Option<String>,
    /// The markup.
    pub text: String,
}

/// What stands at a `<page>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A whole page.
    Page(Page),
    /// Something that began like a page and cannot be used.
    Damaged {
        /// Where its `<page>` begins, in bytes from the beginning of the stream.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// The tag that ends a page, well-formed or not.
enum Tag {
    /// A `</page>` that ends here.
    Close(usize),
    /// The `<page>` of another one, which begins here.
    Open(usize),
}

/// Cuts a stream into pages. Holds one page at a time, and never more than the cap and one buffer of the reader.
pub struct Pages<R> {
    reader: R,
    cap: usize,
    /// The bytes that were read, and how many of them are done with; `offset` is where the others begin.
    held: Vec<u8>,
    passed: usize,
    offset: u64,
    ended: bool,
    failed: Option<Error>,
    open: Finder<'static>,
    name: Finder<'static>,
}

impl<R: BufRead> Pages<R> {
    /// The pages of `reader`; one that is longer than `max_page_bytes`, tags included, counts as damaged.
    pub fn new(reader: R, max_page_bytes: usize) -> Self {
        Pages {
            reader,
            cap: max_page_bytes.max(OPEN.len() + CLOSE.len()),
            held: Vec::new(),
            passed: 0,
            offset: 0,
            ended: false,
            failed: None,
            open: Finder::new(OPEN),
            name: Finder::new(NAME),
        }
    }

    /// What the pages are read from.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// The next page, or what is left of one; `None` at the end of the stream.
    ///
    /// # Errors
    /// The reader's error, after all that came before it. If the reader can go on behind it, so can the pages.
    pub fn next_page(&mut self) -> Result<Option<Found>> {
        if !self.seek() {
            // What is behind an error does not go on with what was before it.
            self.pass(self.rest().len());
            return self.failed.take().map_or(Ok(None), Err);
        }
        let offset = self.offset;
        let (reason, passed) = match self.tag() {
            Some(Tag::Close(end)) => {
                let page = parse(&String::from_utf8_lossy(&self.rest()[..end]), offset);
                self.pass(end);
                let damaged = Found::Damaged { offset, reason: "it is not well-formed XML" };
                return Ok(Some(page.map_or(damaged, Found::Page)));
            }
            Some(Tag::Open(at)) => ("another page begins before it ends", at),
            // The tag of the next page may begin in the last bytes.
            None if self.rest().len() >= self.cap => {
                ("it is larger than the cap", self.cap - (OPEN.len() - 1))
            }
            None => ("it is cut off by the end of the stream", self.rest().len()),
        };
        self.pass(passed);
        Ok(Some(Found::Damaged { offset, reason }))
    }

    /// Moves to the next `<page>`; false if there is none.
    fn seek(&mut self) -> bool {
        loop {
            if let Some(at) = self.open.find(self.rest()) {
                self.pass(at);
                return true;
            }
            self.pass(self.rest().len().saturating_sub(OPEN.len() - 1));
            if !self.read() {
                return false;
            }
        }
    }

    /// The next tag behind the `<page>` that comes next, if there is one within the cap and the stream. No byte is
    /// looked at twice, so that many pages without an end take no longer than others.
    fn tag(&mut self) -> Option<Tag> {
        let mut searched = OPEN.len();
        loop {
            let within = &self.rest()[..self.rest().len().min(self.cap)];
            for at in self.name.find_iter(&within[searched..]).map(|at| searched + at) {
                if within[..at].ends_with(b"</") {
                    return Some(Tag::Close(at + NAME.len()));
                }
                if within[..at].ends_with(b"<") {
                    return Some(Tag::Open(at - 1));
                }
            }
            searched = searched.max(within.len() - (NAME.len() - 1));
            if within.len() == self.cap || !self.read() {
                return None;
            }
        }
    }

    /// What was read and is not done with.
    fn rest(&self) -> &[u8] {
        &self.held[self.passed..]
    }

    fn pass(&mut self, bytes: usize) {
        self.passed += bytes;
        self.offset += bytes as u64;
    }

    /// Takes one more buffer from the reader; false if there is none.
    fn read(&mut self) -> bool {
        self.held.drain(..self.passed);
        self.passed = 0;
        while !self.ended && self.failed.is_none() {
            match self.reader.fill_buf() {
                Ok([]) => self.ended = true,
                Ok(bytes) => {
                    let taken = bytes.len();
                    self.held.extend_from_slice(bytes);
                    self.reader.consume(taken);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.failed = Some(error),
            }
        }
        false
    }
}

/// What one `<revision>` says.
#[derive(Default)]
struct Revision {
    id: u64,
    timestamp: Option<String>,
    model: Option<String>,
    text: String,
}

/// A page from the text of its element; `None` if that is not well-formed, or names no title.
fn parse(xml: &str, offset: u64) -> Option<Page> {
    let mut reader = Reader::from_str(xml);
    let mut page = Page { offset, ..Page::default() };
    let mut newest: Option<Revision> = None;
    let mut revision = Revision::default();
    let mut path: Vec<String> = Vec::new();
    let mut content = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => {
                path.push(tag.name().as_ref().to_owned());
                content.clear();
            }
            Event::Empty(tag) => page.redirect |= path.len() == 1 && tag.name().as_ref() == "redirect",
            Event::Text(text) => content.push_str(&text.xml10_content()),
            Event::CData(text) => content.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => content.push_str(&resolve(&reference)?),
            Event::End(_) => {
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                match names.as_slice() {
                    ["page", "title"] => page.title = std::mem::take(&mut content),
                    ["page", "ns"] => page.namespace = content.trim().parse().ok()?,
                    ["page", "id"] => page.id = content.trim().parse().ok()?,
                    ["page", "redirect"] => page.redirect = true,
                    ["page", "revision", "id"] => revision.id = content.trim().parse().ok()?,
                    ["page", "revision", "timestamp"] => {
                        revision.timestamp = Some(std::mem::take(&mut content));
                    }
                    ["page", "revision", "model"] => revision.model = Some(std::mem::take(&mut content)),
                    ["page", "revision", "text"] => revision.text = std::mem::take(&mut content),
                    ["page", "revision"] => newest = Some(newer(newest, std::mem::take(&mut revision))),
                    _ => {}
                }
                content.clear();
                path.pop();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    let newest = newest.unwrap_or_default();
    page.revision = newest.id;
    page.timestamp = newest.timestamp;
    page.model = newest.model;
    page.text = newest.text;
    (path.is_empty() && !page.title.is_empty()).then_some(page)
}

/// Timestamps are written so that their order is that of the letters.
fn newer(known: Option<Revision>, other: Revision) -> Revision {
    match known {
        Some(known) if (&known.timestamp, known.id) > (&other.timestamp, other.id) => known,
        _ => other,
    }
}

/// The character behind `&name;` or `&#number;`.
fn resolve(reference: &BytesRef) -> Option<String> {
    if reference.is_char_ref() {
        return reference.resolve_char_ref().ok()?.map(String::from);
    }
    resolve_xml_entity(reference).map(str::to_owned)
}

/// The bytes of the first `<name>…</name>` or `<name …>…</name>`, tags included; to the end if it is not closed.
pub(super) fn element<'a>(bytes: &'a [u8], open: &str, close: &str) -> Option<&'a [u8]> {
    let rest = &bytes[memmem::find(bytes, open.as_bytes())?..];
    let end = memmem::find(rest, close.as_bytes()).map_or(rest.len(), |at| at + close.len());
    Some(&rest[..end])
}

#[cfg(test)]
mod tests;
