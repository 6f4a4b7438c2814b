//! Archives made up here, whole, cut and damaged; and real ones, where they are at hand.

use std::io::{BufReader, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

fn warc(kind: &str, uri: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: <{uri}>\r\nWARC-Date: 2024-05-06T07:08:09Z\r\n\
         content-type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body, b"\r\n\r\n"].concat()
}

fn arc(uri: &str, body: &[u8]) -> Vec<u8> {
    [format!("{uri} 10.0.0.1 20080430204825 text/html {}\n", body.len()).as_bytes(), body, b"\n"].concat()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Some records, of many sizes: some smaller than a block and some larger.
fn records() -> Vec<Vec<u8>> {
    let noise = |size: usize| -> Vec<u8> { (0..size).map(|i| ((i * i * 31 + i / 7) % 251) as u8).collect() };
    let mut all = vec![warc("warcinfo", "", "application/warc-fields", b"software: x\r\n")];
    for (i, size) in [0, 1, 100, 3000, 70_000, 10, 140_000, 65_536, 5].into_iter().enumerate() {
        all.push(warc("response", &format!("http://a.org/{i}"), "application/http", &noise(size)));
    }
    all
}

fn read<R: BufRead>(mut records: Records<R>) -> Vec<Found> {
    let mut found = Vec::new();
    while let Some(next) = records.next_record().unwrap() {
        found.push(next);
        assert!(found.len() < 10_000, "no end");
    }
    assert_eq!(records.next_record().unwrap(), None);
    found
}

fn all(bytes: &[u8]) -> Vec<Found> {
    read(Records::new(bytes, LIMIT))
}

/// The URI and the body of a record.
type Content = (String, Vec<u8>);

/// The records without their places, and the reasons of the damage.
fn sorted(found: Vec<Found>) -> (Vec<Content>, Vec<(u64, String)>) {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    for found in found {
        match found {
            Found::Record(record) => records.push((record.uri, record.body)),
            Found::Damaged { offset, reason } => damage.push((offset, reason)),
        }
    }
    (records, damage)
}

#[test]
fn all_packings_have_the_same_records() {
    let records = records();
    let plain = records.concat();
    let (expected, damage) = sorted(all(&plain));
    assert_eq!((expected.len(), damage.len()), (records.len(), 0));
    assert_eq!(expected[3], ("http://a.org/2".into(), records[3][records[3].len() - 104..][..100].to_vec()));
    let single: Vec<u8> = records.iter().flat_map(|record| gzip(record)).collect();
    // Members that begin anywhere, as bgzip makes them; padding at the end.
    let blocks: Vec<u8> = plain.chunks(10_007).flat_map(gzip).chain([0; 512]).collect();
    for packed in [single.as_slice(), &gzip(&plain), &blocks] {
        assert_eq!(sorted(all(packed)), (expected.clone(), vec![]));
    }
    let mut offset = 0;
    for (record, found) in records.iter().zip(all(&single)) {
        assert!(matches!(found, Found::Record(found) if found.offset == offset));
        offset += gzip(record).len() as u64;
    }
    let Found::Record(last) = all(&plain).pop().unwrap() else { panic!() };
    assert_eq!(last.offset, (plain.len() - records.last().unwrap().len()) as u64);
}

#[test]
fn heads_are_read() {
    let text = b"WARC/1.1\nwarc-type: Conversion\nWARC-Target-URI: http://a/\nX: 1\n folded: no\nContent-Length: 2\n\nhi\n\n";
    let Found::Record(record) = all(text).remove(0) else { panic!() };
    assert_eq!((record.kind, record.uri.as_str(), record.date), (Kind::Conversion, "http://a/", None));
    let text = [
        arc(
            "filedesc://x.arc",
            b"1 0 InternetArchive\nURL IP-address Archive-date Content-type Archive-length\n",
        ),
        arc("http://a.org/", b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<p>Hi"),
        b"http://b.org/ 1.2.3.4 20080430204826 text/html 200 - - 77 x.arc 3\nabc\n".to_vec(),
    ];
    for text in [text.concat(), text.iter().flat_map(|record| gzip(record)).collect()] {
        let found = all(&text);
        let [Found::Record(info), Found::Record(page), Found::Record(second)] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((info.kind, page.kind), (Kind::Warcinfo, Kind::Response));
        assert_eq!((page.date.as_deref(), &*page.content_type), (Some("2008-04-30T20:48:25Z"), "text/html"));
        assert_eq!(page.page().unwrap().body, b"<p>Hi");
        assert_eq!((second.uri.as_str(), second.body.as_slice()), ("http://b.org/", b"abc".as_slice()));
    }
}

#[test]
fn damaged_places_are_named_and_passed_over() {
    let good = warc("resource", "http://good/", "text/html", b"good");
    let text = String::from_utf8(good.clone()).unwrap();
    let cases = [
        (text.replace("Length: 4", "Length: 3"), "the length of a record is wrong"),
        (text.replace("Length: 4", "Length: 40"), "the length of a record is wrong"),
        (text.replace("Length: 4", "Length: 4000"), "a record is shorter than it says"),
        (text.replace("Length: 4", "Length: -4"), "its head states no length"),
        (text.replace("Content-Length: 4\r\n", ""), "its head states no length"),
        (text.replace("Content-Length: 4", "Content-Length"), "a line of its head is not a header"),
        (text.replace("WARC/1.0", "WORC/1.0"), "not the head of a record"),
        (format!("WARC/1.0\r\n{}", "X: y\r\n".repeat(HEAD_BYTES)), "the head of a record does not end"),
        ("WARC/1.0\r\nContent-Length: 2000000\r\n\r\n".into(), "a record is larger than 1048576 bytes"),
    ];
    for (bad, reason) in cases {
        for pack in [gzip, |text: &[u8]| text.to_vec()] {
            let text = [pack(&good), pack(bad.as_bytes()), pack(&good)].concat();
            let packed = text.starts_with(&[0x1f]);
            // The member's end tells it before the length does.
            let reason = if packed && bad.contains("Length: 40") {
                "a record is shorter than it says"
            } else {
                reason
            };
            let (records, damage) = sorted(all(&text));
            assert_eq!(damage, [(pack(&good).len() as u64, reason.to_string())], "{bad}");
            // Only text that states a length can hide what follows.
            let hidden = reason.contains("larger") && !packed;
            assert_eq!(records.len(), 2 - usize::from(hidden), "{bad}");
        }
    }
    // Something between members, a broken checksum, and not an archive at all.
    let packed = gzip(&good);
    let mut broken = packed.clone();
    let checksum = broken.len() - 8;
    broken[checksum] ^= 1;
    for (between, reason) in [
        (b"garbage".to_vec(), "what follows a gzip member is not another one"),
        (broken, "a gzip member is damaged"),
    ] {
        let (records, damage) = sorted(all(&[packed.clone(), between, packed.clone()].concat()));
        assert_eq!((records.len(), damage), (2, vec![(packed.len() as u64, reason.to_string())]));
    }
    let prose = "Call me Ishmael.\nSome years ago\n".repeat(10_000);
    assert_eq!(sorted(all(prose.as_bytes())).1, [(0, "not the head of a record".to_string())]);
    assert_eq!(all(b""), []);
    assert_eq!(all(b"\r\n\r\n"), []);
}

#[test]
fn large_records_are_passed_over_in_small_memory() {
    struct Long<'a>(&'a [u8], u64, &'a [u8]);
    impl Read for Long<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if !self.0.is_empty() {
                return self.0.read(buffer);
            }
            if self.1 == 0 {
                return self.2.read(buffer);
            }
            let count = buffer.len().min(self.1 as usize);
            buffer[..count].fill(b'x');
            self.1 -= count as u64;
            Ok(count)
        }
    }
    let good = warc("resource", "http://good/", "text/html", b"good");
    let size = 300 << 20;
    let head = format!("WARC/1.0\r\nContent-Length: {size}\r\n\r\n");
    let reader = BufReader::new(Long(head.as_bytes(), size, &good));
    let mut records = Records::new(reader, 1000);
    let reason = "a record is larger than 1000 bytes".to_string();
    assert_eq!(records.next_record().unwrap(), Some(Found::Damaged { offset: 0, reason }));
    assert!(matches!(records.next_record().unwrap(), Some(Found::Record(record)) if record.body == b"good"));
    assert!(records.stream.capacity() < 1 << 20, "{}", records.stream.capacity());
}

