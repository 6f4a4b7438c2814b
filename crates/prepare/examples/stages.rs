//! How fast each step of a preparation is on its own: one thread, in this process, on texts that are in memory. Reads
//! what to do from a JSON file, prints what it measured as JSON; `cargo xtask bench prepare` runs it and shows a table.
//! Knows no target and compares nothing.

use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use corpus::normal::{Form, Oddities};
use corpus::quality::Quality;
use corpus::similar::{MinHashSpec, Scratch, Signer, exact_hash};
use corpus::wiki::{self, Pages, Site, WikiOptions};
use corpus::{DocRow, Paragraphs, Tokenizer, book, chunks, clean, decode, html, language, normal, tokenise};
use serde::{Deserialize, Serialize};
use store::{DocsEncoder, TokensEncoder};

/// The defaults of the configuration.
const CHUNK_BYTES: usize = 32 << 10;
const BLOCK_BYTES: u64 = 4 << 20;
const MOST: usize = 64 << 20;

/// The system counts processor time in steps of some milliseconds, so what is quick is done again until it took so
/// long, but not more often than this.
const LEAST: Duration = Duration::from_millis(200);
const MOST_OFTEN: u32 = 100;

/// What to measure, and on what.
#[derive(Deserialize)]
struct Task {
    /// How often each measurement is made.
    repeat: usize,
    /// Books, one per file.
    books: Vec<PathBuf>,
    /// MediaWiki dumps.
    wikis: Vec<PathBuf>,
    /// WARC files.
    warcs: Vec<PathBuf>,
    tokenizers: Vec<Named>,
    /// Where the clean documents and the tokenizers go, for others to be measured on the same.
    folder: PathBuf,
}

/// A tokenizer, as a configuration has it.
#[derive(Deserialize)]
struct Named {
    name: String,
    files: Vec<String>,
    lowercase: Option<bool>,
}

/// What was measured.
#[derive(Default, Serialize)]
struct Measured {
    /// Bytes of the inputs when they are unpacked.
    book_bytes: usize,
    wiki_bytes: usize,
    warc_bytes: usize,
    /// Bytes of clean text of the books.
    clean_bytes: usize,
    /// How many tokens each tokenizer made of it.
    tokens: Vec<(String, usize)>,
    steps: Vec<Step>,
}

/// The times of one step.
#[derive(Serialize)]
struct Step {
    name: String,
    bytes: usize,
    /// Processor seconds of each repetition.
    seconds: Vec<f64>,
}

/// The processor time of this thread, which other processes on the machine do not change much; the time of day where
/// the system does not tell it.
fn now(start: Instant) -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = stat.and_then(|text| text.split(' ').next()?.parse().ok()).filter(|&spent| spent > 0);
    nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

