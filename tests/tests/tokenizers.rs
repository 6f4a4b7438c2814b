//! Token ids against Hugging Face Transformers and SentencePiece: the same files, the same texts, the same ids.
//!
//! With a tokenizer of each kind that is trained here, always; with those that BERT, RoBERTa and ALBERT were published
//! with, on real text, where `../shared/data` is there. Knows what `tests/reference/tokenizer_ids.py` reads and writes.

#![allow(clippy::unwrap_used)] // A test fails by panicking; helpers of tests are not known as such to the lint.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use corpus::{Tokenizer, TokenizerKind, TrainSpec, WordCounts};
use serde_json::json;

/// English as it is printed, and all that tokenizers trip over.
const TEXTS: [&str; 12] = [
    "The cat sat on the mat. “Don’t,” said Mr. Dent, “you’ll see 42 cats — or 1,024!”",
    "  Two  spaces,\ttabs,\u{a0}no-break\u{2003}and wide spaces  ",
    "``Quoted'' the old way, 'single' and \"double\"; rock'n'roll, O'Neill's, they've.",
    "Élan, naïve café, cafe\u{301}, ZÜRICH, İstanbul, straße, ǅ, ﬁne, ½, ²",
    "中文和日本語、한국어, ᄒ\u{1161}\u{11ab}, नमस्ते, สวัสดี, עברית, العربية ﷺ",
    "👩\u{200d}🔬 🇩🇪 ✓ … ‥ ¨ ´ ¸ \u{2017} ΅ \u{fffd} \u{600}1",
    "a\u{0}b\u{7f}c\u{ad}d\u{200b}e\u{200d}f\u{feff}g\u{85}h\u{b}i\u{c}j\u{1c}k",
    "line\nline\r\nline\rline\u{2028}line",
    "x\u{308}\u{301} \u{301}y ¨z\u{308} ̈ q",
    "[MASK] <mask> [CLS]<pad> [SEP]</s><s> [PAD] [UNK] ##ing ▁the Ġthe",
    "http://example.org/?q=1&r=%20#top {{m|en|x}} $3,000.50 50% C++ a_b a@b.c",
    "",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The folder with real text, if it is there.
fn data() -> Option<PathBuf> {
    let data = root().join("../shared/data");
    let found = data.join("tokenizers").is_dir();
    if !found {
        println!("skipped: no {}", data.display());
    }
    found.then_some(data)
}

/// The reference, which answers line by line.
struct Reference {
    child: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Reference {
    /// Starts it, if Python has what it needs.
    fn start() -> Option<Self> {
        let python = root().join(".venv/bin/python");
        let probe = Command::new(&python)
            .args(["-c", "import transformers, sentencepiece, google.protobuf"])
            .output();
        if !probe.is_ok_and(|probe| probe.status.success()) {
            println!(
                "skipped: Transformers and SentencePiece are not installed; run `cargo xtask setup --reference`"
            );
            return None;
        }
        let mut child = Command::new(&python)
            .arg(root().join("tests/reference/tokenizer_ids.py"))
            .env("HF_HUB_OFFLINE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (requests, replies) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Reference { child, requests, replies })
    }

    fn ids(&mut self, kind: &str, files: &[PathBuf], lowercase: bool, texts: &[String]) -> Vec<Vec<u32>> {
        let request = json!({ "kind": kind, "files": files, "lowercase": lowercase, "texts": texts });
        writeln!(self.requests, "{request}").unwrap();
        self.requests.flush().unwrap();
        let mut reply = String::new();
        self.replies.read_line(&mut reply).unwrap();
        serde_json::from_str(&reply).unwrap_or_else(|error| panic!("{kind}: {error}: {reply:?}"))
    }

    /// How many of the texts get other ids. Shows the first few.
    fn differ(
        &mut self,
        tokenizer: &Tokenizer,
        kind: &str,
        files: &[PathBuf],
        lowercase: bool,
        texts: &[String],
    ) -> usize {
        let (mut encoder, mut differ) = (tokenizer.encoder(), 0);
        for texts in texts.chunks(4096) {
            for (text, theirs) in texts.iter().zip(self.ids(kind, files, lowercase, texts)) {
                let mut ours = Vec::new();
                encoder.encode(text, &mut ours);
                if ours != theirs {
                    differ += 1;
                    if differ <= 5 {
                        show(tokenizer, text, &ours, &theirs);
                    }
                }
            }
        }
        differ
    }
}

/// Prints where two lists of tokens part.
fn show(tokenizer: &Tokenizer, text: &str, ours: &[u32], theirs: &[u32]) {
    let from = ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count().saturating_sub(2);
    let spelt =
        |ids: &[u32]| ids.iter().skip(from).take(6).map(|&id| tokenizer.token(id)).collect::<Vec<_>>();
    let start: String = text.chars().take(80).collect();
    println!("{start:?}\n  ours {:?}\n  theirs {:?}", spelt(ours), spelt(theirs));
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_trained_here_is_read_alike_there() {
    let Some(mut reference) = Reference::start() else { return };
    let texts: Vec<String> = TEXTS.map(str::to_owned).to_vec();
    let mut counts = WordCounts::default();
    for text in &texts {
        counts.add(&text.repeat(2));
    }
    let kinds = [
        (TokenizerKind::WordPiece, true),
        (TokenizerKind::WordPiece, false),
        (TokenizerKind::ByteLevelBpe, false),
        (TokenizerKind::Unigram, true),
        (TokenizerKind::Unigram, false),
    ];
    for (kind, lowercase) in kinds {
        let tokenizer = counts.clone().train_as(TrainSpec { kind, vocab_size: 600, lowercase }).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), tokenizer.json()).unwrap();
        // A Unigram model of Transformers takes text for a special token: that is not asked for.
        let texts: Vec<String> = match kind {
            TokenizerKind::Unigram => texts.iter().filter(|text| !text.contains("<pad>")).cloned().collect(),
            _ => texts.clone(),
        };
        let files = [folder.path().to_owned()];
        assert_eq!(
            reference.differ(&tokenizer, "folder", &files, lowercase, &texts),
            0,
            "{kind:?} {lowercase}"
        );
    }
}

/// One in so many lines of real text is looked at.
const EVERY: usize = 5;

/// Lines of real text: novels, tales, Wikipedia's markup, web pages.
fn lines(data: &Path) -> Vec<String> {
    let mut lines = TEXTS.map(str::to_owned).to_vec();
    let mut add = |path: &Path| {
        let mut bytes = Vec::new();
        std::fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
        let (text, _) = corpus::decode(&bytes);
        lines.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
    };
    let plain = ["txt", "xml", "jsonl"];
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| plain.iter().any(|plain| extension == *plain))
            {
                add(&path);
            }
        }
    }
    lines
}

