//! bzip2 read from any place of a file, in ranges: several ranges of one file can be unpacked at the same time, each
//! from its first block on. Knows nothing of files, threads or what the text is.
//!
//! A bzip2 file is a row of streams, a stream a row of blocks of up to 900 kB of text, which begin at any bit with
//! the same 48 bits and can be unpacked alone. A block is found by this mark, moved to whole bytes, and unpacked as
//! a stream of its own. The checksum of every block is checked; that of a whole stream, which only repeats them, is
//! not.

mod scan;

use std::io::{Error, ErrorKind, Read, Result};
use std::ops::Range;

use bzip2::{Decompress, Status};
use scan::{END, Kind, MARK_BITS, Mark, Scanner};

/// The bits of a block before its data: mark and checksum.
const CHECKED_BITS: u64 = MARK_BITS + 32;
/// No block is longer: 900,000 symbols and their tables at 20 bits, the longest code that there is.
const MOST_BITS: u64 = 24_000_000;
/// What most blocks unpack to, and room to see that it was all.
const USUAL_TEXT: usize = 900_001;

/// The text of the blocks that begin in one range of a bzip2 file, and, for as long as it is read, of those behind
/// them. So what crosses the end of a range can be read to its end by the one who began it.
///
/// An error does not end the text: the next read goes on behind the damage.
pub struct Blocks<R> {
    scanner: Scanner<R>,
    /// The bit at which blocks of others begin.
    end: u64,
    /// Where to look for the next mark, and the mark if it is already known.
    from: u64,
    next: Option<Mark>,
    /// Where a block must begin, as a stream was opened there; and whether its header was cut off.
    expected: Option<u64>,
    cut: bool,
    finished: bool,
    text: Vec<u8>,
    /// How much of `text` was read, and how much text came before it.
    at: usize,
    before: u64,
    own_end: Option<u64>,
}

impl<R: Read> Blocks<R> {
    /// The blocks that begin in the bytes `range` of a file; the reader gives the file's bytes from the range's
    /// start on, to the end of the file.
    pub fn new(reader: R, range: Range<u64>) -> Self {
        Blocks {
            scanner: Scanner::new(reader, range.start),
            end: range.end.saturating_mul(8),
            from: range.start * 8,
            next: None,
            expected: None,
            cut: false,
            finished: false,
            text: Vec::new(),
            at: 0,
            before: 0,
            own_end: None,
        }
    }

    /// How long the text of the range's own blocks is. Known at the latest when more than that was read.
    pub fn own_end(&self) -> Option<u64> {
        self.own_end
    }

    /// Unpacks the next block into `text`, which stays empty at the end of the file.
    fn unpack(&mut self) -> Result<()> {
        self.before += self.text.len() as u64;
        self.text.clear();
        self.at = 0;
        if self.from == 0 && self.next.is_none() && self.expected.is_none() {
            self.open(0)?;
            if self.expected.is_none() && !self.cut && !self.scanner.bytes(0).is_empty() {
                self.from = 8;
                return Err(Error::new(ErrorKind::InvalidData, "does not begin as a bzip2 file does"));
            }
        }
        while self.text.is_empty() && !self.finished {
            let next = match self.next {
                Some(next) => Some(next),
                None => self.scanner.find(self.from, u64::MAX, false)?,
            };
            self.next = next;
            if next.is_none_or(|next| next.at >= self.end) {
                self.own_end.get_or_insert(self.before);
            }
            match next {
                None => self.finish()?,
                Some(Mark { at, kind: Kind::End }) => self.close(at)?,
                Some(Mark { at, kind: Kind::Block }) => self.block(at)?,
            }
        }
        Ok(())
    }

    /// Looks at the place where a stream may begin.
    fn open(&mut self, byte: u64) -> Result<()> {
        const HEADER: &[u8] = b"BZh";
        self.scanner.fill(byte + 4)?;
        let header = self.scanner.bytes(byte);
        let level = |header: &[u8]| header.get(3).is_none_or(|level| (b'1'..=b'9').contains(level));
        let like_a_header = header.iter().zip(HEADER).all(|(one, other)| one == other) && level(header);
        self.cut = like_a_header && (1..4).contains(&header.len());
        self.expected = (like_a_header && header.len() >= 4).then_some((byte + 4) * 8);
        (self.from, self.next) = (byte * 8, None);
        Ok(())
    }

