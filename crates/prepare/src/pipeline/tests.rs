//! Whole preparations of small texts that are written here.

use std::collections::BTreeMap;
use std::path::Path;

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
    let line = |seed: u64| serde_json::json!({"text": prose(seed, 5), "url": format!("u{seed}")}).to_string();
    let mut lines: Vec<String> = (100..140).map(line).collect();
    lines.push("{\"text\": \"\"}".into());
    lines.push("broken".into());
    std::fs::write(folder.join("news.jsonl"), lines.join("\n")).unwrap();
}

fn config(folder: &Path, out: &str, shard_tokens: u64) -> Config {
    let root = folder.display();
    let (chunk_tokens, block_tokens) = (shard_tokens.min(64), shard_tokens.min(500));
    let text = format!(
        "[dataset]\nout = \"{root}/{out}\"\nseed = 5\nchunk_tokens = {chunk_tokens}\nblock_tokens = {block_tokens}\n\
         shard_tokens = {shard_tokens}\n[tokenizer]\nkind = \"byte-level-bpe\"\nvocab_size = 400\n\
         train_bytes = 20000\n[[source]]\nname = \"books\"\nformat = \"text\"\npaths = [\"{root}/books\"]\n\
         [[source]]\nname = \"news\"\nformat = \"jsonl\"\npaths = [\"{root}/news.jsonl\"]\n"
    );
    Config::parse("test.toml", &text).unwrap()
}

fn prepared(config: &Config, jobs: usize) -> Report {
    run(config, &Options { out: None, jobs: Some(jobs) }, &Silent).unwrap()
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
fn the_bytes_are_the_same_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path());
    // One file, some, and more files than buckets, some of them empty.
    for (shard_tokens, least) in [(1 << 27, 1), (3_000, 4), (32, 257)] {
        let (one, four) =
            (config(folder.path(), "one", shard_tokens), config(folder.path(), "four", shard_tokens));
        let report = prepared(&one, 1);
        assert_eq!(prepared(&four, 4).dataset, report.dataset);
        let found = files(&folder.path().join("one"));
        assert!(found == files(&folder.path().join("four")));
        let shards = found.keys().filter(|name| name.starts_with("docs/")).count();
        assert!(shards >= least && found.len() == 2 * shards + 2, "{shards} shards");
        std::fs::remove_dir_all(folder.path().join("one")).unwrap();
        std::fs::remove_dir_all(folder.path().join("four")).unwrap();
    }
}

#[test]
fn the_dataset_holds_every_document_once() {
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path());
    let config = config(folder.path(), "out", 3_000);
    let report = prepared(&config, 2);
    assert_eq!(report.documents, 46);
    let dropped: Vec<_> = report.dropped.iter().map(|(reason, &count)| (reason.as_str(), count)).collect();
    assert_eq!(dropped, [("document without text", 1), ("line is not a JSON object", 1)]);
    let runtime = Runtime::new().unwrap();
    let texts = runtime.block_on(async {
        let dataset = Dataset::open(&config.dataset.out).await.unwrap();
        let tokenizer = dataset.tokenizer().await.unwrap();
        let mut texts: BTreeMap<String, BTreeMap<u32, String>> = BTreeMap::new();
        let (mut tokens, mut last) = (0, (0, 0));
        for index in 0..dataset.blocks() {
            let block = dataset.block(index).await.unwrap();
            tokens += block.ids().len() as u64;
            for row in 0..block.rows() {
                let document = dataset.document(index, row).await.unwrap();
                assert_eq!((block.doc_id(row), block.chunk(row)), (document.doc_id, document.chunk));
                assert_eq!(tokenizer.decode(block.row(row)), document.text);
                assert!(block.row(row).len() <= 64);
                let name = [&document.doc_id[..], &document.chunk.to_le_bytes()].concat();
                let key = xxh3_128_with_seed(&name, 5);
                assert!((key, 1) > last, "rows are sorted by their keys");
                last = (key, 0);
                assert_eq!(document.url.is_some(), document.source == "news");
                let chunks = texts.entry(format!("{} {}", document.source, document.key)).or_default();
                assert!(chunks.insert(document.chunk, document.text).is_none());
            }
        }
        assert_eq!(tokens, report.tokens);
        texts
    });
    assert_eq!(texts.len(), 46);
    let whole = |key: &str| texts[key].values().map(String::as_str).collect::<String>();
    let expected = |seed, sentences| clean(&prose(seed, sentences), corpus::Paragraphs::Auto);
    assert_eq!(whole("books old/3.txt"), expected(3, 130));
    assert_eq!(whole("news news.jsonl:8"), expected(107, 5));
}

#[test]
fn what_is_there_is_kept_and_another_dataset_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path());
    let config = config(folder.path(), "out", 3_000);
    let first = prepared(&config, 2);
    let before = files(Path::new(&config.dataset.out));
    let again = prepared(&config, 2);
    assert!(again.already_there && !first.already_there && again.dataset == first.dataset);
    let mut other = config.clone();
    other.dataset.seed = 6;
    let error = run(&other, &Options::default(), &Silent).unwrap_err();
    assert!(error.is_bad_input() && error.to_string().contains("choose another --out"), "{error}");
    assert!(before == files(Path::new(&config.dataset.out)));

    // An interrupted preparation has left files, but no manifest: the next one starts over.
    std::fs::remove_file(folder.path().join("out/manifest.json")).unwrap();
    std::fs::write(folder.path().join("out/docs/part-00077.parquet"), "left over").unwrap();
    assert!(!prepared(&config, 2).already_there);
    assert!(before == files(Path::new(&config.dataset.out)));
}

#[test]
fn mistakes_in_the_inputs_are_told() {
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path());
    let refused = |change: fn(&mut Config)| {
        let mut config = config(folder.path(), "out", 3_000);
        change(&mut config);
        let error = run(&config, &Options::default(), &Silent).unwrap_err();
        assert!(error.is_bad_input(), "{error}");
        error.to_string()
    };
    let missing = refused(|config| config.sources[0].paths[0] += "/nothing/*.txt");
    assert!(missing.contains("source `books`: no file") && missing.contains("nothing/*.txt"), "{missing}");
    let empty = refused(|config| config.sources[1].text_field = "body".into());
    assert!(empty.contains("source `news`: no document of it has text"), "{empty}");
    let file = refused(|config| {
        config.tokenizer = crate::TokenizerConfig {
            file: Some("no.json".into()),
            kind: None,
            vocab_size: None,
            train_bytes: 1,
        }
    });
    assert!(file.contains("no.json") && file.contains("correct tokenizer.file"), "{file}");
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
    assert_eq!(tokenise(&text, &mut tokenizer.encoder(), u16::MAX).ids, whole);
    assert_eq!(tokenizer.decode(&whole), text);
}
