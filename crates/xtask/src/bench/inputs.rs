//! The texts and tokenizers that a benchmark uses: real ones where they are, else what the project writes itself.
//! Knows names of files, and nothing of measuring.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::demo_corpus;
use crate::shell::{Failure, Outcome};

/// As much as the novels of `shared/data`.
const DEMO_BYTES: u64 = 32_000_000;

/// A tokenizer that a preparation uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub name: &'static str,
    /// Its files; none if it is to be trained.
    pub files: Vec<PathBuf>,
    /// Its kind, as the configuration calls it.
    pub kind: &'static str,
    pub lowercase: Option<bool>,
}

/// All that is read.
#[derive(Debug)]
pub struct Inputs {
    /// What the texts are, for people.
    pub name: String,
    /// Folders of books.
    pub books: Vec<PathBuf>,
    pub wikis: Vec<PathBuf>,
    pub warcs: Vec<PathBuf>,
    pub tokenizers: Vec<Named>,
}

impl Inputs {
    /// Looks for them; writes the project's own corpus if there are no others.
    pub fn find(root: &Path, folder: &Path, corpus: Option<&Path>) -> Outcome<Self> {
        let shared = root.join("../shared/data");
        let known = shared.canonicalize().unwrap_or(shared);
        let mut wikis = files_in(&known.join("wikipedia"));
        wikis.retain(|path| has_end(path, &[".xml", ".bz2"]));
        let mut warcs = files_in(&known.join("news-warc"));
        warcs.retain(|path| has_end(path, &[".warc", ".warc.gz"]));
        let (name, books) = match corpus {
            Some(corpus) => (corpus.display().to_string(), vec![absolute(corpus)?]),
            None if known.join("books/novels").is_dir() => {
                ("shared/data".to_owned(), vec![known.join("books/novels"), known.join("stories")])
            }
            None => {
                let own = folder.join("corpus");
                demo_corpus::write(&own, DEMO_BYTES, 1)?;
                ("demo-corpus".to_owned(), vec![own])
            }
        };
        let tokenizers = tokenizers(&known.join("tokenizers"));
        Ok(Inputs { name, books, wikis, warcs, tokenizers })
    }

    /// What the programs are told that measure parts of a preparation; `folder` is theirs to write in.
    pub fn task(&self, repeat: usize, folder: &Path) -> Value {
        let tokenizers = self.tokenizers.iter().filter(|named| !named.files.is_empty());
        let tokenizers: Vec<Value> = tokenizers
            .map(|it| json!({ "name": it.name, "files": it.files, "lowercase": it.lowercase }))
            .collect();
        json!({
            "repeat": repeat, "books": self.book_files(), "wikis": self.wikis, "warcs": self.warcs,
            "tokenizers": tokenizers, "folder": folder,
        })
    }

    /// The books one by one.
    pub fn book_files(&self) -> Vec<PathBuf> {
        let mut books: Vec<PathBuf> = self.books.iter().flat_map(|folder| files_in(folder)).collect();
        books.retain(|path| has_end(path, &[".txt", ".txt.gz"]));
        books
    }
}

/// One of each kind: those that models were published with, or such as can be trained.
fn tokenizers(folder: &Path) -> Vec<Named> {
    let published = [
        ("WordPiece", "word-piece", Some(true), &["bert-base-uncased-vocab.txt"][..]),
        (
            "byte-level BPE",
            "byte-level-bpe",
            None,
            &["gpt2-encoder.json", "gpt2-vocab.bpe", "roberta-dict.txt"],
        ),
        ("Unigram", "unigram", Some(true), &["albert-spiece.model"]),
    ];
    let named = |(name, kind, lowercase, files): (_, _, _, &[&str])| {
        let files: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
        let there = files.iter().all(|file| file.is_file());
        Named { name, kind, lowercase, files: if there { files } else { Vec::new() } }
    };
    published.map(named).to_vec()
}

fn has_end(path: &Path, ends: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ends.iter().any(|end| name.ends_with(end))
}

/// The files of a folder and of those below it, by name; none if it is not there.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => files.extend(files_in(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

fn absolute(path: &Path) -> Outcome<PathBuf> {
    path.canonicalize().map_err(|error| Failure::BadInput(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokenizers_that_are_not_there_are_trained() {
        let folder = std::env::temp_dir().join(format!("xtask-bench-inputs-{}", std::process::id()));
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::write(folder.join("albert-spiece.model"), "").unwrap();
        fs::write(folder.join("below/a.txt.gz"), "").unwrap();
        let found = tokenizers(&folder);
        assert_eq!(found.iter().map(|named| named.files.len()).collect::<Vec<_>>(), [0, 0, 1]);
        let corpus = Inputs::find(Path::new("/nowhere"), &folder, Some(&folder)).unwrap();
        assert_eq!(corpus.book_files(), [folder.canonicalize().unwrap().join("below/a.txt.gz")]);
        assert!(Inputs::find(Path::new("/nowhere"), &folder, Some(Path::new("/nowhere"))).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
