//! The marks in a bzip2 file, found at any bit. Knows where blocks and streams end, and nothing of what is in them.

use std::io::{ErrorKind, Read, Result};

/// In front of every block: the digits of π.
const BLOCK: u64 = 0x3141_5926_5359;
/// In front of a stream's checksum: the digits of √π.
pub(super) const END: u64 = 0x1772_4538_5090;
/// The bits of a mark.
pub(super) const MARK_BITS: u64 = 48;
const MASK: u64 = (1 << MARK_BITS) - 1;
/// A mark at any bit of a byte lies in so many bytes.
const WINDOW: usize = 7;
const CHUNK: usize = 1 << 17;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A block begins.
    Block,
    /// A stream ends.
    End,
}

/// A mark, and the bit of the file at which it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub at: u64,
    pub kind: Kind,
}

/// For the second and the third byte of a window: which marks, at which bits of its first byte, have this byte
/// there. Few windows pass both.
const SIEVE: [[u16; 256]; 2] = sieve();

const fn sieve() -> [[u16; 256]; 2] {
    let mut sieve = [[0; 256]; 2];
    let mut bit = 0;
    while bit < 16 {
        let mark = if bit < 8 { BLOCK } else { END };
        let window = mark << (8 - bit % 8);
        sieve[0][(window >> 40 & 0xff) as usize] |= 1 << bit;
        sieve[1][(window >> 32 & 0xff) as usize] |= 1 << bit;
        bit += 1;
    }
    sieve
}

/// The raw bytes of a file from some place on, as far as they are still needed.
pub(super) struct Scanner<R> {
    reader: R,
    /// Where in the file the buffer begins.
    base: u64,
    buffer: Vec<u8>,
    at_end: bool,
}

impl<R: Read> Scanner<R> {
    pub fn new(reader: R, start: u64) -> Self {
        Scanner { reader, base: start, buffer: Vec::new(), at_end: false }
    }

    /// Reads on until the byte before `end` is there; whether it is.
    pub fn fill(&mut self, end: u64) -> Result<bool> {
        while !self.at_end && self.base + (self.buffer.len() as u64) < end {
            let have = self.buffer.len();
            self.buffer.resize(have + CHUNK, 0);
            let read = self.reader.read(&mut self.buffer[have..]);
            self.buffer.truncate(have + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(count) => self.at_end = count == 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.base + self.buffer.len() as u64 >= end)
    }

    /// The bytes that are there from this place on.
    pub fn bytes(&self, from: u64) -> &[u8] {
        &self.buffer[((from - self.base) as usize).min(self.buffer.len())..]
    }

    /// The first mark at or after bit `from` and before bit `limit`. Bytes before `from` are forgotten; with
    /// `keep`, none after it are.
    pub fn find(&mut self, from: u64, limit: u64, keep: bool) -> Result<Option<Mark>> {
        let mut byte = from / 8;
        loop {
            if !keep {
                self.forget(byte);
            }
            let more = self.fill(byte + WINDOW as u64)?;
            let mark = self.search(byte, from);
            if mark.is_some() || !more || byte * 8 >= limit {
                return Ok(mark.filter(|mark| mark.at < limit));
            }
            byte = self.base + self.buffer.len() as u64 + 1 - WINDOW as u64;
        }
    }

    fn search(&self, byte: u64, from: u64) -> Option<Mark> {
        for (index, window) in self.bytes(byte).windows(WINDOW).enumerate() {
            let passed = SIEVE[0][usize::from(window[1])] & SIEVE[1][usize::from(window[2])];
            if passed == 0 {
                continue;
            }
            let value = window.iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
            for bit in 0..8 {
                let at = (byte + index as u64) * 8 + bit;
                let kind = match value >> (8 - bit) & MASK {
                    BLOCK => Kind::Block,
                    END => Kind::End,
                    _ => continue,
                };
                if at >= from {
                    return Some(Mark { at, kind });
                }
            }
        }
        None
    }

    /// Forgets the bytes before this place, once that is worth moving the others.
    pub fn forget(&mut self, before: u64) {
        let count = (before.saturating_sub(self.base) as usize).min(self.buffer.len());
        if count > self.buffer.len() / 2 {
            self.buffer.drain(..count);
            self.base += count as u64;
        }
    }
}
