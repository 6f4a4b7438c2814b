//! Fuzzes bzip2 in ranges: any bytes end, a whole file comes back whole from any two ranges, and a damaged one tells
//! the same however it is read.
#![no_main]

use std::io::{Read, Write};
use std::ops::Range;

use bzip2::Compression;
use bzip2::read::MultiBzDecoder;
use bzip2::write::BzEncoder;
use fuzz::prepare::bzip::Blocks;
use fuzz::{controls, damage, dribble, place};
use libfuzzer_sys::fuzz_target;

/// What a range gives: its text, where its own text ends, and the errors on the way, each with its place in the text.
#[derive(Debug, PartialEq)]
struct Told {
    text: Vec<u8>,
    own_end: Option<u64>,
    errors: Vec<(usize, String)>,
}

fn read(bytes: &[u8], range: Range<u64>, most: usize) -> Told {
    let from = (range.start as usize).min(bytes.len());
    let mut blocks = Blocks::new(dribble(&bytes[from..], most), range);
    let mut told = Told { text: Vec::new(), own_end: None, errors: Vec::new() };
    loop {
        match blocks.read_to_end(&mut told.text) {
            Ok(_) => break,
            Err(error) => told.errors.push((told.text.len(), error.to_string())),
        }
        assert!(told.errors.len() <= 8 * bytes.len() + 2, "an error comes again and again");
    }
    told.own_end = blocks.own_end();
    assert!(told.own_end.is_some_and(|end| end <= told.text.len() as u64), "{:?}", told.own_end);
    told
}

/// A file of streams; each 0xff ends a block, two in a row end a stream.
fn packed(input: &[u8], level: u32) -> (Vec<u8>, Vec<u8>) {
    let (mut file, mut text) = (Vec::new(), Vec::new());
    let mut encoder = BzEncoder::new(Vec::new(), Compression::new(level));
    let mut ended = false;
    for block in input.split(|&byte| byte == 0xff) {
        if block.is_empty() && !ended {
            file.extend(encoder.finish().expect("a Vec takes everything"));
            encoder = BzEncoder::new(Vec::new(), Compression::new(level));
            ended = true;
            continue;
        }
        ended = false;
        encoder.write_all(block).and_then(|()| encoder.flush()).expect("a Vec takes everything");
        text.extend_from_slice(block);
    }
    file.extend(encoder.finish().expect("a Vec takes everything"));
    (file, text)
}

fn check(bytes: &[u8], at: u64, most: usize) {
    let whole = read(bytes, 0..u64::MAX, 1 << 16);
    assert_eq!(whole, read(bytes, 0..u64::MAX, most), "the size of the reads matters");
    assert_eq!(read(bytes, at..u64::MAX, 1 << 16), read(bytes, at..u64::MAX, most));
    let mut known = Vec::new();
    if MultiBzDecoder::new(bytes).read_to_end(&mut known).is_ok() && !bytes.is_empty() {
        assert_eq!((whole.text, whole.errors), (known, Vec::new()), "another decoder reads it without error");
    }
}

fuzz_target!(|input: &[u8]| {
    let ([mode, level, at, most], rest) = controls(input);
    let most = usize::from(most) + 1;
    if mode % 4 == 0 {
        return check(rest, place(at, rest.len()) as u64, most);
    }
    let (harm, rest) = controls(rest);
    let (mut file, text) = packed(rest, u32::from(level % 9) + 1);
    let at = place(at, file.len()) as u64;
    let whole = read(&file, 0..u64::MAX, most);
    assert_eq!((&whole.text, whole.own_end, whole.errors.len()), (&text, Some(text.len() as u64), 0));
    let [first, second] = [0..at, at..u64::MAX].map(|range| read(&file, range, most));
    assert!(first.errors.is_empty() && second.errors.is_empty(), "{first:?} {second:?}");
    let own = |told: &Told| told.text[..told.own_end.unwrap_or(0) as usize].to_vec();
    assert_eq!([own(&first), own(&second)].concat(), text, "two ranges are not the file");
    damage(&mut file, harm);
    check(&file, at, most);
});
