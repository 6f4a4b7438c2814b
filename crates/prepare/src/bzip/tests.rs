//! Every split of a file gives its text, and damage is found.

use std::io::Write;

use bzip2::Compression;
use bzip2::write::BzEncoder;
use proptest::prelude::*;

use super::*;

fn compress(text: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = BzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Text that does not shrink to nothing, the same for the same seed.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b"etaoin shrdlu\nxq"[(state >> 60) as usize]
    };
    (0..len).map(|_| next()).collect()
}

/// What the range owns, read in pieces of `step` bytes, and the errors on the way.
fn own(file: &[u8], range: Range<u64>, step: usize) -> (Vec<u8>, Vec<ErrorKind>) {
    let start = (range.start as usize).min(file.len());
    let mut blocks = Blocks::new(&file[start..], range);
    let (mut text, mut errors) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; step];
    while blocks.own_end().is_none_or(|end| end > text.len() as u64) {
        match blocks.read(&mut buffer) {
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(error) => errors.push(error.kind()),
        }
    }
    text.truncate(blocks.own_end().unwrap() as usize);
    (text, errors)
}

/// The whole text, read past every error.
fn all(file: &[u8]) -> (Vec<u8>, Vec<Error>) {
    let mut blocks = Blocks::new(file, 0..file.len() as u64);
    let (mut text, mut errors) = (Vec::new(), Vec::new());
    loop {
        match blocks.read_to_end(&mut text) {
            Ok(_) => return (text, errors),
            Err(error) => errors.push(error),
        }
    }
}

