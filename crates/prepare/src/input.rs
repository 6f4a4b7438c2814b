//! Which files a source has, in an order that does not depend on the file system. Knows nothing of what is in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use store::{Location, retry};
use tokio::runtime::Handle;
use walkdir::WalkDir;

use crate::origin::Origin;
use crate::{Config, Format, PrepareError, SourceConfig};

/// One input file.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// Which source of the configuration.
    pub source: usize,
    /// The file's name relative to the folder or pattern that found it, with `/` between its parts.
    pub key: String,
    /// Where it lies.
    pub origin: Origin,
    /// Its size as it lies there.
    pub size: u64,
}

/// A file or folder that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Which source of the configuration.
    pub source: usize,
    /// Where it lies.
    pub place: String,
    /// What the system said.
    pub reason: String,
}

/// All inputs.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// Sorted by source and key.
    pub files: Vec<Input>,
    /// In the order in which they were met, which is that of their names.
    pub unreadable: Vec<Unreadable>,
}

/// A file that was found: its key, its place and its size.
type File = (String, Origin, u64);

/// Looks for all inputs.
pub(crate) fn list(config: &Config, runtime: &Handle) -> Result<Inputs, PrepareError> {
    let mut inputs = Inputs::default();
    for (index, source) in config.sources.iter().enumerate() {
        let mut found: BTreeMap<String, (Origin, u64)> = BTreeMap::new();
        for pattern in &source.paths {
            let place = || format!("source `{}`", source.name);
            let before = inputs.unreadable.len();
            let files = match pattern.contains("://") && !pattern.starts_with("file://") {
                true => objects(pattern, source, runtime)?,
                false => {
                    let pattern = pattern.strip_prefix("file://").unwrap_or(pattern);
                    files_of(pattern, source, index, &mut inputs.unreadable)
                }
            };
            if files.is_empty() && inputs.unreadable.len() == before {
                let reason = format!("no {} matches {pattern}; correct its `paths`", kind(source.format));
                return Err(PrepareError::input(place(), reason));
            }
            for (key, origin, size) in files {
                let here = origin.place();
                match found.insert(key.clone(), (origin, size)) {
                    Some((other, _)) if other.place() != here => {
                        let (one, two) = (other.place(), here);
                        let reason =
                            format!("{one} and {two} are both called {key} in it; give them two sources");
                        return Err(PrepareError::input(place(), reason));
                    }
                    _ => {}
                }
            }
        }
        let file = |(key, (origin, size))| Input { source: index, key, origin, size };
        inputs.files.extend(found.into_iter().map(file));
    }
    Ok(inputs)
}

/// The endings of a format's files, without those of compression.
fn endings(format: Format) -> &'static [&'static str] {
    match format {
        Format::Text | Format::Book => &[".txt"],
        Format::Jsonl => &[".jsonl", ".json", ".ndjson"],
        Format::Parquet => &[".parquet"],
        Format::Wikipedia => &[".xml"],
        Format::Warc => &[".warc", ".arc", ".wet"],
    }
}

fn kind(format: Format) -> String {
    format!("file ({}, packed or not)", endings(format).join(", "))
}

fn has_ending(key: &str, format: Format) -> bool {
    let packed = [".gz", ".bz2", ".zst"].into_iter().find_map(|ending| key.strip_suffix(ending));
    let key = packed.unwrap_or(key);
    // The parts of a dump of Wikipedia: `…-pages-articles1.xml-p1p41242.bz2`.
    let numbered = format == Format::Wikipedia && key.contains(".xml-p");
    // Cut samples of such dumps are called `….bz2` only.
    let bare = format == Format::Wikipedia && packed.is_some() && key.contains("pages-articles");
    numbered || bare || endings(format).iter().any(|ending| key.ends_with(ending))
}

/// A pattern's folder without wildcards, and the parts of the rest.
fn parts(pattern: &str) -> (String, Vec<&str>) {
    let wild = |part: &&str| part.contains(['*', '?']);
    let parts: Vec<&str> = pattern.split('/').collect();
    let fixed = parts.iter().take_while(|part| !wild(part)).count();
    (parts[..fixed].join("/"), parts[fixed..].to_vec())
}

/// The files that one entry of `paths` names, with their keys.
fn files_of(
    pattern: &str,
    source: &SourceConfig,
    index: usize,
    unreadable: &mut Vec<Unreadable>,
) -> Vec<File> {
    let (root, rest) = parts(pattern);
    if rest.is_empty() {
        let path = Path::new(pattern);
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return local(index, vec![(name, path.to_owned())], unreadable);
        }
        let found = below(path, index, |key| has_ending(key, source.format), unreadable);
        return local(index, found, unreadable);
    }
    let root = match root.as_str() {
        "" if pattern.starts_with('/') => "/",
        "" => ".",
        root => root,
    };
    let wanted = |key: &str| matches(&rest, &key.split('/').collect::<Vec<_>>());
    let found = below(Path::new(root), index, wanted, unreadable);
    local(index, found, unreadable)
}

