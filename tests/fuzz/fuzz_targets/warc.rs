//! Fuzzes web archives: any bytes end, plain or packed; whole records come back whole; the size of the reads makes no
//! difference.
#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use fuzz::prepare::warc::{Found, Records};
use fuzz::{controls, damage, dribble, place};
use libfuzzer_sys::fuzz_target;

fn read(bytes: &[u8], cap: usize, anywhere: bool, most: usize) -> Vec<Found> {
    let reader = dribble(bytes, most);
    let mut records = if anywhere { Records::anywhere(reader, cap) } else { Records::new(reader, cap) };
    let mut found = Vec::new();
    while let Some(next) = records.next_record().expect("memory has no errors") {
        found.push(next);
        // No step takes nothing; packed bytes can be many records.
        assert!(found.len() <= 1100 * bytes.len() + 2, "it does not end");
    }
    for found in &found {
        let (Found::Record(fuzz::prepare::warc::Record { offset, .. }) | Found::Damaged { offset, .. }) =
            found;
        assert!(*offset <= bytes.len() as u64);
        if let Found::Record(record) = found {
            assert!(record.body.len() <= cap);
            if let Some(page) = record.page() {
                assert!(page.body.len() <= cap, "{} bytes of at most {cap}", page.body.len());
            }
        }
    }
    found
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).and_then(|()| encoder.finish()).expect("a Vec takes everything")
}

fn record(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.b/\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body, b"\r\n\r\n"].concat()
}

/// What is made of the pieces: an archive, and whether it is whole.
fn archive(mode: u8, rest: &[u8]) -> (Vec<u8>, bool) {
    let pieces = rest.split(|&byte| byte == 0xff);
    match mode % 5 {
        0 => (rest.to_vec(), false),
        1 => (pieces.flat_map(gzip).collect(), false),
        2 => (gzip(rest), false),
        3 => (pieces.flat_map(record).collect(), true),
        _ => (pieces.flat_map(|piece| gzip(&record(piece))).collect(), true),
    }
}

fuzz_target!(|input: &[u8]| {
    let ([mode, flags, cap, most, at], rest) = controls(input);
    let (harm, rest) = controls(rest);
    let cap = if cap == 255 { 1 << 20 } else { 8 * usize::from(cap) };
    let anywhere = flags & 1 == 1;
    let (mut bytes, whole) = archive(mode, rest);
    if whole && rest.len() <= cap {
        let bodies = |found: Vec<Found>| -> Vec<Vec<u8>> {
            let body = |found| match found {
                Found::Record(record) => record.body,
                Found::Damaged { offset, reason } => panic!("{reason} at {offset}"),
            };
            found.into_iter().map(body).collect()
        };
        let pieces: Vec<&[u8]> = rest.split(|&byte| byte == 0xff).collect();
        assert_eq!(bodies(read(&bytes, cap, anywhere, usize::from(most))), pieces);
    }
    damage(&mut bytes, harm);
    let found = read(&bytes, cap, anywhere, 1 << 16);
    assert_eq!(found, read(&bytes, cap, anywhere, usize::from(most)), "the size of the reads matters");
    read(&bytes[place(at, bytes.len())..], cap, true, 1 << 16);
});
