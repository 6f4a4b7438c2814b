//! Files of every format, whole and damaged, in one piece and in many.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::origin::Origin;
use crate::{Config, Silent};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(text: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(1));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).unwrap()
}

fn source(format: &str) -> SourceConfig {
    let text = format!(
        "[dataset]\nout = \"o\"\n[tokenizer]\nkind = \"unigram\"\nvocab_size = 300\n[[source]]\nname = \"s\"\n\
         format = \"{format}\"\npaths = [\"p\"]\ntext_field = \"body\"\n"
    );
    Config::parse("test", &text).unwrap().sources.remove(0)
}

/// What is found in a file, which is read in pieces that end at `cuts`.
fn found_in(path: &Path, format: &str, cuts: &[u64], most: u64) -> Vec<Found> {
    let size = path.metadata().unwrap().len();
    let input = Input { source: 0, key: "f".into(), origin: Origin::Local(path.into()), size };
    let source = source(format);
    let mut found = Vec::new();
    let mut start = 0;
    for end in cuts.iter().map(|cut| cut % (size + 1)).filter(|&cut| cut > 0).chain([u64::MAX]) {
        if end <= start {
            continue;
        }
        let piece = Piece { input: 0, start, end };
        let reading = Reading { input: &input, source: &source, piece, most, progress: &Silent };
        read(&reading, &mut |one| {
            found.push(one);
            Ok(())
        })
        .unwrap();
        start = end;
    }
    found
}

fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn documents(found: &[Found]) -> Vec<(&str, &str)> {
    found
        .iter()
        .filter_map(|found| match found {
            Found::Document(document, _) => Some((document.key.as_str(), document.text.as_str())),
            _ => None,
        })
        .collect()
}

fn damage(found: &[Found]) -> Vec<&str> {
    let mut reasons = Vec::new();
    for found in found {
        if let Found::Damaged(_, reason) = found {
            reasons.push(reason.as_str());
        }
    }
    reasons
}

#[test]
fn texts_may_be_packed_in_any_way_and_in_several_pieces() {
    let halves = ["One. ".as_bytes(), "Two é.".as_bytes()];
    for pack in [gzip, bzip2, zstd] {
        let bytes = [pack(halves[0]), pack(halves[1])].concat();
        let file = written(&bytes);
        // The content tells, not the name.
        let found = found_in(file.path(), "text", &[], 1 << 20);
        assert_eq!(documents(&found), [("f", "One. Two é.")]);
        let cut = written(&bytes[..bytes.len() - 9]);
        let found = found_in(cut.path(), "text", &[], 1 << 20);
        assert!(documents(&found).is_empty());
        assert!(damage(&found)[0].contains("is damaged or cannot be read"), "{found:?}");
    }
    let old = written(b"caf\xe9");
    let found = found_in(old.path(), "text", &[], 1 << 20);
    assert_eq!((documents(&found), &found[0]), (vec![("f", "café")], &Found::Converted));
    let empty = written(b"");
    assert_eq!(documents(&found_in(empty.path(), "text", &[], 9)), [("f", "")]);
    let large = written(&[b'x'; 100]);
    let found = found_in(large.path(), "text", &[], 99);
    assert!(matches!(&found[0], Found::Dropped(reason, ..) if reason.contains("max_document_bytes")));
}