/// The files with their sizes; one path for every file, however it was found.
fn local(source: usize, files: Vec<(String, PathBuf)>, unreadable: &mut Vec<Unreadable>) -> Vec<File> {
    let known = |(key, path): (String, PathBuf)| {
        let look = || Ok((path.canonicalize()?, path.metadata()?.len()));
        match look() {
            Ok((path, size)) => Some((key, Origin::Local(path), size)),
            Err(error) => {
                let error: std::io::Error = error;
                unreadable.push(Unreadable {
                    source,
                    place: path.display().to_string(),
                    reason: format!("it cannot be read: {error}"),
                });
                None
            }
        }
    };
    files.into_iter().filter_map(known).collect()
}

/// All files below a folder whose relative names are wanted, in the order of their names.
fn below(
    root: &Path,
    source: usize,
    wanted: impl Fn(&str) -> bool,
    unreadable: &mut Vec<Unreadable>,
) -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    if !root.is_dir() {
        return files;
    }
    for entry in WalkDir::new(root).follow_links(true).sort_by_file_name() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let place = error.path().unwrap_or(root).display().to_string();
                unreadable.push(Unreadable { source, place, reason: format!("it cannot be read: {error}") });
                continue;
            }
        };
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        let key = parts.join("/");
        if entry.file_type().is_file() && wanted(&key) {
            files.push((key, entry.path().to_owned()));
        }
    }
    files
}

/// The objects that a URL names: one, those below a folder, or those that fit a pattern. Web servers list nothing, so
/// that only whole addresses can be used there.
fn objects(pattern: &str, source: &SourceConfig, runtime: &Handle) -> Result<Vec<File>, PrepareError> {
    let (root, rest) = parts(pattern);
    let remote = |at: &Location, name: &str| Origin::Remote {
        at: at.clone(),
        name: name.to_owned(),
        runtime: runtime.clone(),
    };
    if rest.is_empty()
        && let Some((folder, name)) = root.rsplit_once('/')
        && !name.is_empty()
    {
        let at = Location::open(folder)?;
        if let Some(size) = runtime.block_on(retry(name, || at.size(name)))? {
            return Ok(vec![(name.to_owned(), remote(&at, name), size)]);
        }
    }
    if root.starts_with("http://") || root.starts_with("https://") {
        let reason =
            format!("{pattern} cannot be listed: a web server has no folders; name its files one by one");
        return Err(PrepareError::input(format!("source `{}`", source.name), reason));
    }
    let at = Location::open(&root)?;
    let found = runtime.block_on(retry(pattern, || at.list("")))?;
    let wanted = |key: &str| match rest.as_slice() {
        [] => has_ending(key, source.format),
        rest => matches(rest, &key.split('/').collect::<Vec<_>>()),
    };
    let found = found.into_iter().filter(|(key, _)| wanted(key));
    Ok(found.map(|(key, size)| (key.clone(), remote(&at, &key), size)).collect())
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

    fn config(paths: &[String], format: &str) -> Config {
        let paths = format!("{paths:?}");
        let text = format!(
            "[dataset]\nout = \"o\"\n[tokenizer]\nkind = \"byte-level-bpe\"\nvocab_size = 300\n\
             [[source]]\nname = \"a\"\nformat = \"{format}\"\npaths = {paths}\n"
        );
        Config::parse("test", &text).unwrap()
    }

    fn listed(paths: &[String]) -> Result<Inputs, PrepareError> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        list(&config(paths, "text"), runtime.handle())
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
            listed(&paths).unwrap().files.into_iter().map(|input| input.key).collect()
        };
        assert_eq!(keys(&[""]), ["a.txt.gz", "b.txt", "x/c.txt", "x/y/d.txt"]);
        assert_eq!(keys(&["/*.txt"]), ["b.txt"]);
        assert_eq!(keys(&["/**/*.txt", ""]), ["a.txt.gz", "b.txt", "x/c.txt", "x/y/d.txt"]);
        assert_eq!(keys(&["/x/**/?.txt"]), ["c.txt", "y/d.txt"]);
        assert_eq!(keys(&["/x/e.csv"]), ["e.csv"]);

        let message = listed(&[format!("{root}/*.text")]).unwrap_err();
        assert!(message.is_bad_input() && message.to_string().contains("*.text; correct its `paths`"));
        std::fs::write(folder.path().join("x/b.txt"), "other").unwrap();
        let clash = listed(&[root.clone(), format!("{root}/x")]).unwrap_err().to_string();
        assert!(clash.contains("both called b.txt"), "{clash}");
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_is_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "text").unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("b.txt")).unwrap();
        let inputs = listed(&[folder.path().display().to_string()]).unwrap();
        assert_eq!(inputs.files.len(), 1);
        assert!(inputs.unreadable[0].place.ends_with("b.txt"), "{:?}", inputs.unreadable);
    }

    #[test]
    fn the_parts_of_a_dump_are_known_by_their_names() {
        for name in ["enwiki.xml", "enwiki.xml.bz2", "enwiki-pages-articles1.xml-p1p41242.bz2"] {
            assert!(has_ending(name, Format::Wikipedia), "{name}");
        }
        assert!(!has_ending("enwiki-index.txt.bz2", Format::Wikipedia));
        assert!(has_ending("CC-MAIN.warc.wet.gz", Format::Warc) && !has_ending("a.warc.html", Format::Warc));
    }
}