#[test]
fn line_ends_without_end_take_no_memory() {
    let record = warc("resource", "http://a/", "text/html", b"good");
    let long = [record.as_slice(), &vec![b'\n'; 20 << 20]].concat();
    for bytes in [[gzip(&long), gzip(&record)].concat(), [long, record].concat()] {
        let mut records = Records::new(bytes.as_slice(), 1000);
        for _ in 0..2 {
            let found = records.next_record().unwrap();
            assert!(matches!(found, Some(Found::Record(record)) if record.body == b"good"));
            assert!(records.stream.capacity() < 1 << 20, "{}", records.stream.capacity());
        }
        assert_eq!(records.next_record().unwrap(), None);
    }
}

#[test]
fn a_record_in_very_many_members_takes_no_longer_than_another() {
    let count = 200_000;
    let head = format!("WARC/1.0\r\nContent-Length: {count}\r\n\r\n");
    let bytes = [gzip(head.as_bytes()), gzip(b"x").repeat(count), gzip(b"\r\n\r\n")].concat();
    let (records, damage) = sorted(all(&bytes));
    assert!(damage.is_empty() && records.len() == 1 && records[0].1.len() == count, "{damage:?}");
}

#[test]
fn errors_of_the_reader_pass_through() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::TimedOut.into())
        }
    }
    let good = warc("resource", "http://good/", "text/html", b"good");
    let mut records = Records::new(BufReader::new(good.chain(Failing)), LIMIT);
    assert_eq!(records.next_record().unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(records.next_record().unwrap(), None);
}

