//! Damaged inputs are named and counted, or refused, as the configuration says; the rest is prepared, and a dataset is
//! never there in part.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;
use tests::{Workplace, files_below, program};

const CONFIG: &str = r#"
[dataset]
out = "dataset"
block_bytes = 32768
[tokenizer]
kind = "byte-level-bpe"
vocab_size = 400
[[source]]
name = "tales"
format = "text"
paths = ["corpus"]
[[source]]
name = "dump"
format = "wikipedia"
paths = ["dumps"]
[[source]]
name = "web"
format = "warc"
paths = ["archives"]
[[source]]
name = "lines"
format = "jsonl"
paths = ["lines"]
"#;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("it can be written");
    encoder.finish().expect("it can be written")
}

fn bzip2(text: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(1));
    encoder.write_all(text).expect("it can be written");
    encoder.finish().expect("it can be written")
}

fn prose(number: usize) -> String {
    format!(
        "The {number}th day was like the others. Nobody came to the {number} houses by the river, and it rained."
    )
}

fn dump(pages: usize) -> String {
    let mut dump = String::from("<mediawiki><siteinfo><dbname>testwiki</dbname></siteinfo>\n");
    for page in 0..pages {
        let text = prose(page).repeat(20);
        dump += &format!(
            "<page><title>T{page}</title><ns>0</ns><id>{page}</id><revision><id>1</id><text>{text}</text></revision></page>\n"
        );
    }
    dump + "</mediawiki>\n"
}

fn record(number: usize) -> Vec<u8> {
    let body = prose(number);
    let head =
        "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://a/\r\nContent-Type: text/plain\r\n";
    gzip(format!("{head}Content-Length: {}\r\n\r\n{body}\r\n\r\n", body.len()).as_bytes())
}

/// A workplace whose corpus has one of everything that can be wrong, beside what is right.
fn damaged() -> Workplace {
    let place = Workplace::with_corpus();
    place.write("damaged.toml", CONFIG);
    for folder in ["dumps", "archives", "lines"] {
        fs::create_dir_all(place.path(folder)).expect("it can be written");
    }
    let put = |name: &str, bytes: &[u8]| fs::write(place.path(name), bytes).expect("it can be written");
    put("corpus/empty.txt", b"");
    put("corpus/torn.txt.gz", &gzip((0..900).map(prose).collect::<String>().as_bytes())[..900]);
    let whole = bzip2(dump(400).as_bytes());
    put("dumps/whole.xml.bz2", &whole);
    put(
        "dumps/torn.xml.bz2",
        &bzip2(dump(300).replace("testwiki", "tornwiki").as_bytes())[..whole.len() / 3],
    );
    let mut archive: Vec<u8> = (0..20).flat_map(record).collect();
    let middle = archive.len() / 2;
    archive[middle] ^= 0x10;
    put("archives/broken.warc.gz", &archive);
    let mut lines: Vec<u8> =
        (100..130).flat_map(|line| format!("{{\"text\": \"{}\"}}\n", prose(line)).into_bytes()).collect();
    lines.extend(b"{\"text\": \"Not UTF-8: caf\xe9 and more of it.\"}\nnot json at all\n");
    put("lines/some.jsonl", &lines);
    let long = fs::File::create(place.path("lines/long.jsonl")).expect("it can be written");
    let mut long = std::io::BufWriter::new(long);
    let megabyte = vec![b'x'; 1 << 20];
    long.write_all(b"{\"text\": \"").expect("it can be written");
    (0..200).for_each(|_| long.write_all(&megabyte).expect("it can be written"));
    long.write_all(b"\"}\n{\"text\": \"The line behind the long one is read.\"}\n")
        .expect("it can be written");
    long.flush().expect("it can be written");
    place
}

