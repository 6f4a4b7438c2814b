//! Records of web archives, one after the other: WARC 0.17 to 1.1 and ARC 1.0, plain or gzip, with a gzip member for
//! each record or one for all of them. Damaged places are reported and passed over, and no more than about two
//! records' worth of bytes is in memory. Knows nothing of HTML, files or where the bytes come from.

mod head;
mod page;
mod stream;
mod window;

use std::io::{self, BufRead};

use head::{HEAD_BYTES, Head, begins};
use stream::{Step, Stream, blank};

/// What kind of record it is (WARC 1.1, section 6). ARC's are responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What a server answered, with its HTTP head.
    Response,
    /// What was fetched, without a protocol's head.
    Resource,
    /// What was made of another record: Common Crawl's plain text.
    Conversion,
    /// A page that had not changed since it was last fetched.
    Revisit,
    /// What a server was asked.
    Request,
    /// Remarks on another record.
    Metadata,
    /// Remarks on the archive.
    Warcinfo,
    /// Anything else, a further segment of a long record among others.
    Other,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it begins in the raw bytes: its gzip member's first byte, or its own.
    pub offset: u64,
    /// What kind of record it is.
    pub kind: Kind,
    /// What was fetched; empty where the record does not say.
    pub uri: String,
    /// When, as RFC 3339 has it.
    pub date: Option<String>,
    /// The type of the body; empty where the record does not say.
    pub content_type: String,
    /// All that follows the head.
    pub body: Vec<u8>,
    /// The most that [`Record::page`] may make of the body.
    limit: usize,
}

