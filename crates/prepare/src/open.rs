//! Undoing compression, which the first bytes of a file tell. Knows nothing of what comes out.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::Progress;
use crate::bzip::Blocks;
use crate::origin::{Opened, Raw};

const BUFFER: usize = 1 << 18;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Not at all.
    Plain,
    /// RFC 1952, any number of members.
    Gzip,
    /// Any number of streams.
    Bzip2,
    /// RFC 8878, any number of frames.
    Zstd,
}

impl Packing {
    /// What a file that begins like this is.
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 8, ..] => Packing::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Packing::Bzip2,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
            _ => Packing::Plain,
        }
    }

    /// What an input is.
    pub fn sniff(input: &Opened) -> io::Result<Self> {
        Ok(Packing::of(&input.read_at(0, 4)?))
    }

    /// How to call it in a message.
    pub fn name(self) -> &'static str {
        match self {
            Packing::Plain => "file",
            Packing::Gzip => "gzip file",
            Packing::Bzip2 => "bzip2 file",
            Packing::Zstd => "zstd file",
        }
    }
}

/// The raw bytes of an input, buffered.
pub(crate) fn raw<'a>(
    input: &Opened,
    start: u64,
    end: u64,
    progress: &'a dyn Progress,
) -> BufReader<Raw<'a>> {
    BufReader::with_capacity(BUFFER, input.reader(start, end, progress))
}

/// All of an input, uncompressed.
pub(crate) fn unpacked<'a>(
    input: &Opened,
    packing: Packing,
    progress: &'a dyn Progress,
) -> io::Result<Box<dyn BufRead + 'a>> {
    let raw = raw(input, 0, u64::MAX, progress);
    let buffered = |reader: Box<dyn Read + 'a>| Box::new(BufReader::with_capacity(BUFFER, reader));
    Ok(match packing {
        Packing::Plain => Box::new(raw),
        Packing::Gzip => buffered(Box::new(MultiGzDecoder::new(raw))),
        Packing::Bzip2 => buffered(Box::new(Blocks::new(raw, 0..u64::MAX))),
        Packing::Zstd => buffered(Box::new(zstd::stream::read::Decoder::with_buffer(raw)?)),
    })
}

/// What became of reading one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// There is none.
    End,
    /// It is in the buffer; this many bytes were read, its end included.
    Whole(u64),
    /// It is longer than allowed; this many bytes were passed over.
    TooLong(u64),
}

/// Reads a line into `buffer`, but never more than `most` bytes of it.
pub(crate) fn read_line(reader: &mut dyn BufRead, buffer: &mut Vec<u8>, most: u64) -> io::Result<Line> {
    buffer.clear();
    let mut read = 0u64;
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = memchr::memchr(b'\n', available);
        let count = end.map_or(available.len(), |at| at + 1);
        if read + count as u64 <= most + 1 {
            buffer.extend_from_slice(&available[..count]);
        }
        read += count as u64;
        reader.consume(count);
        if end.is_some() || count == 0 {
            return Ok(match read {
                0 => Line::End,
                _ if read > most + 1 => Line::TooLong(read),
                _ => Line::Whole(read),
            });
        }
    }
}

/// Reads to the end, but fails to if there are more than `most` bytes: then the answer is `None`.
pub(crate) fn read_all(reader: &mut dyn BufRead, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_too_long_are_passed_over_and_not_kept() {
        let text = format!("one\n{}\nthree", "x".repeat(100));
        for capacity in [1, 7, 1000] {
            let mut reader = BufReader::with_capacity(capacity, text.as_bytes());
            let mut buffer = Vec::new();
            assert_eq!(read_line(&mut reader, &mut buffer, 5).unwrap(), Line::Whole(4));
            assert_eq!(buffer, b"one\n");
            assert_eq!(read_line(&mut reader, &mut buffer, 5).unwrap(), Line::TooLong(101));
            assert!(buffer.len() <= 6);
            assert_eq!(read_line(&mut reader, &mut buffer, 5).unwrap(), Line::Whole(5));
            assert_eq!(read_line(&mut reader, &mut buffer, 5).unwrap(), Line::End);
        }
        assert_eq!(read_all(&mut &b"12345"[..], 4).unwrap(), None);
        assert_eq!(read_all(&mut &b"1234"[..], 4).unwrap().unwrap(), b"1234");
    }

    #[test]
    fn the_first_bytes_tell_the_compression() {
        assert_eq!(Packing::of(&[0x1f, 0x8b, 8, 0]), Packing::Gzip);
        assert_eq!(Packing::of(b"BZh9"), Packing::Bzip2);
        assert_eq!(Packing::of(&[0x28, 0xb5, 0x2f, 0xfd]), Packing::Zstd);
        assert_eq!(Packing::of(b"{\"te"), Packing::Plain);
        assert_eq!(Packing::of(b""), Packing::Plain);
    }
}
