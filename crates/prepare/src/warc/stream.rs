//! The text of an archive, unpacked where it is gzip, and where in the raw bytes it came from. Knows the first line
//! of records only to tell a gzip member that is a record's from one that is not.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use flate2::{Decompress, FlushDecompress, Status};

use super::head;
use super::window::{BLOCK, Window};

/// How a gzip member with deflate begins (RFC 1952).
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
/// A candidate for a record's gzip member must show the record's first line within this many raw bytes.
const CANDIDATE: usize = 1 << 17;

/// What came of asking for more text.
pub(super) enum Step {
    /// There may be more text.
    More,
    /// The archive is over.
    End,
    /// What follows cannot be unpacked.
    Damaged(&'static str),
}

pub(super) struct Stream<R> {
    raw: Window<R>,
    /// `None` until the first bytes were seen.
    packed: Option<bool>,
    /// The gzip member that is being unpacked.
    member: Option<Decompress>,
    /// Text that was unpacked; the first `at` bytes of it were consumed.
    text: Vec<u8>,
    at: usize,
    /// How much text was consumed in all.
    consumed: u64,
    /// Of the gzip members with text that is there: where their text begins (counted from the first text of all),
    /// and where they begin in the archive.
    members: VecDeque<(u64, u64)>,
    /// How many raw bytes of a member are kept, to look for other members in them if it is damaged.
    keep: usize,
}

impl<R: BufRead> Stream<R> {
    pub(super) fn new(reader: R, keep: usize) -> Self {
        Self {
            raw: Window::new(reader),
            packed: None,
            member: None,
            text: Vec::new(),
            at: 0,
            consumed: 0,
            members: VecDeque::new(),
            keep,
        }
    }

    /// The text that is there.
    pub(super) fn text(&self) -> &[u8] {
        &self.text[self.at..]
    }

    /// Where the text begins in the archive: its gzip member, or itself where nothing is packed.
    pub(super) fn offset(&self) -> u64 {
        match self.packed {
            Some(true) => self.members.front().map_or_else(|| self.raw.position(), |&(_, offset)| offset),
            _ => self.raw.position() - self.text().len() as u64,
        }
    }

    /// Whether the text that is there reaches the end of a gzip member.
    pub(super) fn member_ended(&self) -> bool {
        self.packed == Some(true) && self.member.is_none()
    }

    /// Where, at or after `from`, the text of a gzip member begins.
    pub(super) fn member_from(&self, from: usize) -> Option<usize> {
        let from = self.consumed + from as u64;
        let first = self.members.partition_point(|&(at, _)| at < from);
        self.members.get(first).map(|&(at, _)| (at - self.consumed) as usize)
    }

    /// Forgets the first `count` bytes of the text.
    pub(super) fn consume(&mut self, count: usize) {
        self.at += count;
        self.consumed += count as u64;
        self.forget_members();
        if self.at == self.text.len() || self.at >= BLOCK.max(self.text.len() / 2) {
            self.text.drain(..self.at);
            self.at = 0;
        }
    }

    fn forget_members(&mut self) {
        while self.members.get(1).is_some_and(|&(at, _)| at <= self.consumed) {
            self.members.pop_front();
        }
    }

    /// Keeps no raw bytes of this member any longer: it is not to be read twice.
    pub(super) fn give_up_rewinding(&mut self) {
        self.raw.unmark();
    }

    /// How many bytes it has room for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity() + self.raw.capacity()
    }

    /// Appends text.
    pub(super) fn more(&mut self) -> io::Result<Step> {
        let packed = match self.packed {
            Some(packed) => packed,
            None => {
                // One of these bytes may be damaged: then the first member is, and not the whole archive.
                let alike =
                    self.raw.peek(GZIP.len())?.iter().zip(GZIP).filter(|(found, wanted)| *found == wanted);
                *self.packed.insert(alike.count() >= GZIP.len() - 1)
            }
        };
        if packed {
            return self.unpack();
        }
        let bytes = self.raw.peek(1)?;
        let count = bytes.len();
        self.text.extend_from_slice(bytes);
        self.raw.advance(count);
        Ok(if count == 0 { Step::End } else { Step::More })
    }