impl Measured {
    /// Measures `work` on what `setup` makes, which is not counted.
    fn step<S, T>(
        &mut self,
        name: impl Into<String>,
        bytes: usize,
        repeat: usize,
        mut setup: impl FnMut() -> S,
        mut work: impl FnMut(&mut S) -> T,
    ) {
        let start = Instant::now();
        let mut seconds = Vec::new();
        for _ in 0..repeat {
            let (mut spent, mut count) = (Duration::ZERO, 0);
            while spent < LEAST && count < MOST_OFTEN {
                let mut ready = setup();
                let before = now(start);
                black_box(work(black_box(&mut ready)));
                spent += now(start) - before;
                count += 1;
            }
            seconds.push(spent.as_secs_f64() / f64::from(count));
        }
        self.steps.push(Step { name: name.into(), bytes, seconds });
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: stages TASK.json")?;
    let task: Task = serde_json::from_slice(&fs::read(path)?)?;
    let mut measured = Measured::default();
    let texts = books(&task, &mut measured)?;
    let rows = documents(&task, &texts, &mut measured)?;
    for named in &task.tokenizers {
        tokens(&task, named, &rows, &mut measured)?;
    }
    wikis(&task, &mut measured)?;
    warcs(&task, &mut measured)?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// From files to clean texts.
fn books(task: &Task, measured: &mut Measured) -> Result<Vec<String>, Box<dyn Error>> {
    let packed: Vec<Vec<u8>> = task.books.iter().map(fs::read).collect::<Result<_, _>>()?;
    let raw: Vec<Vec<u8>> = packed.iter().map(|bytes| unpack(bytes)).collect();
    let size = raw.iter().map(Vec::len).sum();
    measured.book_bytes = size;
    if packed.iter().any(|bytes| bytes.starts_with(&[0x1f, 0x8b])) {
        measured.step(
            "unpack gzip",
            size,
            task.repeat,
            || (),
            |()| packed.iter().map(|bytes| unpack(bytes).len()).sum::<usize>(),
        );
    }
    measured.step(
        "decode",
        size,
        task.repeat,
        || (),
        |()| raw.iter().map(|bytes| decode(bytes).0.len()).sum::<usize>(),
    );
    let decoded: Vec<String> = raw.iter().map(|bytes| decode(bytes).0.replace("\r\n", "\n")).collect();
    let strip = |text: &String| book::tidy(&text[book::strip(text).body], &mut book::Dropped::default());
    measured.step(
        "book: strip and tidy",
        size,
        task.repeat,
        || (),
        |()| decoded.iter().map(|text| strip(text).len()).sum::<usize>(),
    );
    let stripped: Vec<String> = decoded.iter().map(strip).collect();
    let size = total(&stripped);
    measured.step("normalise (NFC)", size, task.repeat, Oddities::default, |oddities| {
        stripped.iter().map(|text| normal::normalise(text, Form::Nfc, oddities).len()).sum::<usize>()
    });
    let normal = |text: &String| normal::normalise(text, Form::Nfc, &mut Oddities::default()).into_owned();
    let normalised: Vec<String> = stripped.iter().map(normal).collect();
    measured.step(
        "clean",
        size,
        task.repeat,
        || (),
        |()| normalised.iter().map(|text| clean(text, Paragraphs::Auto).len()).sum::<usize>(),
    );
    Ok(normalised.iter().map(|text| clean(text, Paragraphs::Auto)).collect())
}

/// From clean texts to rows.
fn documents(task: &Task, texts: &[String], measured: &mut Measured) -> Result<Vec<DocRow>, Box<dyn Error>> {
    let size = total(texts);
    measured.clean_bytes = size;
    let repeat = task.repeat;
    judge(texts, "books", repeat, measured);
    measured.step(
        "exact hash",
        size,
        repeat,
        || (),
        |()| texts.iter().fold(0, |sum, text| sum ^ exact_hash(text)),
    );
    measured.step(
        "sentences",
        size,
        repeat,
        || (),
        |()| texts.iter().map(|text| corpus::split(text).len()).sum::<usize>(),
    );
    measured.step(
        "chunks, with sentences",
        size,
        repeat,
        || (),
        |()| texts.iter().map(|text| chunks(text, None, CHUNK_BYTES).len()).sum::<usize>(),
    );
    let joined = texts.concat();
    let packed = zstd::encode_all(joined.as_bytes(), 1)?;
    measured.step("pack (zstd, level 1)", size, repeat, || (), |()| zstd::encode_all(joined.as_bytes(), 1));
    measured.step("unpack (zstd)", size, repeat, || (), |()| zstd::decode_all(packed.as_slice()));
    let rows = rows(texts);
    // Of the length that articles have: rules and signatures look at all of them, and so do others.
    let articles: Vec<String> = rows.iter().map(|row| row.text.clone()).collect();
    write_documents(&task.folder.join("documents.jsonl"), &articles)?;
    judge(&articles, "articles", repeat, measured);
    let encode = |rows: Vec<DocRow>| {
        let mut encoder = DocsEncoder::new(BLOCK_BYTES)?;
        rows.into_iter().try_for_each(|row| encoder.push(row))?;
        encoder.finish()
    };
    measured.step("texts to Parquet", size, repeat, || rows.clone(), |rows| encode(std::mem::take(rows)));
    Ok(rows)
}

/// What is looked for in whole documents.
fn judge(texts: &[String], what: &str, repeat: usize, measured: &mut Measured) {
    let size = total(texts);
    let rules = Quality::default();
    measured.step(
        format!("quality rules, {what}"),
        size,
        repeat,
        || (),
        |()| texts.iter().filter(|text| rules.check(text).is_some()).count(),
    );
    measured.step(
        format!("language, {what}"),
        size,
        repeat,
        || (),
        |()| texts.iter().filter(|text| language::detect(text).is_some()).count(),
    );
    let signer = Signer::new(MinHashSpec::default());
    measured.step(format!("MinHash bands, {what}"), size, repeat, Scratch::default, |scratch| {
        texts.iter().filter_map(|text| signer.bands(text, scratch)).count()
    });
}

fn rows(texts: &[String]) -> Vec<DocRow> {
    let mut rows = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        for (index, chunk) in chunks(text, None, CHUNK_BYTES).into_iter().enumerate() {
            rows.push(DocRow {
                doc_id: corpus::doc_id("books", &number.to_string()),
                chunk: index as u32,
                source: "books".into(),
                text: text[chunk.text].to_owned(),
                sent_end: chunk.sent_end,
                flags: chunk.flags,
                ..DocRow::default()
            });
        }
    }
    rows
}

/// From rows to ids.
fn tokens(
    task: &Task,
    named: &Named,
    rows: &[DocRow],
    measured: &mut Measured,
) -> Result<(), Box<dyn Error>> {
    let name = &named.name;
    let tokenizer = prepare::tokenizer::load(&named.files, named.lowercase)?;
    fs::write(task.folder.join(format!("{name}.json")), tokenizer.json())?;
    let size = rows.iter().map(|row| row.text.len()).sum();
    measured.step(
        format!("{name}: load"),
        0,
        1,
        || (),
        |()| prepare::tokenizer::load(&named.files, named.lowercase).map(|tokenizer| tokenizer.vocab_size()),
    );
    let unk = tokenizer.specials().unk;
    let encoded = |encoder: &mut corpus::Encoder| -> usize {
        rows.iter().map(|row| tokenise(row, 0, encoder, unk).ids.len()).sum()
    };
    measured.step(format!("{name}: first pass"), size, task.repeat, || tokenizer.encoder(), encoded);
    let warm = |tokenizer: &Tokenizer| {
        let mut encoder = tokenizer.encoder();
        encoded(&mut encoder);
        encoder
    };
    measured.step(format!("{name}: warm"), size, task.repeat, || warm(&tokenizer), encoded);
    let mut encoder = tokenizer.encoder();
    let ids: Vec<_> = rows.iter().map(|row| tokenise(row, 0, &mut encoder, unk)).collect();
    measured.tokens.push((name.clone(), ids.iter().map(|row| row.ids.len()).sum()));
    let rows_of_a_block = (BLOCK_BYTES as usize / CHUNK_BYTES).max(1);
    measured.step(
        format!("{name}: ids to Parquet"),
        size,
        task.repeat,
        || (),
        |()| {
            let mut encoder = TokensEncoder::new(tokenizer.vocab_size())?;
            ids.chunks(rows_of_a_block).try_for_each(|rows| encoder.push_block(rows))?;
            encoder.finish()
        },
    );
    Ok(())
}

fn wikis(task: &Task, measured: &mut Measured) -> Result<(), Box<dyn Error>> {
    let packed: Vec<Vec<u8>> = task.wikis.iter().map(fs::read).collect::<Result<_, _>>()?;
    let dumps: Vec<Vec<u8>> = packed.iter().map(|bytes| unpack(bytes)).collect();
    let size: usize = dumps.iter().map(Vec::len).sum();
    measured.wiki_bytes = size;
    if size == 0 {
        return Ok(());
    }
    let compressed: Vec<&Vec<u8>> = packed.iter().filter(|bytes| bytes.starts_with(b"BZh")).collect();
    let unpacked = compressed.iter().map(|bytes| unpack(bytes).len()).sum();
    measured.step(
        "unpack bzip2",
        unpacked,
        task.repeat,
        || (),
        |()| compressed.iter().map(|bytes| unpack(bytes).len()).sum::<usize>(),
    );
    let pages = |dump: &[u8]| {
        let mut pages = Pages::new(BufReader::with_capacity(1 << 18, dump), MOST);
        std::iter::from_fn(move || pages.next_page().ok().flatten()).collect::<Vec<_>>()
    };
    measured.step(
        "wiki: XML to pages",
        size,
        task.repeat,
        || (),
        |()| dumps.iter().map(|dump| pages(dump).len()).sum::<usize>(),
    );
    let mut markup: Vec<(Site, String)> = Vec::new();
    for dump in &dumps {
        let site = Site::parse(&dump[..dump.len().min(1 << 17)]);
        for found in pages(dump) {
            if let wiki::Found::Page(page) = found
                && page.namespace == 0
                && !page.redirect
            {
                markup.push((site.clone(), page.text));
            }
        }
    }
    let size = markup.iter().map(|(_, text)| text.len()).sum();
    measured.step("wiki: markup to text", size, task.repeat, wiki::Counts::default, |counts| {
        let text =
            |(site, text): &(Site, String)| wiki::text(text, site, &WikiOptions::default(), counts).len();
        markup.iter().map(text).sum::<usize>()
    });
    Ok(())
}

fn warcs(task: &Task, measured: &mut Measured) -> Result<(), Box<dyn Error>> {
    let mut pages = Vec::new();
    for path in &task.warcs {
        let archive = unpack(&fs::read(path)?);
        measured.warc_bytes += archive.len();
        pages.extend(web_pages(&archive)?);
    }
    let size = pages.iter().map(Vec::len).sum();
    if pages.is_empty() {
        return Ok(());
    }
    measured.step(
        "HTML: decode",
        size,
        task.repeat,
        || (),
        |()| pages.iter().map(|page| html::decode(page, None).0.len()).sum::<usize>(),
    );
    let decoded: Vec<String> = pages.iter().map(|page| html::decode(page, None).0).collect();
    measured.step(
        "HTML: main text",
        total(&decoded),
        task.repeat,
        || (),
        |()| {
            let text =
                |page: &String| html::main_text(page, &html::Limits::default()).map_or(0, |it| it.text.len());
            decoded.iter().map(text).sum::<usize>()
        },
    );
    Ok(())
}

/// The bodies of the responses that are web pages and not packed once more: enough to measure with, not to prepare.
fn web_pages(archive: &[u8]) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut pages = Vec::new();
    let mut reader = BufReader::new(archive);
    loop {
        let head = head(&mut reader)?;
        if !head.starts_with("warc/") {
            return Ok(pages);
        }
        let field = |head: &str, name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim().to_owned())
        };
        let len = field(&head, "content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
        let mut block = vec![0; len];
        if reader.read_exact(&mut block).is_err() {
            return Ok(pages);
        }
        // Two line ends part the records.
        reader.read_exact(&mut [0; 4]).unwrap_or_default();
        if field(&head, "warc-type").as_deref() == Some("response") {
            let mut rest = block.as_slice();
            let http = self::head(&mut rest)?;
            let plain =
                field(&http, "content-encoding").is_none() && field(&http, "transfer-encoding").is_none();
            if plain && field(&http, "content-type").is_some_and(|kind| kind.starts_with("text/html")) {
                pages.push(rest.to_vec());
            }
        }
    }
}

