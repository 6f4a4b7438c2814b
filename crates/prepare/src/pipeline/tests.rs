//! Whole preparations of small texts that are written here.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use corpus::clean;
use store::Dataset;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::*;
use crate::Silent;

/// Prose of `sentences` sentences that differs from file to file.
fn prose(seed: u64, sentences: usize) -> String {
    const WORDS: [&str; 16] = [
        "the", "cat", "sat", "on", "a", "mat", "while", "Mr.", "Dent", "was", "reading", "old", "letters",
        "from", "café", "Paris",
    ];
    let mut draw = plan::Key::root(seed).stream();
    let mut text = String::new();
    for _ in 0..sentences {
        let words: Vec<&str> =
            (0..4 + draw.below(12)).map(|_| WORDS[draw.below(WORDS.len() as u64) as usize]).collect();
        text += &words.join(" ");
        text += if draw.below(9) == 0 { ".\n\n" } else { ". The end? " };
    }
    text
}

/// Lines of news, some of which cannot be used, and one that is there twice.
fn news() -> Vec<String> {
    let line = |seed: u64| serde_json::json!({"text": prose(seed, 5), "url": format!("u{seed}")}).to_string();
    let mut lines: Vec<String> = (100..140).map(line).collect();
    lines.push("{\"text\": \"\"}".into());
    lines.push("broken".into());
    lines.push(line(103).replace("u103", "elsewhere"));
    lines
}

/// A folder of texts and JSON lines.
fn corpus(folder: &Path) {
    std::fs::create_dir_all(folder.join("books/old")).unwrap();
    for seed in 0..6u64 {
        let name = if seed.is_multiple_of(2) {
            format!("books/{seed}.txt")
        } else {
            format!("books/old/{seed}.txt")
        };
        std::fs::write(folder.join(name), prose(seed, 40 + 30 * seed as usize)).unwrap();
    }
    std::fs::write(folder.join("news.jsonl"), news().join("\n")).unwrap();
}

fn config(folder: &Path, out: &str, shard_bytes: u64) -> Config {
    let root = folder.display();
    let (chunk_bytes, block_bytes) = (256, shard_bytes.min(2_000));
    let text = format!(
        "[dataset]\nout = \"{root}/{out}\"\nseed = 5\nchunk_bytes = {chunk_bytes}\nblock_bytes = {block_bytes}\n\
         shard_bytes = {shard_bytes}\n[duplicates]\nnear = true\n[tokenizer]\nkind = \"byte-level-bpe\"\n\
         vocab_size = 400\ntrain_bytes = 20000\n[[source]]\nname = \"books\"\nformat = \"text\"\n\
         paths = [\"{root}/books\"]\n[[source]]\nname = \"news\"\nformat = \"jsonl\"\n\
         paths = [\"{root}/news.jsonl\"]\nweight = 2.5\n"
    );
    Config::parse("test.toml", &text).unwrap()
}

fn options(jobs: usize, task_bytes: u64) -> Options {
    Options { jobs: Some(jobs), task_bytes: Some(task_bytes), ..Options::default() }
}

fn prepared(config: &Config, options: &Options) -> Summary {
    match run(config, options, &Silent).unwrap() {
        Outcome::Done(summary) => *summary,
        Outcome::Waiting(waiting) => panic!("{waiting:?}"),
    }
}