#[test]
fn a_range_begins_anywhere() {
    let records = records();
    for packed in [true, false] {
        let pieces: Vec<Vec<u8>> =
            records.iter().map(|record| if packed { gzip(record) } else { record.clone() }).collect();
        let (bytes, whole) = (pieces.concat(), sorted(all(&pieces.concat())).0);
        let ends: Vec<usize> = pieces
            .iter()
            .scan(0, |end, piece| {
                *end += piece.len();
                Some(*end)
            })
            .collect();
        let places = (0..bytes.len()).step_by(997).chain(ends.iter().flat_map(|&end| [end - 1, end]));
        for from in places {
            let (found, damage) = sorted(read(Records::anywhere(&bytes[from..], LIMIT)));
            // The first record that begins at or after the place.
            let first = if from == 0 { 0 } else { 1 + ends.iter().take_while(|&&end| end < from).count() };
            assert_eq!((damage.len(), found.as_slice()), (0, &whole[first.min(whole.len())..]), "{from}");
        }
    }
    assert_eq!(read(Records::anywhere(&b"no archive\n"[..], LIMIT)), []);
}

#[test]
fn pages_are_unwrapped() {
    fn pack<W: Write>(mut encoder: W, finish: fn(W) -> Vec<u8>) -> Vec<u8> {
        encoder.write_all(b"<p>Hi").unwrap();
        finish(encoder)
    }
    let level = Compression::fast();
    let gz = gzip(b"<p>Hi");
    let zlib = pack(ZlibEncoder::new(Vec::new(), level), |encoder| encoder.finish().unwrap());
    let deflate = pack(DeflateEncoder::new(Vec::new(), level), |encoder| encoder.finish().unwrap());
    let second = format!("{:x}", gz.len() - 10);
    let chunked_gz = [b"A\r\n", &gz[..10], b"\r\n", second.as_bytes(), b"; x=y\r\n", &gz[10..]];
    type Case<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);
    let cases: [Case; 14] = [
        ("X: y", b"<p>Hi", Some(b"<p>Hi")),
        ("Transfer-Encoding: chunked", b"2\r\n<p\r\n3;x\r\n>Hi\r\n0\r\n\r\n", Some(b"<p>Hi")),
        ("Transfer-Encoding: chunked", b"2\r\n<p\r\n30\r\n>Hi", Some(b"<p>Hi")),
        ("Transfer-Encoding: chunked", b"<p>Hi", Some(b"<p>Hi")),
        (
            "Transfer-Encoding: chunked",
            b"ffffffffffffffffffff\r\n<p>Hi",
            Some(b"ffffffffffffffffffff\r\n<p>Hi"),
        ),
        ("Content-Encoding: gzip", &gz, Some(b"<p>Hi")),
        ("Content-Encoding: gzip", b"<p>Hi", Some(b"<p>Hi")),
        ("Content-Encoding: gzip\r\nTransfer-Encoding: chunked", &chunked_gz.concat(), Some(b"<p>Hi")),
        ("Content-Encoding: deflate", &zlib, Some(b"<p>Hi")),
        ("Content-Encoding: deflate", &deflate, Some(b"<p>Hi")),
        ("Content-Encoding: br", b"\x8b\x02\x80<p>Hi\x03", None),
        ("Content-Encoding: br", b"<p>Hi", Some(b"<p>Hi")),
        ("Content-Encoding: gzip, identity", &gz, Some(b"<p>Hi")),
        ("Content-Encoding: gzip,gzip,gzip,gzip,gzip,gzip,gzip,gzip,gzip", b"<p>Hi", None),
    ];
    for (header, body, expected) in cases {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; a=b; Charset=\"utf-8\"\r\n{header}\r\n\r\n");
        let body = [head.as_bytes(), body].concat();
        let Found::Record(record) = all(&warc("response", "http://a/", "application/http", &body)).remove(0)
        else {
            panic!()
        };
        let page = record.page();
        assert_eq!(page.as_ref().map(|page| page.body.as_slice()), expected, "{header}");
        if let Some(page) = page {
            assert_eq!(
                (page.status, &*page.mime, page.charset.as_deref()),
                (200, "text/html", Some("utf-8"))
            );
        }
    }
    let page = |text: &[u8]| match all(text).remove(0) {
        Found::Record(record) => record.page(),
        Found::Damaged { .. } => None,
    };
    assert_eq!(page(&warc("conversion", "http://a/", "text/plain", b"Hi")).unwrap().mime, "text/plain");
    assert_eq!(page(&warc("request", "http://a/", "application/http", b"GET / HTTP/1.1\r\n\r\n")), None);
    assert_eq!(page(&warc("response", "dns:a", "text/dns", b"20080430204825\na. IN A 1.2.3.4\n")), None);
    assert_eq!(
        page(&warc("response", "http://a/", "application/http", b"HTTP/1.0 404\n\n")).unwrap().status,
        404
    );
    // What an encoding makes is bounded.
    let zeros = gzip(&vec![0; 4 * LIMIT]);
    let bomb = [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", zeros.as_slice()];
    assert_eq!(page(&warc("response", "http://a/", "", &bomb.concat())).unwrap().body.len(), LIMIT);
}