#[test]
fn published_tokenizers_give_the_published_ids() {
    let Some(data) = data() else { return };
    let Some(mut reference) = Reference::start() else { return };
    let texts: Vec<String> = lines(&data).into_iter().step_by(EVERY).collect();
    assert!(texts.len() > 10_000);
    let cases: [(&str, &[&str], bool); 5] = [
        ("bert", &["bert-base-uncased-vocab.txt"], true),
        ("bert", &["bert-base-cased-vocab.txt"], false),
        ("roberta", &["gpt2-encoder.json", "gpt2-vocab.bpe", "roberta-dict.txt"], false),
        ("albert", &["albert-spiece.model"], true),
        ("albert-google", &["albert-spiece.model"], true),
    ];
    for (kind, names, lowercase) in cases {
        let paths: Vec<PathBuf> = names.iter().map(|name| data.join("tokenizers").join(name)).collect();
        let bytes: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
        let files: Vec<(&str, &[u8])> = names.iter().copied().zip(bytes.iter().map(Vec::as_slice)).collect();
        let tokenizer = Tokenizer::import(&files, Some(lowercase)).unwrap();
        let (texts, most) = match kind {
            // See above: WikiText is full of <unk>.
            "albert" => {
                let special =
                    |text: &String| ["<unk>", "<pad>", "[MASK]"].iter().any(|token| text.contains(token));
                (texts.iter().filter(|text| !special(text)).cloned().collect(), 0)
            }
            // SentencePiece adds up scores in 32 bits, which decides between "8"+"88" and "88"+"8"; and Google cuts
            // "21," again once it is cut, where Transformers and this tokenizer never make it.
            "albert-google" => (texts.clone(), texts.len() / 2_000),
            _ => (texts.clone(), 0),
        };
        let differ = reference.differ(&tokenizer, kind, &paths, lowercase, &texts);
        println!("{kind} {names:?}: {differ} of {} texts differ", texts.len());
        assert!(differ <= most, "{kind} {names:?}: {differ} of {} texts differ", texts.len());
    }
}
