//! `cargo xtask demo-corpus`: writes books of the project's own language into a folder.
//! Knows files and sizes; what stands in a book is the grammar's business.

use crate::grammar::book;
use crate::shell::{Failure, Outcome};
use std::fs;
use std::path::{Path, PathBuf};

/// The length of a book, in bytes; books end with a paragraph, so each is a little longer.
const BOOK: usize = 50_000;

/// Arguments of `cargo xtask demo-corpus`.
#[derive(Debug, clap::Args)]
pub struct DemoCorpusArgs {
    /// The folder to write; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// How much text, in millions of bytes
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub megabytes: u64,
    /// Other seeds tell other stories about the same people and places
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
}

/// Writes the corpus.
pub fn run(arguments: &DemoCorpusArgs) -> Outcome<()> {
    let DemoCorpusArgs { out, megabytes, seed } = arguments;
    let (books, bytes) = write(out, megabytes * 1_000_000, *seed)?;
    println!("demo-corpus: {books} books, {bytes} bytes in {}", out.display());
    Ok(())
}

/// Writes books until they have this many bytes together; returns their number and their bytes.
pub fn write(out: &Path, bytes: u64, seed: u64) -> Outcome<(u64, u64)> {
    fs::create_dir_all(out).map_err(|error| {
        Failure::BadInput(format!("{} cannot be made: {error}; choose another folder", out.display()))
    })?;
    clear(out)?;
    let (mut books, mut written) = (0, 0);
    while written < bytes {
        let text = book(seed, books, BOOK);
        books += 1;
        written += text.len() as u64;
        let path = out.join(format!("book-{books:05}.txt"));
        fs::write(&path, text)
            .map_err(|error| Failure::Failed(format!("{} cannot be written: {error}", path.display())))?;
    }
    Ok((books, written))
}

/// Removes the books of an earlier corpus; anything else in the folder is somebody's and stops us.
fn clear(out: &Path) -> Outcome<()> {
    let cannot = |error| Failure::Failed(format!("{} cannot be read: {error}", out.display()));
    let mut books = Vec::new();
    for entry in fs::read_dir(out).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let digits = name.strip_prefix("book-").and_then(|rest| rest.strip_suffix(".txt"));
        if !digits.is_some_and(|digits| digits.chars().all(|c| c.is_ascii_digit())) {
            return Err(Failure::BadInput(format!(
                "{} holds {name}, which is not of a corpus; choose an empty folder",
                out.display()
            )));
        }
        books.push(path);
    }
    for path in books {
        fs::remove_file(&path)
            .map_err(|error| Failure::Failed(format!("{} cannot be removed: {error}", path.display())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(test: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("xtask-corpus-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn a_smaller_corpus_replaces_a_larger_one() {
        let dir = folder("replace");
        let (books, bytes) = write(&dir, 300_000, 1).unwrap();
        assert!((300_000..352_500).contains(&bytes), "{bytes}");
        assert_eq!(books, 6);
        write(&dir, 100_000, 1).unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_folder_with_something_else_is_left_alone() {
        let dir = folder("alone");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("book-1.txt"), "a book").unwrap();
        fs::write(dir.join("novel.txt"), "mine").unwrap();
        let error = write(&dir, 100_000, 1).unwrap_err();
        assert_eq!(error.code(), 2);
        assert!(error.to_string().contains("novel.txt"), "{error}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
        fs::remove_dir_all(dir).unwrap();
    }
}