#[test]
fn real_archives_are_read() {
    let folder = Path::new("../../../shared/data/news-warc");
    if !folder.is_dir() {
        println!("skipped: no {}", folder.display());
        return;
    }
    for (name, count, html, broken) in [
        ("IAH-20080430204825-blackbook.arc.gz", 300, 94, 0),
        ("IAH-20080430204825-blackbook.warc.gz", 822, 94, 0),
        ("dolma-sample-0000.warc.gz", 48, 22, 0),
        ("iana.warc.gz", 343, 16, 0),
        ("jwarc-cc.warc.gz", 1, 1, 0),
        ("resiliparse-clipped.warc.gz", 0, 0, 1),
        ("warcio-example-iana-chunked.warc", 3, 1, 0),
        ("warcio-example.warc.gz", 6, 1, 0),
        ("whirlwind-commoncrawl.warc", 4, 1, 0),
        ("whirlwind-commoncrawl.warc.gz", 4, 1, 0),
    ] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let found = read(Records::new(BufReader::with_capacity(333, bytes.as_slice()), 16 << 20));
        let records: Vec<&Record> = found
            .iter()
            .filter_map(|found| if let Found::Record(record) = found { Some(record) } else { None })
            .collect();
        let pages = records.iter().filter_map(|record| record.page());
        let pages = pages.filter(|page| page.status == 200 && page.mime == "text/html").count();
        assert_eq!((records.len(), pages, found.len() - records.len()), (count, html, broken), "{name}");
    }
}