#[test]
fn lines_become_documents_and_bad_ones_are_counted() {
    let long = "x".repeat(5_000);
    let text = format!(
        "{{\"body\": \"One.\", \"title\": \"T\", \"url\": 3}}\n\n{{\"text\": \"no\"}}\nnot json\n{long}\n{{\"body\": \"Two.\"}}"
    );
    for bytes in
        [text.as_bytes().to_vec(), gzip(text.as_bytes()), bzip2(text.as_bytes()), zstd(text.as_bytes())]
    {
        let file = written(&bytes);
        let found = found_in(file.path(), "jsonl", &[], 1_000);
        let last = text.rfind('\n').unwrap() + 1;
        assert_eq!(documents(&found), [("f@0", "One."), (format!("f@{last}").as_str(), "Two.")]);
        let dropped: Vec<&str> = found
            .iter()
            .filter_map(|found| match found {
                Found::Dropped(reason, ..) => Some(reason.as_ref()),
                _ => None,
            })
            .collect();
        let too_long = "line is larger than max_document_bytes";
        assert_eq!(dropped, ["line has no text field", "line is not a JSON object", too_long]);
    }
    // What came before the damage is there.
    let many: String = (0..20_000u64)
        .map(|line| format!("{{\"body\": \"Line {}.\"}}\n", line.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let packed = gzip(many.as_bytes());
    let file = written(&packed[..packed.len() / 2]);
    let found = found_in(file.path(), "jsonl", &[], 1_000);
    assert!(documents(&found).len() > 3 && damage(&found).len() == 1);
}

fn page(id: u64, text: &str) -> String {
    format!(
        "  <page>\n    <title>T{id}</title>\n    <ns>0</ns>\n    <id>{id}</id>\n    <revision>\n      <id>9</id>\n      \
         <timestamp>2020-01-02T03:04:05Z</timestamp>\n      <model>wikitext</model>\n      <text>{text}</text>\n    \
         </revision>\n  </page>\n"
    )
}

fn dump(pages: u64) -> String {
    let mut dump = String::from("<mediawiki>\n  <siteinfo>\n    <dbname>testwiki</dbname>\n  </siteinfo>\n");
    for id in 0..pages {
        let filler = "It is said of it that many have written about it. ".repeat((id * 37 % 11) as usize);
        dump += &page(id, &format!("'''Number {id}''' is a [[number]]. {filler}"));
    }
    dump + "</mediawiki>\n"
}

fn archive(pages: u64, member: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut archive = Vec::new();
    for id in 0..pages {
        let body = format!("Page {id} says something. ").repeat(1 + (id * 7 % 5) as usize);
        let record = format!(
            "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://a/{id}\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{body}\r\n\r\n",
            body.len()
        );
        archive.extend(member(record.as_bytes()));
    }
    archive
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn pieces_have_what_the_whole_has(cuts in prop::collection::vec(any::<u64>(), 0..6), kind in 0..4) {
        let lines: String = (0..60)
            .map(|line| format!("{{\"body\": \"Line {line} {}\"}}\n", "and more ".repeat(line * 13 % 7)))
            .collect();
        let (bytes, format) = match kind {
            0 => (lines.into_bytes(), "jsonl"),
            1 => (dump(60).into_bytes(), "wikipedia"),
            // Large enough for several blocks of bzip2.
            2 => (bzip2(dump(900).as_bytes()), "wikipedia"),
            _ => (archive(60, gzip), "warc"),
        };
        let file = written(&bytes);
        let whole = found_in(file.path(), format, &[], 1 << 20);
        prop_assert!(documents(&whole).len() >= 60);
        prop_assert!(damage(&whole).is_empty());
        let mut cuts = cuts;
        cuts.iter_mut().for_each(|cut| *cut %= bytes.len() as u64 + 1);
        cuts.sort_unstable();
        prop_assert_eq!(found_in(file.path(), format, &cuts, 1 << 20), whole);
    }
}

#[test]
fn damaged_blocks_of_a_dump_cost_their_pages_only() {
    let mut bytes = bzip2(dump(3_000).as_bytes());
    let whole = written(&bytes);
    let all = found_in(whole.path(), "wikipedia", &[], 1 << 20).len();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    let file = written(&bytes);
    let found = found_in(file.path(), "wikipedia", &[], 1 << 20);
    assert!(!damage(&found).is_empty());
    let kept = documents(&found).len();
    assert!(kept > all / 2 && kept < all, "{kept} of {all}");
    assert!(
        found
            .iter()
            .any(|found| matches!(found, Found::Document(document, _) if document.key == "testwiki:2999@9"))
    );
}

#[test]
fn a_page_of_a_dump_becomes_prose() {
    let text =
        "'''Ham''' is a [[meat|pork]] {{convert|3|km}}.&lt;ref&gt;x&lt;/ref&gt;\n\n== See also ==\n* [[Egg]]";
    let talk = page(8, "talk").replace("<ns>0", "<ns>1");
    let redirect =
        page(9, "#REDIRECT [[Ham]]").replace("<revision>", "<redirect title=\"Ham\" />\n<revision>");
    let dump = format!("<mediawiki>\n{}{talk}{redirect}</mediawiki>", page(7, text));
    let file = written(dump.as_bytes());
    let found = found_in(file.path(), "wikipedia", &[], 1 << 20);
    assert_eq!(documents(&found), [("wiki:7@9", "Ham is a pork 3 km.")]);
    let dropped = |wanted: &str| {
        found.iter().any(|found| matches!(found, Found::Dropped(reason, ..) if reason == wanted))
    };
    assert!(dropped("page is not an article") && dropped("page is a redirect"));
}

#[test]
fn rows_of_parquet_become_documents() {
    use arrow::array::{RecordBatch, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use parquet::arrow::ArrowWriter;

    let schema = std::sync::Arc::new(Schema::new(vec![
        Field::new("body", DataType::Utf8, true),
        Field::new("url", DataType::Utf8, true),
    ]));
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema.clone(), None).unwrap();
    for group in 0..5 {
        let texts = [Some(format!("Text {group}.")), None, Some("x".repeat(2_000))];
        let urls = StringArray::from(vec![Some("u"), None, None]);
        let batch = RecordBatch::try_new(
            schema.clone(),
            vec![std::sync::Arc::new(StringArray::from_iter(texts)), std::sync::Arc::new(urls)],
        );
        writer.write(&batch.unwrap()).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    let file = written(&bytes);
    let whole = found_in(file.path(), "parquet", &[], 1_000);
    assert_eq!(documents(&whole)[..2], [("f#0", "Text 0."), ("f#3", "Text 1.")]);
    assert_eq!(whole.len(), 15);
    for cut in (0..bytes.len() as u64).step_by(97) {
        assert_eq!(found_in(file.path(), "parquet", &[cut, cut + 300], 1_000), whole);
    }
    let cut = written(&bytes[..bytes.len() - 20]);
    assert!(damage(&found_in(cut.path(), "parquet", &[], 1_000))[0].contains("cannot be read"));
}
