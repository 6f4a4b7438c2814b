//! Books as volunteers typed them: where the book itself lies between the headers, licences and notes of Project
//! Gutenberg, and what its header says of it. Works on texts as they come, before they are cleaned; other texts are
//! left alone. Knows no names of books, only the phrases that all these files share.

mod header;
mod tidy;

use std::ops::Range;

use header::Header;
pub use tidy::{Dropped, tidy};

/// What a file says of the book in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// Where the book itself lies.
    pub body: Range<usize>,
    /// Its title.
    pub title: Option<String>,
    /// Who wrote it.
    pub author: Option<String>,
    /// The ISO 639-1 code of its language, if the header names one of the commoner ones.
    pub language: Option<String>,
}

/// A header is looked for in so many lines: the longest ones (of about 2001) have 340.
const HEADER_LINES: usize = 600;
/// So many paragraphs behind a header can be about who made the file.
const CREDITS: usize = 12;
/// A paragraph of more lines is the book.
const CREDIT_LINES: usize = 12;
/// A transcriber's notes at the end have at most so many lines, and at most a tenth of the book.
const NOTE_LINES: usize = 300;

/// One line: where it begins, and what is in it, without white space at its ends.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    start: usize,
    text: &'a str,
}

impl Line<'_> {
    /// In small letters, without what it is decorated with; the apostrophe is typed in one way.
    fn plain(&self) -> String {
        let bare = self.text.trim_matches(|c: char| "*[]_: \u{feff}".contains(c));
        bare.to_lowercase().replace('’', "'")
    }

    fn has(&self, phrase: &str) -> bool {
        self.text.len() >= phrase.len() && self.plain().contains(phrase)
    }
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let mut start = 0;
    let mut lines = Vec::new();
    for line in text.split_inclusive('\n') {
        lines.push(Line { start, text: line.trim() });
        start += line.len();
    }
    lines
}

/// Finds the book in a file of Project Gutenberg, of any age. In any other text, all of it is the body.
pub fn strip(text: &str) -> Book {
    let lines = lines(text);
    let mut end = lines.iter().position(ends_the_book).unwrap_or(lines.len());
    let header = Header::find(&lines[..end.min(HEADER_LINES)]);
    if header.is_none() && end == lines.len() {
        return Book { body: 0..text.len(), ..Book::default() };
    }
    let Header { end: mut start, title, author, language } = header.unwrap_or_default();
    if start > 0 || title.is_some() {
        start = skip_credits(&lines[..end], start);
    }
    let blank = |line: &&Line| line.text.is_empty();
    end -= lines[start..end].iter().rev().take_while(blank).count();
    end -= notes_at_the_end(&lines[start..end]);
    end -= lines[start..end].iter().rev().take_while(blank).count();
    start += lines[start..end].iter().take_while(blank).count();
    let at = |line: usize| lines.get(line).map_or(text.len(), |line| line.start);
    Book { body: at(start)..at(end), title, author, language }
}

/// "*** END OF THIS PROJECT GUTENBERG EBOOK", "End of Project Gutenberg's ...", and the licence, should that line be
/// missing.
fn ends_the_book(line: &Line) -> bool {
    let starred = line.text.starts_with("***");
    if !starred && !line.text.starts_with(['E', 'e', 'T', 'F']) {
        return false;
    }
    let plain = line.plain();
    let end = ["end of", "the end of", "this is the end of", "ende d", "fin d"];
    let gutenberg = plain.contains("project gutenberg") || plain.contains("projekt gutenberg");
    end.iter().any(|end| plain.starts_with(end)) && gutenberg
        || starred && plain.starts_with("start: full license")
        || starred
            && plain.starts_with("start**the small print")
            && line.start > 0
            && plain.contains("ebooks")
}

/// Steps over the paragraphs behind a header that are about the file, not of the book.
fn skip_credits(lines: &[Line], mut at: usize) -> usize {
    for _ in 0..CREDITS {
        let from = at + lines[at..].iter().take_while(|line| line.text.is_empty()).count();
        let paragraph = lines[from..].iter().take_while(|line| !line.text.is_empty());
        let count = paragraph.take(CREDIT_LINES + 1).count();
        if count == 0 {
            break;
        }
        if count > CREDIT_LINES {
            // No blank lines in this file, or the book has begun.
            return from + lines[from..].iter().take_while(|line| begins_credits(&line.plain())).count();
        }
        let paragraph = &lines[from..from + count];
        match is_credits(paragraph) {
            true => at = from + count,
            false => break,
        }
        if count == 1 && is_note(&paragraph[0].plain()) {
            at = skip_note(lines, at);
        }
    }
    at
}

/// Steps over the paragraphs of a note whose heading stands alone: up to three blank lines.
fn skip_note(lines: &[Line], mut at: usize) -> usize {
    const PARAGRAPHS: usize = 5;
    for _ in 0..PARAGRAPHS {
        let blank = lines[at..].iter().take_while(|line| line.text.is_empty()).count();
        if blank > 2 {
            break;
        }
        at += blank;
        at += lines[at..].iter().take_while(|line| !line.text.is_empty()).count();
    }
    at
}

fn begins_credits(plain: &str) -> bool {
    const BEGINNINGS: [&str; 14] = [
        "produced by",
        "e-text prepared",
        "etext prepared",
        "etext produced",
        "this etext",
        "this e-text",
        "this ebook was",
        "transcribed by",
        "transcribed from",
        "scanned by",
        "prepared by",
        "html version by",
        "updated editions",
        "portions of this header",
    ];
    BEGINNINGS.iter().any(|beginning| plain.starts_with(beginning)) || is_note(plain)
}

/// A transcriber's note, or its heading.
fn is_note(plain: &str) -> bool {
    let plain = plain.strip_prefix("original ").unwrap_or(plain);
    ["transcriber's note", "transcribers note", "transcriber's endnote"]
        .iter()
        .any(|note| plain.starts_with(note))
        || plain.starts_with("typographical errors corrected by the etext transcriber")
}

fn is_credits(paragraph: &[Line]) -> bool {
    const MARKS: [&str; 9] = [
        "gutenberg",
        "etext",
        "e-text",
        "ebook",
        "proofread",
        "pgdp.net",
        "http://",
        "https://",
        "scanned by",
    ];
    paragraph.first().is_some_and(|line| begins_credits(&line.plain()))
        || paragraph.iter().any(|line| MARKS.iter().any(|mark| line.has(mark)))
}

/// How many lines at the end are a transcriber's notes.
fn notes_at_the_end(lines: &[Line]) -> usize {
    let most = NOTE_LINES.min(lines.len() / 10);
    let tail = &lines[lines.len() - most..];
    tail.iter().position(|line| is_note(&line.plain())).map_or(0, |at| most - at)
}

#[cfg(test)]
mod tests;