/// The archive in one of its packings, and where each record ends in it, if each has a place of its own.
fn packings() -> [(Vec<u8>, Vec<usize>); 3] {
    let records = records();
    let ends = |pieces: &[Vec<u8>]| {
        (1..=pieces.len()).map(|count| pieces[..count].iter().map(Vec::len).sum()).collect::<Vec<usize>>()
    };
    let pieces: Vec<Vec<u8>> = records.iter().map(|record| gzip(record)).collect();
    [
        (records.concat(), ends(&records)),
        (pieces.concat(), ends(&pieces)),
        (gzip(&records.concat()), vec![usize::MAX; records.len()]),
    ]
}

#[test]
fn damage_to_the_first_bytes_of_a_packed_archive_costs_one_record() {
    let (bytes, _) = &packings()[1];
    let whole = sorted(all(bytes)).0;
    for bit in 0..24 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (records, damage) = sorted(all(&damaged));
        assert_eq!((&records[..], damage.len()), (&whole[1..], 1), "bit {bit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damage_leaves_the_records_before_it(
        packing in 0usize..3, place in any::<prop::sample::Index>(), bit in 0u8..8, cut: bool, near in 0usize..64,
    ) {
        let (bytes, ends) = &packings()[packing];
        let whole = sorted(all(bytes)).0;
        // Half of the damage is where records meet.
        let place = match near {
            0..32 => place.index(bytes.len()),
            _ => place.get(ends).saturating_add(near).saturating_sub(40).min(bytes.len() - 1),
        };
        let mut damaged = bytes.clone();
        if cut {
            damaged.truncate(place);
        } else {
            damaged[place] ^= 1 << bit;
        }
        let found = all(&damaged);
        let (records, damage) = sorted(found.clone());
        let before = ends.iter().take_while(|&&end| end <= place).count();
        prop_assert!(records.len() >= before);
        prop_assert_eq!(&records[..before], &whole[..before]);
        if packing == 1 {
            // A gzip member of its own shields a record from damage to others.
            let others = if cut { before } else { whole.len() - 1 };
            prop_assert!(records.len() >= others);
            prop_assert!(records.iter().all(|record| whole.contains(record)));
            prop_assert!(damage.len() <= 1);
        }
        for size in [1, 7, 4096, 1 << 20] {
            let reader = BufReader::with_capacity(size, damaged.as_slice());
            prop_assert!(read(Records::new(reader, LIMIT)) == found);
        }
    }

    #[test]
    fn nothing_makes_it_panic(pieces in proptest::collection::vec(0usize..8, 0..12), anywhere: bool) {
        let good = warc("response", "http://a/", "application/http", b"HTTP/1.1 200 OK\r\n\r\nx");
        let (packed, short) = (gzip(&good), gzip(b"WARC/1"));
        let parts: [&[u8]; 8] = [&good, &packed, &short, b"\n", b"WARC/", &[0x1f, 0x8b, 8], &packed[..40], b"http://"];
        let bytes: Vec<u8> = pieces.iter().flat_map(|&piece| parts[piece].iter().copied()).collect();
        let make = |reader| if anywhere { Records::anywhere(reader, 500) } else { Records::new(reader, 500) };
        let found = read(make(BufReader::with_capacity(1 << 16, bytes.as_slice())));
        prop_assert!(found == read(make(BufReader::with_capacity(3, bytes.as_slice()))));
        for found in found {
            if let Found::Record(record) = found {
                record.page();
            }
        }
    }
}