    fn unpack(&mut self) -> io::Result<Step> {
        if self.raw.since_mark().is_some_and(|kept| kept > self.keep) {
            self.raw.unmark();
        }
        let Some(member) = &mut self.member else { return self.next_member() };
        let bytes = self.raw.peek(1)?;
        if bytes.is_empty() {
            return Ok(Step::Damaged("the archive ends inside a gzip member"));
        }
        let (read, written) = (member.total_in(), member.total_out());
        let before = self.text.len();
        self.text.resize(before + BLOCK, 0);
        let status = member.decompress(bytes, &mut self.text[before..], FlushDecompress::None);
        let (read, written) = ((member.total_in() - read) as usize, (member.total_out() - written) as usize);
        self.text.truncate(before + written);
        self.raw.advance(read);
        match status {
            Ok(Status::StreamEnd) => self.member = None,
            Ok(_) if read > 0 || written > 0 => {}
            Ok(_) | Err(_) => return Ok(Step::Damaged("a gzip member is damaged")),
        }
        Ok(Step::More)
    }

    /// At the end of a member, or of all of them.
    fn next_member(&mut self) -> io::Result<Step> {
        // Zeros behind a member are padding, as gzip itself has it.
        loop {
            let bytes = self.raw.peek(GZIP.len())?;
            let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
            if zeros == 0 {
                break;
            }
            self.raw.advance(zeros);
        }
        let bytes = self.raw.peek(GZIP.len())?;
        if bytes.is_empty() {
            return Ok(Step::End);
        }
        let gzip = bytes.starts_with(&GZIP);
        // A piece that is no member is where the search for one begins.
        self.raw.mark();
        self.begin_member();
        Ok(if gzip { Step::More } else { Step::Damaged("what follows a gzip member is not another one") })
    }

    fn begin_member(&mut self) {
        let at = self.consumed + self.text().len() as u64;
        // Members without text leave no trace.
        while self.members.back().is_some_and(|&(start, _)| start == at) {
            self.members.pop_back();
        }
        self.members.push_back((at, self.raw.position()));
        self.forget_members();
        self.member = Some(Decompress::new_gzip(15));
    }

    /// Gives up the text that is there and goes to the next gzip member that begins with a record, from the byte
    /// after the present member's first on. With `plain`, a line that is the head of a record will do as well. False
    /// at the end of the archive.
    pub(super) fn find(&mut self, plain: bool) -> io::Result<bool> {
        if self.raw.rewind() {
            self.raw.advance(1);
        }
        // The beginning of the archive is that of a line.
        let mut line = plain && self.raw.position() == 0;
        self.consume(self.text().len());
        loop {
            if line && self.begins_line()? {
                self.packed = Some(false);
                return Ok(true);
            }
            let bytes = self.raw.peek(GZIP.len())?;
            if bytes.starts_with(&GZIP) {
                if self.begins_record()? {
                    self.packed = Some(true);
                    return Ok(true);
                }
            } else if bytes.is_empty() {
                return Ok(false);
            }
            let bytes = self.raw.peek(1)?;
            line = plain && bytes.first() == Some(&b'\n');
            let rest = bytes.get(1..).unwrap_or_default();
            let next = match line {
                true => 0,
                false if plain => memchr::memchr2(GZIP[0], b'\n', rest).unwrap_or(rest.len()),
                false => memchr::memchr(GZIP[0], rest).unwrap_or(rest.len()),
            };
            self.raw.advance(1 + next);
        }
    }

    /// Whether the raw bytes go on with a record's head.
    fn begins_line(&mut self) -> io::Result<bool> {
        let mut wanted = 1;
        loop {
            let bytes = self.raw.peek(wanted)?;
            let all = bytes.len() < wanted;
            match head::begins(bytes, all) {
                Some(begins) => return Ok(begins),
                None if all => return Ok(false),
                None => wanted = bytes.len() + 1,
            }
        }
    }

    /// Begins a member, and says whether it begins with a record. If not, nothing is left of it.
    fn begins_record(&mut self) -> io::Result<bool> {
        self.members.clear();
        self.raw.mark();
        self.begin_member();
        let begins = loop {
            // The blank text between records may stand before the first.
            let blank = blank(self.text());
            match head::begins(&self.text()[blank..], self.member.is_none()) {
                Some(begins) => break begins,
                None if self.member.is_none() => break false,
                None => {}
            }
            let far = self.raw.since_mark().is_none_or(|read| read > CANDIDATE) || blank > CANDIDATE;
            if far || !matches!(self.unpack()?, Step::More) {
                break false;
            }
        };
        if !begins {
            self.raw.rewind();
            self.member = None;
            self.consume(self.text().len());
        }
        Ok(begins)
    }
}

/// How many line ends the text begins with.
pub(super) fn blank(text: &[u8]) -> usize {
    text.iter().take_while(|&&byte| matches!(byte, b'\r' | b'\n')).count()
}