/// Lines up to an empty one, in small letters.
fn head(reader: &mut impl BufRead) -> Result<String, Box<dyn Error>> {
    let mut head = String::new();
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line).trim_end().to_lowercase();
        if line.is_empty() {
            return Ok(head);
        }
        head += &line;
        head.push('\n');
    }
}

fn total(texts: &[String]) -> usize {
    texts.iter().map(String::len).sum()
}

/// Undoes gzip and bzip2. Of a damaged file, what comes before the damage.
fn unpack(bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    let read = match bytes {
        [0x1f, 0x8b, ..] => flate2::bufread::MultiGzDecoder::new(bytes).read_to_end(&mut unpacked),
        [b'B', b'Z', b'h', ..] => bzip2::bufread::MultiBzDecoder::new(bytes).read_to_end(&mut unpacked),
        plain => return plain.to_vec(),
    };
    if let Err(error) = read {
        eprintln!("stages: a file is damaged behind {} bytes: {error}", unpacked.len());
    }
    unpacked
}

/// A document per line, for others.
fn write_documents(path: &Path, texts: &[String]) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(File::create(path)?);
    for (number, text) in texts.iter().enumerate() {
        serde_json::to_writer(&mut out, &serde_json::json!({ "id": number.to_string(), "text": text }))?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}
