//! The raw bytes of an archive, in order, with their positions; reading can go back as far as a mark. Knows neither
//! gzip nor records.

use std::io::{self, BufRead};

/// Bytes are taken from the reader in blocks of this size whatever it offers, so that nothing further on can
/// depend on the size of its buffer.
pub(super) const BLOCK: usize = 1 << 16;

pub(super) struct Window<R> {
    reader: R,
    /// The bytes from `start` on, read or not.
    bytes: Vec<u8>,
    /// The position of the first byte of `bytes`.
    start: u64,
    /// How many of `bytes` were read.
    at: usize,
    /// Whether bytes that were read must stay, and from which index on.
    mark: Option<usize>,
    ended: bool,
}

impl<R: BufRead> Window<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, bytes: Vec::new(), start: 0, at: 0, mark: None, ended: false }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The position of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.start + self.at as u64
    }

    /// The next bytes, at least `count` unless the archive ends before.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.bytes.len() - self.at < count && !self.ended {
            self.block()?;
        }
        Ok(&self.bytes[self.at..])
    }

    /// Goes on by `count` bytes, which were peeked at.
    pub(super) fn advance(&mut self, count: usize) {
        self.at = (self.at + count).min(self.bytes.len());
    }

    /// Keeps what comes, from the next byte on, for [`Self::rewind`].
    pub(super) fn mark(&mut self) {
        self.mark = Some(self.at);
    }

    /// Keeps nothing any longer.
    pub(super) fn unmark(&mut self) {
        self.mark = None;
    }

    /// How many bytes were read since the mark.
    pub(super) fn since_mark(&self) -> Option<usize> {
        self.mark.map(|mark| self.at - mark)
    }

    /// Goes back to the mark, if there is one, and takes it away. Says whether it did.
    pub(super) fn rewind(&mut self) -> bool {
        match self.mark.take() {
            Some(mark) => {
                self.at = mark;
                true
            }
            None => false,
        }
    }

    /// One more block, behind what is there.
    fn block(&mut self) -> io::Result<()> {
        let done = self.mark.unwrap_or(self.at);
        if done >= BLOCK.max(self.bytes.len() / 2) || done == self.bytes.len() {
            self.bytes.drain(..done);
            self.start += done as u64;
            self.at -= done;
            self.mark = self.mark.map(|_| 0);
        }
        let wanted = self.bytes.len() + BLOCK;
        while self.bytes.len() < wanted {
            let offered = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                offered => offered?,
            };
            let taken = offered.len().min(wanted - self.bytes.len());
            self.bytes.extend_from_slice(&offered[..taken]);
            self.reader.consume(taken);
            if taken == 0 {
                self.ended = true;
                break;
            }
        }
        Ok(())
    }
}
