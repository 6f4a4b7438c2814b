//! The files of the tree: what a fresh clone would hold, without what `.gitignore` names at the top level.
//! Knows where files are, and none of the rules.

use crate::shell::{Failure, Outcome};
use std::fs;
use std::path::Path;

/// The files that rules look into.
const EXTENSIONS: [&str; 4] = ["rs", "toml", "md", "proto"];

/// A file with its text.
#[derive(Debug)]
pub struct File {
    /// From the root, with `/`.
    pub path: String,
    /// What it says.
    pub text: String,
}

impl File {
    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The crate's folder under `crates/`, or the empty string.
    pub fn room(&self) -> &str {
        self.path.strip_prefix("crates/").and_then(|rest| rest.split('/').next()).unwrap_or_default()
    }
}

/// The tree.
#[derive(Debug, Default)]
pub struct Tree {
    /// Names at the top level that git would take.
    pub top: Vec<String>,
    /// Every directory below, from the root.
    pub folders: Vec<String>,
    /// Every file of interest.
    pub files: Vec<File>,
}

impl Tree {
    /// Reads the tree.
    pub fn read(root: &Path) -> Outcome<Tree> {
        let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
        let ignored: Vec<&str> = ignored.lines().map(|line| line.trim().trim_matches('/')).collect();
        let mut tree = Tree::default();
        for name in names(root)? {
            if name == ".git" || ignored.contains(&name.as_str()) {
                continue;
            }
            tree.visit(root, &name)?;
            tree.top.push(name);
        }
        Ok(tree)
    }

    fn visit(&mut self, root: &Path, path: &str) -> Outcome<()> {
        let at = root.join(path);
        if at.is_dir() {
            for name in names(&at)? {
                self.visit(root, &format!("{path}/{name}"))?;
            }
            self.folders.push(path.to_owned());
        } else if EXTENSIONS.iter().any(|extension| path.ends_with(&format!(".{extension}"))) {
            // A file that goes away while we look is somebody's editor at work.
            if let Ok(bytes) = fs::read(&at) {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                self.files.push(File { path: path.to_owned(), text });
            }
        }
        Ok(())
    }

    /// Names of the folders directly inside one.
    pub fn folders_in<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = &'a str> {
        self.folders.iter().filter_map(move |folder| {
            let name = folder.strip_prefix(parent)?.strip_prefix('/')?;
            (!name.contains('/')).then_some(name)
        })
    }

    /// A file by its path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Outcome<Vec<String>> {
    let cannot = |error| Failure::Failed(format!("{} cannot be read: {error}", folder.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        names.push(entry.map_err(cannot)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_tree_is_read_without_what_is_ignored() {
        let tree = Tree::read(&crate::shell::root().unwrap()).unwrap();
        assert!(tree.file("crates/xtask/src/main.rs").is_some());
        assert!(!tree.top.iter().any(|name| name == "target" || name == ".git"), "{:?}", tree.top);
        assert!(tree.folders_in("crates").any(|name| name == "xtask"));
        assert!(!tree.folders_in("crates").any(|name| name == "src"));
    }
}