#[test]
fn small_files() {
    for level in 1..=9 {
        let file = compress(b"One line.\n", level);
        assert_eq!(own(&file, 0..file.len() as u64, 3), (b"One line.\n".to_vec(), vec![]));
    }
    let empty = compress(b"", 9);
    assert_eq!(empty.len(), 14);
    let files = [vec![], empty.clone(), [empty.clone(), empty.clone(), compress(b"x", 1), empty].concat()];
    for (file, text) in files.iter().zip(["", "", "x"]) {
        let (found, errors) = all(file);
        assert!(found == text.as_bytes() && errors.is_empty(), "{errors:?}");
    }
    let (_, errors) = all(b"plain text is not bzip2");
    assert_eq!(errors[0].kind(), ErrorKind::InvalidData);
    // Garbage behind a stream is not ours; the beginning of another stream is.
    let file = compress(b"text", 5);
    assert!(all(&[&file[..], b"\0\0\0 garbage"].concat()).1.is_empty());
    assert_eq!(all(&[&file[..], b"BZ"].concat()).1[0].kind(), ErrorKind::UnexpectedEof);
    assert_eq!(all(&[&file[..], &file[..8]].concat()).1[0].kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn long_runs_unpack_to_more_than_a_block() {
    let text = vec![b'a'; 50_000_000];
    let file = compress(&text, 9);
    let (found, errors) = all(&file);
    assert!(found == text && errors.is_empty(), "{} {errors:?}", found.len());
}

#[test]
fn blocks_of_900_kb_in_ranges() {
    let text = noise(2_500_000, 7);
    let file = compress(&text, 9);
    let third = file.len() as u64 / 3;
    let (one, two, rest) = (0..third, third..2 * third, 2 * third..file.len() as u64);
    let parts = [one, two, rest].map(|range| own(&file, range, 10_000).0);
    assert!(parts.iter().all(|part| !part.is_empty()) && parts.concat() == text);
}

#[test]
fn a_reader_goes_on_behind_its_range() {
    let text = noise(300_000, 3);
    let file = compress(&text, 1);
    let mut blocks = Blocks::new(&file[..], 0..10);
    let mut found = Vec::new();
    blocks.read_to_end(&mut found).unwrap();
    assert!(found == text && blocks.own_end().is_some_and(|end| end < 110_000));
}

#[test]
fn a_damaged_block_is_left_out_and_the_next_one_read() {
    let text = noise(300_000, 5);
    let mut file = compress(&text, 1);
    file[1000] ^= 4;
    let (found, errors) = all(&file);
    assert_eq!((errors.len(), errors[0].kind()), (1, ErrorKind::InvalidData));
    assert_eq!(errors[0].to_string(), "the bzip2 block at byte 4 is damaged");
    assert!(text.ends_with(&found) && found.len() > 190_000, "{}", found.len());
}

#[test]
fn a_stream_whose_first_mark_is_damaged_is_missed() {
    let text = noise(300_000, 5);
    let mut file = compress(&text, 1);
    file[6] ^= 1;
    let (found, errors) = all(&file);
    assert_eq!((errors.len(), errors[0].to_string().as_str()), (1, "the bzip2 block at byte 4 is damaged"));
    assert!(text.ends_with(&found) && found.len() > 190_000, "{}", found.len());
}

/// bzip2's checksum: CRC-32 with the high bit first.
fn checksum(text: &[u8]) -> u32 {
    !text.iter().fold(!0u32, |sum, &byte| {
        let step = |sum: u32| sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 };
        (0..8).fold(sum ^ u32::from(byte) << 24, |sum, _| step(sum))
    })
}

/// A file of one block that has a block's mark in its data, and its text. The mark is written over the data, where
/// these then still decode to something, and the checksum set right.
fn a_block_with_a_mark_in_it() -> (Vec<u8>, Vec<u8>) {
    const MARK: u64 = 0x3141_5926_5359;
    let plain = compress(&noise(3000, 13), 1);
    let end = Scanner::new(&plain[..], 0).find(40, u64::MAX, true).unwrap().unwrap().at;
    for at in (600..end - 60).rev() {
        let mut file = plain.clone();
        for bit in 0..48 {
            let (byte, mask) = (((at + bit) / 8) as usize, 128 >> ((at + bit) % 8));
            file[byte] = file[byte] & !mask | if MARK >> (47 - bit) & 1 == 1 { mask } else { 0 };
        }
        let (mut text, mut decoder) = (vec![0; 1_000_000], Decompress::new(false));
        // The checksum is wrong still; what came before is there.
        decoder.decompress(&file, &mut text).unwrap_err();
        text.truncate(decoder.total_out() as usize);
        file[10..14].copy_from_slice(&checksum(&text).to_be_bytes());
        let file = stream(&file[4..], 0, end - 32);
        let mut found = Vec::new();
        if bzip2::read::BzDecoder::new(&file[..]).read_to_end(&mut found).is_ok() {
            assert!(found == text && text.len() > 1000);
            return (file, text);
        }
    }
    panic!("no place for a mark");
}

#[test]
fn a_mark_in_the_middle_of_a_block_is_seen_through() {
    let (file, text) = a_block_with_a_mark_in_it();
    let (found, errors) = all(&file);
    assert!(found == text && errors.is_empty(), "{errors:?}");
}

#[test]
fn marks_are_found_at_any_bit_once() {
    for shift in 0..8 {
        // Two marks, 70 bits apart.
        let bits = (0x3141_5926_5359_u128 << 70 | u128::from(END)) << (8 - shift);
        let file = [&[0x31, 0x41, 0x59][..], &bits.to_be_bytes()[..], &[0; 8]].concat();
        let mut scanner = Scanner::new(&file[..], 0);
        let mut next = |from| scanner.find(from, u64::MAX, true).unwrap();
        let second = 24 + 128 - 48 - (8 - shift);
        let first = second - 70;
        assert_eq!(next(0), Some(Mark { at: first, kind: Kind::Block }));
        assert_eq!(next(first), Some(Mark { at: first, kind: Kind::Block }));
        assert_eq!(next(first + 1), Some(Mark { at: second, kind: Kind::End }));
        assert_eq!(next(second + 1), None);
    }
}

/// How many bytes one damage may cost: the two blocks that it may lie between.
const DEAREST: usize = 210_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_ranges_give_the_whole_text(
        parts in proptest::collection::vec((0usize..330_000, 1u32..4, any::<u64>()), 1..4),
        mut cuts in proptest::collection::vec(0.0..1.0f64, 0..6),
        step in 1usize..70_000,
    ) {
        let texts: Vec<Vec<u8>> = parts.iter().map(|&(len, _, seed)| noise(len, seed)).collect();
        let file: Vec<u8> =
            texts.iter().zip(&parts).flat_map(|(text, &(_, level, _))| compress(text, level)).collect();
        cuts.extend([0.0, 1.0]);
        cuts.sort_by(f64::total_cmp);
        let places: Vec<u64> = cuts.iter().map(|cut| (cut * file.len() as f64) as u64).collect();
        let mut found = Vec::new();
        for pair in places.windows(2) {
            let (text, errors) = own(&file, pair[0]..pair[1], step);
            prop_assert!(errors.is_empty(), "{:?}", errors);
            found.extend(text);
        }
        prop_assert!(found == texts.concat());
    }

    #[test]
    fn damage_is_reported(
        len in 0usize..250_000,
        streams in 1usize..3,
        place in 0.0..1.0f64,
        bit in 0u32..8,
        cut in any::<bool>(),
    ) {
        let text = noise(len, 9);
        let stream = compress(&text, 1);
        let mut file = stream.repeat(streams);
        let text = text.repeat(streams);
        let at = (place * file.len() as f64) as usize;
        match cut {
            true => file.truncate(at),
            false => file[at] ^= 1 << bit,
        }
        let (found, errors) = all(&file);
        if cut {
            let between_streams = at.is_multiple_of(stream.len());
            prop_assert!(text.starts_with(&found) && errors.len() == usize::from(!between_streams), "{:?}", errors);
            prop_assert!(errors.iter().all(|error| error.kind() == ErrorKind::UnexpectedEof));
        } else {
            // A stream's header and checksum can be wrong without harm to the text.
            prop_assert!(found == text || !errors.is_empty());
            prop_assert!(errors.len() <= 2 && found.len() + DEAREST >= text.len(), "{:?}", errors);
        }
    }

    #[test]
    fn nothing_is_too_odd(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        start in 0u64..50,
        header in any::<bool>(),
    ) {
        let head: &[u8] = if header { b"BZh91AY&SY" } else { b"" };
        let file = [head, &bytes].concat();
        let (text, _) = own(&file, start..start + 100, 7);
        prop_assert!(text.is_empty());
    }
}