/// One step through an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A record.
    Record(Record),
    /// Something that is not one, and was passed over.
    Damaged {
        /// Where it begins, as [`Record::offset`] has it.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// The records of an archive.
pub struct Records<R> {
    stream: Stream<R>,
    max_record_bytes: usize,
    place: Place,
}

/// Where the stream stands.
enum Place {
    /// At a record, or at blank text before one.
    Ready,
    /// Anywhere at all.
    Anywhere,
    /// In a gzip member that cannot be unpacked.
    Member,
    /// In text that is not a record's beginning. The offset of what was reported last.
    Text(u64),
    /// Behind the last record, or behind an error.
    Over,
}

/// Why no record was read.
enum Trouble {
    Io(io::Error),
    /// The text is not as it must be.
    Text(&'static str),
    /// The text goes no further.
    Member(&'static str),
    /// The record, of so many bytes, is not to be kept.
    TooLarge(u64),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<R: BufRead> Records<R> {
    /// The records of an archive from its beginning. Records with more than `max_record_bytes` are passed over.
    pub fn new(reader: R, max_record_bytes: usize) -> Self {
        Self {
            stream: Stream::new(reader, max_record_bytes.saturating_add(HEAD_BYTES)),
            max_record_bytes,
            place: Place::Ready,
        }
    }

    /// The records from the first whole one on, wherever in an archive the reader begins. Of a gzip archive, that is
    /// the first member that begins with a record.
    pub fn anywhere(reader: R, max_record_bytes: usize) -> Self {
        Self { place: Place::Anywhere, ..Self::new(reader, max_record_bytes) }
    }

    /// The next record, or the next damaged place; `None` at the end.
    ///
    /// # Errors
    /// What the reader reports. There is nothing more after an error.
    pub fn next_record(&mut self) -> io::Result<Option<Found>> {
        let found = self.step();
        if !matches!(found, Ok(Some(_))) {
            self.place = Place::Over;
        }
        found
    }

    fn step(&mut self) -> io::Result<Option<Found>> {
        match self.place {
            Place::Over => return Ok(None),
            Place::Ready => {}
            Place::Anywhere => {
                if !self.stream.find(true)? {
                    return Ok(None);
                }
            }
            Place::Member => {
                if !self.stream.find(false)? {
                    return Ok(None);
                }
            }
            Place::Text(reported) => match self.find_text(reported)? {
                Step::More => {}
                Step::End => return Ok(None),
                Step::Damaged(reason) => {
                    self.place = Place::Member;
                    return Ok(Some(Found::Damaged { offset: self.stream.offset(), reason: reason.into() }));
                }
            },
        }
        self.place = Place::Ready;
        match self.record() {
            Ok(record) => Ok(record.map(Found::Record)),
            Err(Trouble::Io(error)) => Err(error),
            Err(trouble) => self.damaged(trouble).map(Some),
        }
    }

    /// Reports damage and says how to go on.
    fn damaged(&mut self, trouble: Trouble) -> io::Result<Found> {
        let offset = self.stream.offset();
        let reason = match trouble {
            Trouble::Io(error) => return Err(error),
            Trouble::Member(reason) => {
                self.place = Place::Member;
                reason.to_string()
            }
            Trouble::Text(reason) => {
                self.place = Place::Text(offset);
                reason.to_string()
            }
            Trouble::TooLarge(bytes) => {
                self.skip(bytes)?;
                format!("a record is larger than {} bytes", self.max_record_bytes)
            }
        };
        Ok(Found::Damaged { offset, reason })
    }

    /// The record that begins here.
    fn record(&mut self) -> Result<Option<Record>, Trouble> {
        if !self.skip_blank()? {
            return Ok(None);
        }
        while begins(self.stream.text(), false).is_none() && self.pull()? {}
        if begins(self.stream.text(), true) != Some(true) {
            return Err(Trouble::Text("not the head of a record"));
        }
        let head_bytes = loop {
            match head::length(self.stream.text()) {
                Some(length) => break length,
                None if self.stream.text().len() > HEAD_BYTES => {
                    return Err(Trouble::Text("the head of a record does not end"));
                }
                None if self.pull()? => {}
                None => return Err(Trouble::Text("the archive ends in the head of a record")),
            }
        };
        let Head { kind, uri, date, content_type, length } =
            head::parse(&self.stream.text()[..head_bytes]).map_err(Trouble::Text)?;
        if length > self.max_record_bytes as u64 {
            return Err(Trouble::TooLarge(length.saturating_add(head_bytes as u64)));
        }
        let end = head_bytes + length as usize;
        self.need(end)?;
        self.check_end(end)?;
        let offset = self.stream.offset();
        let body = self.stream.text()[head_bytes..end].to_vec();
        self.stream.consume(end);
        Ok(Some(Record { offset, kind, uri, date, content_type, body, limit: self.max_record_bytes }))
    }

    /// Goes past line ends. False at the end of the archive.
    fn skip_blank(&mut self) -> Result<bool, Trouble> {
        loop {
            self.stream.consume(blank(self.stream.text()));
            if !self.stream.text().is_empty() {
                return Ok(true);
            }
            if !self.pull()? {
                return Ok(false);
            }
        }
    }

    /// Gets more text. False at the end of the archive.
    fn pull(&mut self) -> Result<bool, Trouble> {
        match self.stream.more()? {
            Step::More => Ok(true),
            Step::End => Ok(false),
            Step::Damaged(reason) => Err(Trouble::Member(reason)),
        }
    }

    /// Gets the text up to `end`. A gzip member that begins with a record ends the one before it.
    fn need(&mut self, end: usize) -> Result<(), Trouble> {
        const SHORT: Trouble = Trouble::Text("a record is shorter than it says");
        // Up to where no member begins with a record.
        let mut checked = 1;
        while self.stream.text().len() < end {
            if !self.pull()? {
                return Err(SHORT);
            }
            while let Some(at) = self.stream.member_from(checked) {
                if at >= end {
                    break;
                }
                match begins(&self.stream.text()[at..], false) {
                    Some(true) => return Err(SHORT),
                    Some(false) => checked = at + 1,
                    None if self.pull()? => {}
                    None => checked = at + 1,
                }
            }
        }
        Ok(())
    }

    /// Only line ends stand between a record and what follows it: the next one, or the end of its gzip member.
    fn check_end(&mut self, end: usize) -> Result<(), Trouble> {
        const WRONG: Trouble = Trouble::Text("the length of a record is wrong");
        // Whether nothing but its own length tells whether the record is whole: no gzip member with a checksum.
        let shared = self.stream.member_from(0) != Some(0);
        let mut at = end;
        loop {
            at += blank(&self.stream.text()[at..]);
            let (between, rest) = self.stream.text()[end..].split_at(at - end);
            let empty = rest.is_empty();
            // They may be without end. What comes behind so many is looked at with the next record.
            if between.len() > HEAD_BYTES {
                return Ok(());
            }
            // Two line ends are right behind WARC's records; what follows them is what is wrong.
            let parted = shared && memchr::memchr_iter(b'\n', between).count() == 2;
            match begins(rest, false) {
                Some(true) => return Ok(()),
                Some(false) if parted => return Ok(()),
                Some(false) => return Err(WRONG),
                None if empty && self.stream.member_ended() => return Ok(()),
                None => {}
            }
            match self.pull() {
                Ok(true) => {}
                Ok(false) if empty || parted => return Ok(()),
                Ok(false) => return Err(WRONG),
                // This one came before the damage.
                Err(Trouble::Member(_)) if parted || empty && shared => return Ok(()),
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// Goes past the `left` bytes of a record that is too large to be kept, or to the gzip member before their end
    /// that begins with another record.
    fn skip(&mut self, mut left: u64) -> io::Result<()> {
        self.stream.give_up_rewinding();
        let mut own = true;
        while left > 0 {
            let text = self.stream.text();
            let undecided = match self.stream.member_from(0) {
                Some(0) if !own => match begins(text, false) {
                    Some(true) => return Ok(()),
                    Some(false) => false,
                    None => true,
                },
                _ => text.is_empty(),
            };
            if !undecided {
                let there = self.stream.member_from(1).unwrap_or(text.len()).min(text.len());
                let taken = usize::try_from(left).map_or(there, |left| left.min(there));
                self.stream.consume(taken);
                left -= taken as u64;
                own = false;
                continue;
            }
            match self.stream.more()? {
                Step::More => {}
                Step::End => return Ok(()),
                Step::Damaged(_) => {
                    self.place = Place::Member;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Goes to the next line that is a record's head, or to the next gzip member that begins with one.
    fn find_text(&mut self, reported: u64) -> io::Result<Step> {
        // The line that the stream stands in is not one.
        let mut from = 1;
        loop {
            let text = self.stream.text();
            let line = memchr::memchr(b'\n', text.get(from - 1..).unwrap_or_default()).map(|at| from + at);
            let next = line.into_iter().chain(self.stream.member_from(from)).min();
            match next.map(|at| begins(&text[at.min(text.len())..], false)) {
                Some(Some(true)) => {
                    self.stream.consume(next.unwrap_or(0));
                    return Ok(Step::More);
                }
                Some(Some(false)) => {
                    from = next.unwrap_or(from) + 1;
                    continue;
                }
                // What is before the line is done with.
                Some(None) => {
                    let done = next.unwrap_or(1) - 1;
                    self.stream.consume(done);
                    from = 1;
                }
                None => {
                    self.stream.consume(text.len().saturating_sub(1));
                    from = 1;
                }
            }
            match self.stream.more()? {
                Step::More => {}
                Step::Damaged(_) if self.stream.offset() == reported => {
                    return Ok(if self.stream.find(false)? { Step::More } else { Step::End });
                }
                other => return Ok(other),
            }
        }
    }
}

#[cfg(test)]
mod tests;