/// Names and bytes of all files below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry.path().strip_prefix(folder).unwrap().display().to_string();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn the_bytes_are_the_same_for_any_number_of_threads_tasks_and_shares() {
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path());
    // One file, some, and very many.
    for (shard_bytes, least) in [(1 << 27, 1), (6_000, 8), (1_500, 32)] {
        let one = config(folder.path(), "one", shard_bytes);
        let summary = prepared(&one, &options(1, 1 << 26));
        let found = files(&folder.path().join("one"));
        let docs = found.keys().filter(|name| name.starts_with("docs/")).count();
        assert!(docs >= least && found.len() == 2 * docs + 4, "{docs}: {:?}", found.keys());
        // Tasks of a kilobyte cut through the lines of the news; little memory makes many passes.
        let four = config(folder.path(), "four", shard_bytes);
        let small = Options { memory: Some(1), ..options(4, 1 << 10) };
        assert_eq!(prepared(&four, &small).report, summary.report);
        assert!(found == files(&folder.path().join("four")));

        let shared = config(folder.path(), "shared", shard_bytes);
        let share = |index: usize| {
            let share = Some(Share::new(index, 3).unwrap());
            match run(&shared, &Options { share, ..options(1, 1 << 10) }, &Silent).unwrap() {
                Outcome::Waiting(waiting) => waiting,
                Outcome::Done(_) => panic!("a share completed the dataset"),
            }
        };
        assert_eq!(share(2).stage, "read");
        assert!(!folder.path().join("shared/manifest.json").exists());
        // In whatever order, and however often, until all is done.
        let mut last = String::new();
        for index in [3, 1, 2, 3, 1, 1, 2, 3, 2, 1, 3, 2, 1, 3, 2, 1] {
            last = share(index).stage;
        }
        assert_eq!(last, "finish");
        prepared(&shared, &options(2, 1 << 10));
        assert!(found == files(&folder.path().join("shared")));
        for name in ["one", "four", "shared"] {
            std::fs::remove_dir_all(folder.path().join(name)).unwrap();
        }
    }
}

/// Lets a preparation die at some point.
struct Mortal(AtomicU64);

impl Progress for Mortal {
    fn stage(&self, _name: &str, _total_bytes: u64) {
        self.advance(0);
    }

    fn advance(&self, _bytes: u64) {
        let left = self.0.load(Ordering::Relaxed);
        assert!(left > 0, "it dies here, on purpose");
        self.0.store(left - 1, Ordering::Relaxed);
    }

    fn message(&self, _text: &str) {}
}

#[test]
fn a_preparation_that_died_goes_on_and_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path());
    let whole = config(folder.path(), "whole", 6_000);
    prepared(&whole, &options(1, 1 << 26));
    let expected = files(&folder.path().join("whole"));
    let config = config(folder.path(), "died", 6_000);
    let (mut deaths, mut life) = (0, 1);
    loop {
        let mortal = Mortal(AtomicU64::new(life));
        let once = || run(&config, &options(2, 1 << 11), &mortal);
        match catch_unwind(AssertUnwindSafe(once)) {
            Ok(outcome) => {
                assert!(matches!(outcome.unwrap(), Outcome::Done(_)));
                break;
            }
            Err(_) => deaths += 1,
        }
        assert!(!folder.path().join("died/manifest.json").exists());
        life += 3;
    }
    assert!(deaths >= 5, "it died {deaths} times only");
    assert!(expected == files(&folder.path().join("died")));
}