    /// Behind a stream's end comes its checksum, and then, at a whole byte, another stream, or nothing of ours.
    fn close(&mut self, at: u64) -> Result<()> {
        self.check_expected(at)?;
        let byte = (at + CHECKED_BITS).div_ceil(8);
        match self.scanner.fill(byte)? {
            true => self.open(byte),
            false => Err(self.truncated()),
        }
    }

    /// A stream that was opened must begin with a block or with its end.
    fn check_expected(&mut self, at: u64) -> Result<()> {
        match self.expected.take() {
            Some(expected) if expected != at => Err(damaged(expected)),
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.finished = true;
        match self.cut || self.expected.is_some() {
            true => Err(self.truncated()),
            false => Ok(()),
        }
    }

    /// Nothing more can be read.
    fn truncated(&mut self) -> Error {
        self.finished = true;
        self.own_end.get_or_insert(self.before);
        Error::new(ErrorKind::UnexpectedEof, "the bzip2 file ends within a stream")
    }

    fn block(&mut self, at: u64) -> Result<()> {
        self.check_expected(at)?;
        self.scanner.forget(at / 8);
        let limit = at + MOST_BITS;
        let Some(end) = self.scanner.find(at + CHECKED_BITS, limit, true)? else {
            (self.from, self.next) = (at + MARK_BITS, None);
            if self.scanner.fill(limit / 8)? {
                return Err(damaged(at));
            }
            return Err(self.truncated());
        };
        if self.decode(at, end.at) {
            self.next = Some(end);
            return Ok(());
        }
        // The same 48 bits may stand in a block by chance.
        if let Some(second) = self.scanner.find(end.at + MARK_BITS, limit, true)?
            && self.decode(at, second.at)
        {
            self.next = Some(second);
            return Ok(());
        }
        self.text.clear();
        self.next = Some(end);
        Err(damaged(at))
    }

    /// Unpacks the block in these bits of the file; whether it is one.
    fn decode(&mut self, at: u64, end: u64) -> bool {
        let stream = stream(self.scanner.bytes(at / 8), at % 8, end - at);
        self.text.clear();
        self.text.reserve(USUAL_TEXT);
        let mut decoder = Decompress::new(false);
        loop {
            let (read, written) = (decoder.total_in(), decoder.total_out());
            match decoder.decompress_vec(&stream[read as usize..], &mut self.text) {
                Ok(Status::StreamEnd) => return decoder.total_in() == stream.len() as u64,
                Ok(_) if self.text.len() == self.text.capacity() => self.text.reserve(self.text.len()),
                Ok(_) if (read, written) != (decoder.total_in(), decoder.total_out()) => {}
                _ => return false,
            }
        }
    }
}

/// A stream of one block: `bits` bits from bit `shift` of the bytes on. A stream's checksum is its block's if it has
/// but one; "9" allows blocks of any size.
fn stream(bytes: &[u8], shift: u64, bits: u64) -> Vec<u8> {
    let (whole, rest) = ((bits / 8) as usize, bits % 8);
    let mut stream = Vec::with_capacity(whole + 16);
    stream.extend_from_slice(b"BZh9");
    let byte = |index: usize| {
        let pair = u16::from(bytes[index]) << 8 | u16::from(*bytes.get(index + 1).unwrap_or(&0));
        (pair >> (8 - shift)) as u8
    };
    stream.extend((0..whole).map(byte));
    let checksum = stream[10..14].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    // The last bits of the block, the mark and the checksum, and zeros up to a whole byte.
    let last = if rest == 0 { 0 } else { u128::from(byte(whole)) >> (8 - rest) };
    let tail = last << CHECKED_BITS | u128::from(END) << 32 | u128::from(checksum);
    let tail_bits = rest + CHECKED_BITS;
    let tail = tail << (128 - tail_bits);
    stream.extend(&tail.to_be_bytes()[..tail_bits.div_ceil(8) as usize]);
    stream
}

fn damaged(bit: u64) -> Error {
    Error::new(ErrorKind::InvalidData, format!("the bzip2 block at byte {} is damaged", bit / 8))
}

impl<R: Read> Read for Blocks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.at == self.text.len() && !buffer.is_empty() {
            self.unpack()?;
        }
        let count = (self.text.len() - self.at).min(buffer.len());
        buffer[..count].copy_from_slice(&self.text[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