#[test]
fn what_is_damaged_is_counted_and_the_rest_is_prepared() {
    let place = damaged();
    let done = place.cloze(&["prepare", "damaged.toml", "--json"]).expect_success();
    let outcome: Value = serde_json::from_str(&done.out).expect("JSON");
    let source = |name: &str| {
        let sources = outcome["sources"].as_array().expect("sources");
        sources.iter().find(|source| source["name"] == name).expect("the source").clone()
    };
    let names = |source: &Value| source["tally"]["damage"].to_string();
    let tales = source("tales");
    assert_eq!(tales["documents"], 12);
    assert_eq!(tales["tally"]["dropped"]["document without text"], 1);
    assert!(names(&tales).contains("torn.txt.gz") && names(&tales).contains("damaged"), "{}", names(&tales));
    let dump = source("dump");
    assert!(dump["documents"].as_u64() >= Some(400), "{dump}");
    assert!(names(&dump).contains("torn.xml.bz2") && !names(&dump).contains("whole"), "{}", names(&dump));
    let web = source("web");
    assert!((18..20).contains(&web["tally"]["kept"].as_u64().unwrap()), "{web}");
    assert!(names(&web).contains("broken.warc.gz (record at byte"), "{}", names(&web));
    let lines = source("lines");
    assert_eq!(lines["tally"]["dropped"]["line is larger than max_document_bytes"], 1);
    assert_eq!(lines["tally"]["dropped"]["line is not a JSON object"], 1);
    assert_eq!((&lines["tally"]["converted"], &lines["tally"]["kept"]), (&Value::from(1), &Value::from(32)));
    let page = fs::read_to_string(place.path("dataset/report.html")).expect("the report");
    assert!(page.contains("torn.xml.bz2") && page.contains("not json at all"));

    place.write(
        "refuse.toml",
        &CONFIG.replace("out = \"dataset\"", "out = \"refused\"\ndamaged = \"refuse\""),
    );
    place.cloze(&["prepare", "refuse.toml"]).expect_failure(2, &["damaged", "dataset.damaged = \"count\""]);
    assert!(!place.path("refused/manifest.json").exists());
}

#[test]
fn a_folder_without_permission_is_named() {
    let place = Workplace::with_corpus();
    place.write("corpus/closed/secret.txt", &prose(1));
    let out = place.path("out");
    fs::create_dir_all(&out).unwrap();
    for (path, mode) in [(place.path(""), 0o755), (out.clone(), 0o777), (place.path("corpus/closed"), 0o000)]
    {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let text = fs::read_to_string(place.path("corpus.toml")).unwrap();
    place.write("open.toml", &text.replace("out = \"dataset\"", "out = \"out/dataset\""));
    // Nothing is closed to root.
    let root = fs::read_dir(place.path("corpus/closed")).is_ok();
    let mut command = match root {
        false => place.command(&["prepare", "open.toml"]),
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program("cloze"));
            command.args(["prepare", "open.toml"]).current_dir(place.path(""));
            command
        }
    };
    let output = match command.output() {
        Ok(output) if root && !output.status.success() && output.stdout.is_empty() && !reaches(&place) => {
            println!("skipped: another user cannot start the program under test");
            return;
        }
        Ok(output) => output,
        Err(error) => {
            println!("skipped: setpriv cannot be started ({error})");
            return;
        }
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("12 documents found") && out.contains("damaged: 1 places"), "{out}");
    assert!(out.contains("corpus/closed: it cannot be read"), "{out}");
}

/// Whether a user without rights can start the program.
fn reaches(place: &Workplace) -> bool {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program("cloze")).arg("--version");
    command.current_dir(place.path("")).output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_full_disk_ends_it_and_with_more_room_it_goes_on() {
    let place = Workplace::with_corpus();
    place.cloze(&["prepare", "corpus.toml", "--out", "whole"]).expect_success();
    let expected = files_below(&place.path("whole"));
    // No file may become larger than so many blocks of 512 bytes or a kilobyte: writing fails as on a full disk.
    for blocks in [2, 8, 24] {
        let cloze = program("cloze").display().to_string();
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {cloze} prepare corpus.toml --out full");
        let output = Command::new("sh").args(["-c", &script]).current_dir(place.path("")).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{blocks}: {error}");
        assert!(error.contains("storage failed at full/"), "{error}");
        assert!(!place.path("full/manifest.json").exists());
    }
    place.cloze(&["prepare", "corpus.toml", "--out", "full"]).expect_success();
    assert!(files_below(&place.path("full")) == expected);
}