#[test]
fn the_dataset_holds_every_document_once() {
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path());
    let config = config(folder.path(), "out", 6_000);
    let report = prepared(&config, &options(2, 1 << 12)).report;
    assert_eq!(report.totals.documents, 46);
    let dropped: Vec<_> = report.dropped().into_iter().collect();
    let expected = [("document without text", 1), ("exact duplicate", 1), ("line is not a JSON object", 1)];
    assert_eq!(dropped, expected.map(|(reason, count)| (reason.to_owned(), count)));
    assert_eq!(report.sources[1].tally.found, 43);
    let sample = &report.duplicate_samples["exact duplicate"][0];
    assert!(sample.place.contains("the same as news news.jsonl@"), "{}", sample.place);
    let runtime = Runtime::new().unwrap();
    let texts = runtime.block_on(async {
        let dataset = Dataset::open(&config.dataset.out).await.unwrap();
        assert_eq!(dataset.manifest().sources[1].weight, 2.5);
        let tokenizer = dataset.tokenizer().await.unwrap();
        let mut texts: BTreeMap<String, BTreeMap<u32, String>> = BTreeMap::new();
        let (mut tokens, mut last) = (0, (0, 0));
        for index in 0..dataset.blocks() {
            let block = dataset.block(index).await.unwrap();
            tokens += block.ids().len() as u64;
            for (row, document) in dataset.documents(index).await.unwrap().into_iter().enumerate() {
                assert_eq!((block.doc_id(row), block.chunk(row)), (document.doc_id, document.chunk));
                assert_eq!(tokenizer.decode(block.row(row)), document.text);
                assert_eq!(block.sentence_lens().row(row).len(), document.sent_end.len());
                assert!(document.text.len() <= 256);
                let name = [&document.doc_id[..], &document.chunk.to_le_bytes()].concat();
                let key = xxh3_128_with_seed(&name, 5);
                assert!((key, 1) > last, "rows are sorted by their keys");
                last = (key, 0);
                assert_eq!(document.url.is_some(), document.source == "news");
                let chunks = texts.entry(format!("{} {}", document.source, document.key)).or_default();
                assert!(chunks.insert(document.chunk, document.text).is_none());
            }
        }
        assert_eq!(tokens, report.totals.tokens);
        texts
    });
    assert_eq!(texts.len(), 46);
    let whole = |key: &str| texts[key].values().map(String::as_str).collect::<String>();
    let expected = |seed, sentences| clean(&prose(seed, sentences), corpus::Paragraphs::Auto);
    assert_eq!(whole("books old/3.txt"), expected(3, 130));
    let seventh: usize = news()[..7].iter().map(|line| line.len() + 1).sum();
    assert_eq!(whole(&format!("news news.jsonl@{seventh}")), expected(107, 5));
}

#[test]
fn a_second_tokenizer_shares_the_texts() {
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path());
    let config = config(folder.path(), "out", 6_000);
    let first = prepared(&config, &options(1, 1 << 20)).report;
    let before = files(Path::new(&config.dataset.out));
    let mut other = config.clone();
    other.tokenizer.vocab_size = Some(300);
    let second = prepared(&other, &options(1, 1 << 20)).report;
    assert_eq!((&second.docs, second.vocab_size), (&first.docs, 300));
    assert!(second.dataset != first.dataset && second.manifest.starts_with("manifest-"));
    let after = files(Path::new(&config.dataset.out));
    assert!(before.iter().all(|(name, bytes)| after.get(name) == Some(bytes)), "what was there has changed");
    assert!(prepared(&other, &options(1, 1 << 20)).already_there);
    assert!(prepared(&config, &options(1, 1 << 20)).already_there);
    let runtime = Runtime::new().unwrap();
    let place = format!("{}/{}", config.dataset.out, second.manifest);
    let dataset = runtime.block_on(Dataset::open(&place)).unwrap();
    assert_eq!(dataset.hash(), second.dataset);
    let rows = runtime.block_on(dataset.documents(0)).unwrap();
    let block = runtime.block_on(dataset.block(0)).unwrap();
    assert_eq!(rows.len(), block.rows());
}

#[test]
fn paragraphs_that_occurred_before_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("books")).unwrap();
    let footer = "This footer stands below every page of the site, and nobody reads it.";
    let page = |seed: u64| format!("{}\n{footer}", prose(seed, 3).replace('\n', " "));
    for seed in 0..4 {
        std::fs::write(folder.path().join(format!("books/{seed}.txt")), page(seed)).unwrap();
    }
    std::fs::write(folder.path().join("books/4.txt"), footer).unwrap();
    std::fs::write(folder.path().join("news.jsonl"), news().join("\n")).unwrap();
    let mut config = config(folder.path(), "out", 1 << 20);
    config.duplicates.paragraphs = true;
    config.duplicates.paragraph_min_bytes = 40;
    config.sources.truncate(1);
    config.sources[0].paragraphs = corpus::Paragraphs::Line;
    let report = prepared(&config, &options(2, 1)).report;
    assert_eq!((report.duplicate_paragraphs, report.totals.documents), (4, 4));
    assert_eq!(report.dropped()["every paragraph occurred before"], 1);
    let runtime = Runtime::new().unwrap();
    let dataset = runtime.block_on(Dataset::open(&config.dataset.out)).unwrap();
    let rows = runtime.block_on(dataset.documents(0)).unwrap();
    assert_eq!(rows.iter().filter(|row| row.text.contains(footer)).count(), 1);
    assert!(rows.iter().any(|row| row.key == "0.txt" && row.text.contains(footer)));
}

