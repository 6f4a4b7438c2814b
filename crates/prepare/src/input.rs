//! Which files a source has, in an order that does not depend on the file system. Knows nothing of what is in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::{Config, Format, PrepareError, SourceConfig};

/// One input file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// Which source of the configuration.
    pub source: usize,
    /// The file's name relative to the folder or pattern that found it, with `/` between its parts.
    pub key: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size as it lies there.
    pub size: u64,
}

/// All inputs, sorted by source and key.
pub(crate) fn list(config: &Config) -> Result<Vec<Input>, PrepareError> {
    let mut inputs = Vec::new();
    for (index, source) in config.sources.iter().enumerate() {
        let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
        for pattern in &source.paths {
            let place = || format!("source `{}`", source.name);
            let files = files_of(pattern, source)?;
            if files.is_empty() {
                let reason = format!("no {} matches {pattern}; correct its `paths`", kind(source.format));
                return Err(PrepareError::input(place(), reason));
            }
            for (key, path) in files {
                let same = path.canonicalize().map_err(PrepareError::io(&path))?;
                match found.insert(key.clone(), same.clone()) {
                    Some(other) if other != same => {
                        let (one, two) = (other.display(), same.display());
                        let reason =
                            format!("{one} and {two} are both called {key} in it; give them two sources");
                        return Err(PrepareError::input(place(), reason));
                    }
                    _ => {}
                }
            }
        }
        for (key, path) in found {
            let size = path.metadata().map_err(PrepareError::io(&path))?.len();
            inputs.push(Input { source: index, key, path, size });
        }
    }
    Ok(inputs)
}

fn kind(format: Format) -> &'static str {
    match format {
        Format::Text => "file (.txt, .txt.gz)",
        Format::Jsonl => "file (.jsonl, .json, .jsonl.gz, .json.gz)",
    }
}

/// The files that one entry of `paths` names, with their keys.
fn files_of(pattern: &str, source: &SourceConfig) -> Result<Vec<(String, PathBuf)>, PrepareError> {
    let wild = |part: &&str| part.contains(['*', '?']);
    let parts: Vec<&str> = pattern.split('/').collect();
    let fixed = parts.iter().take_while(|part| !wild(part)).count();
    if fixed == parts.len() {
        let path = Path::new(pattern);
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(vec![(name, path.to_owned())]);
        }
        let by_kind = |key: &str| has_ending(key, source.format);
        return below(path, by_kind);
    }
    let root = match parts[..fixed].join("/") {
        root if !root.is_empty() => root,
        _ if pattern.starts_with('/') => "/".to_owned(),
        _ => ".".to_owned(),
    };
    let rest: Vec<&str> = parts[fixed..].to_vec();
    below(Path::new(&root), |key| matches(&rest, &key.split('/').collect::<Vec<_>>()))
}

fn has_ending(key: &str, format: Format) -> bool {
    let key = key.strip_suffix(".gz").unwrap_or(key);
    match format {
        Format::Text => key.ends_with(".txt"),
        Format::Jsonl => key.ends_with(".jsonl") || key.ends_with(".json"),
    }
}

/// All files below a folder whose relative names are wanted.
fn below(root: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, PathBuf)>, PrepareError> {
    if !root.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in WalkDir::new(root).follow_links(true) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(root).to_owned();
            PrepareError::Io { path, source: error.into() }
        })?;
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        let key = parts.join("/");
        if entry.file_type().is_file() && wanted(&key) {
            files.push((key, entry.path().to_owned()));
        }
    }
    Ok(files)
}

/// Whether a path fits a pattern: `**` stands for any number of folders.
fn matches(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), None) => matches(rest, path),
        (Some((&"**", rest)), Some((_, deeper))) => matches(rest, path) || matches(pattern, deeper),
        (Some((part, rest)), Some((name, deeper))) => {
            fits(part.as_bytes(), name.as_bytes()) && matches(rest, deeper)
        }
        _ => false,
    }
}

/// Whether a name fits one part of a pattern: `*` stands for anything, `?` for one byte.
fn fits(part: &[u8], name: &[u8]) -> bool {
    match (part.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|skipped| fits(rest, &name[skipped..])),
        (Some((b'?', rest)), Some((_, more))) => fits(rest, more),
        (Some((one, rest)), Some((other, more))) => one == other && fits(rest, more),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(paths: &[String]) -> Config {
        let paths = format!("{paths:?}");
        let text = format!(
            "[dataset]\nout = \"o\"\n[tokenizer]\nkind = \"byte-level-bpe\"\nvocab_size = 300\n\
             [[source]]\nname = \"a\"\nformat = \"text\"\npaths = {paths}\n"
        );
        Config::parse("test", &text).unwrap()
    }

    #[test]
    fn patterns_folders_and_files_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display().to_string();
        std::fs::create_dir_all(folder.path().join("x/y")).unwrap();
        for name in ["b.txt", "a.txt.gz", "x/c.txt", "x/y/d.txt", "x/e.csv"] {
            std::fs::write(folder.path().join(name), "text").unwrap();
        }
        let keys = |paths: &[&str]| -> Vec<String> {
            let paths: Vec<String> = paths.iter().map(|path| format!("{root}{path}")).collect();
            list(&config(&paths)).unwrap().into_iter().map(|input| input.key).collect()
        };
        assert_eq!(keys(&[""]), ["a.txt.gz", "b.txt", "x/c.txt", "x/y/d.txt"]);
        assert_eq!(keys(&["/*.txt"]), ["b.txt"]);
        assert_eq!(keys(&["/**/*.txt", ""]), ["a.txt.gz", "b.txt", "x/c.txt", "x/y/d.txt"]);
        assert_eq!(keys(&["/x/**/?.txt"]), ["c.txt", "y/d.txt"]);
        assert_eq!(keys(&["/x/e.csv"]), ["e.csv"]);

        let message = list(&config(&[format!("{root}/*.text")])).unwrap_err();
        assert!(message.is_bad_input() && message.to_string().contains("*.text; correct its `paths`"));
        std::fs::write(folder.path().join("x/b.txt"), "other").unwrap();
        let clash = list(&config(&[root.clone(), format!("{root}/x")])).unwrap_err().to_string();
        assert!(clash.contains("both called b.txt"), "{clash}");
    }
}
