//! What the fuzz targets share: the modules under test, taken from the rooms' own files so that nothing else of these
//! rooms must be built, and ways to make inputs of a few bytes. Knows no properties; the targets do.

use std::io::{self, BufReader, Read};

/// Modules of the room `corpus`.
#[path = "../../../crates/corpus/src"]
pub mod corpus {
    pub mod book;
    pub mod clean;
    pub mod html;
    pub mod language;
    pub mod normal;
    pub mod quality;
    pub mod sentence;
    pub mod similar;
    pub mod wiki;
}

/// Modules of the room `prepare`.
#[path = "../../../crates/prepare/src"]
pub mod prepare {
    pub mod bzip;
    pub mod warc;
}

/// The first bytes of an input, which say what is made of the rest; zeros where it is shorter.
pub fn controls<const COUNT: usize>(input: &[u8]) -> ([u8; COUNT], &[u8]) {
    let taken = COUNT.min(input.len());
    let mut controls = [0; COUNT];
    controls[..taken].copy_from_slice(&input[..taken]);
    (controls, &input[taken..])
}

/// A place in something of this length, its end included.
pub fn place(control: u8, len: usize) -> usize {
    len * usize::from(control) / 255
}

/// Does damage to bytes: flips a bit, cuts the end off, takes a part out or says one twice, whichever is asked for.
pub fn damage(bytes: &mut Vec<u8>, [kind, at, more]: [u8; 3]) {
    let (from, to) = (place(at.min(more), bytes.len()), place(at.max(more), bytes.len()));
    match kind % 5 {
        0 => {}
        1 => bytes.truncate(from),
        2 => drop(bytes.drain(from..to)),
        3 => bytes.extend_from_within(from..to),
        _ => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte ^= 1 << (more % 8);
            }
        }
    }
}

/// The input with a part of it, between two places, said so often that it is about this long: what takes more than
/// linear time, or a call inside the other for each, is found so.
pub fn stretched(input: &str, places: [u8; 2], bytes: usize) -> String {
    let [from, to] = places.map(|at| input.floor_char_boundary(place(at, input.len())));
    let (from, to) = (from.min(to), from.max(to));
    let middle = &input[from..to];
    let times = (bytes / middle.len().max(1)).max(1);
    [&input[..from], &middle.repeat(times), &input[to..]].concat()
}

/// A reader that gives only so many bytes at a time.
pub fn dribble(bytes: &[u8], most: usize) -> impl io::BufRead {
    BufReader::with_capacity(most.max(1), Dribble { bytes, most: most.max(1) })
}

struct Dribble<'a> {
    bytes: &'a [u8],
    most: usize,
}

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.most);
        self.bytes.read(&mut buffer[..count])
    }
}