#[test]
fn what_is_there_is_kept_and_another_dataset_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path());
    let config = config(folder.path(), "out", 6_000);
    let plain = options(2, 1 << 20);
    let first = prepared(&config, &plain);
    let before = files(Path::new(&config.dataset.out));
    let again = prepared(&config, &plain);
    assert!(again.already_there && !first.already_there && again.report == first.report);
    let mut other = config.clone();
    other.dataset.seed = 6;
    let error = run(&other, &plain, &Silent).unwrap_err();
    assert!(error.is_bad_input() && error.to_string().contains("choose another --out"), "{error}");
    assert!(before == files(Path::new(&config.dataset.out)));

    // What something else has left there without completing it does not come into the dataset.
    std::fs::remove_file(folder.path().join("out/manifest.json")).unwrap();
    std::fs::write(folder.path().join("out/docs/part-00077.parquet"), "left over").unwrap();
    assert!(!prepared(&config, &plain).already_there);
    assert!(before == files(Path::new(&config.dataset.out)));

    // One that is under way is not mixed with another one.
    std::fs::remove_file(folder.path().join("out/manifest.json")).unwrap();
    let share = Some(Share::new(1, 2).unwrap());
    run(&config, &Options { share, ..plain.clone() }, &Silent).unwrap();
    let error = run(&other, &plain, &Silent).unwrap_err();
    assert!(error.is_bad_input() && error.to_string().contains("was begun there"), "{error}");
}

#[test]
fn mistakes_in_the_inputs_are_told() {
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path());
    let refused = |change: fn(&mut Config)| {
        let mut config = config(folder.path(), "out", 6_000);
        change(&mut config);
        let error = run(&config, &Options::default(), &Silent).unwrap_err();
        assert!(error.is_bad_input(), "{error}");
        std::fs::remove_dir_all(folder.path().join("out")).ok();
        error.to_string()
    };
    let missing = refused(|config| config.sources[0].paths[0] += "/nothing/*.txt");
    assert!(missing.contains("source `books`: no file") && missing.contains("nothing/*.txt"), "{missing}");
    let empty = refused(|config| config.sources[1].text_field = "body".into());
    assert!(empty.contains("source `news`: no document of it is left"), "{empty}");
    let file = refused(|config| {
        config.tokenizer = crate::TokenizerConfig { files: vec!["no.json".into()], ..Default::default() };
    });
    assert!(file.contains("no.json") && file.contains("cannot be read"), "{file}");
    let language = refused(|config| config.clean.languages = vec!["ko".into()]);
    assert!(language.contains("document is in another language"), "{language}");
    assert!(!folder.path().join("out/manifest.json").exists());
}

/// Real prose, where there is some: what generated texts do not think of.
#[test]
fn a_book_encodes_the_same_however_it_is_cut() {
    let path = "../../../shared/data/books/gitenberg/Frankenstein_84__84-0.txt";
    let Ok(bytes) = std::fs::read(path) else {
        println!("skipped: no {path}");
        return;
    };
    let text = clean(&corpus::decode(&bytes).0, corpus::Paragraphs::Auto);
    assert!(text.matches('\n').count() < 2_000, "the book is wrapped: its lines are to be joined");
    let tokenizer = corpus::train_byte_level_bpe([&text], 2_000).unwrap();
    let whole = tokenizer.encode_sentence(&text);
    let mut encoder = tokenizer.encoder();
    let mut ids = Vec::new();
    for chunk in corpus::chunks(&text, Some("en"), 4_096) {
        let row = corpus::DocRow {
            text: text[chunk.text.clone()].to_owned(),
            sent_end: chunk.sent_end,
            ..corpus::DocRow::default()
        };
        ids.extend(corpus::tokenise(&row, 0, &mut encoder, tokenizer.specials().unk).ids);
    }
    assert_eq!(ids, whole);
    assert_eq!(tokenizer.decode(&whole), text);
}
