//! What is on the disk of a Python environment: is it whole, which packages are in it.
//! Reads files only and starts nothing, so that asking costs a few milliseconds.

use std::fs;
use std::path::{Path, PathBuf};

/// A virtual environment, perhaps a broken one.
pub struct Venv {
    dir: PathBuf,
}

/// A package in an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Whole, in an acceptable version.
    Whole,
    /// Not there, or in another version.
    Missing,
    /// The installer was interrupted.
    Half,
}

impl Venv {
    /// The environment in this folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Venv { dir: dir.into() }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its interpreter.
    pub fn python(&self) -> PathBuf {
        self.dir.join("bin/python3")
    }

    /// The interpreter's version as the environment's own description has it.
    pub fn version(&self) -> Option<(u32, u32)> {
        let text = fs::read_to_string(self.dir.join("pyvenv.cfg")).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix("version")?.trim().strip_prefix('='))?;
        let mut parts = value.trim().split('.').map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    }

    /// Where the packages are, relative to the folder.
    pub fn site_packages(&self) -> Option<PathBuf> {
        let (major, minor) = self.version()?;
        Some(PathBuf::from(format!("lib/python{major}.{minor}/site-packages")))
    }

    /// Whether it has an interpreter that exists and an installer that is whole.
    pub fn is_whole(&self) -> bool {
        self.python().is_file() && self.find("pip", None) == Found::Whole
    }

    /// Looks for a package; without a version any will do. A local suffix of the version (`+cu130`) is fine.
    pub fn find(&self, name: &str, version: Option<&str>) -> Found {
        let mut found = Found::Missing;
        // Records are named by the rules for files, where `-` separates the version.
        let name = name.replace('-', "_");
        for (path, package, has) in self.packages() {
            if package.eq_ignore_ascii_case(&name) {
                if !is_complete(&path) {
                    return Found::Half;
                }
                let public = has.split('+').next().unwrap_or(&has);
                if version.is_none_or(|wanted| wanted == public) {
                    found = Found::Whole;
                }
            }
        }
        found
    }

    /// The records of packages whose installation was interrupted.
    pub fn half_installed(&self) -> Vec<PathBuf> {
        self.packages().into_iter().map(|(path, _, _)| path).filter(|path| !is_complete(path)).collect()
    }

    /// Every package record: its folder, the package's name and version.
    fn packages(&self) -> Vec<(PathBuf, String, String)> {
        let Some(site) = self.site_packages() else { return Vec::new() };
        let Ok(entries) = fs::read_dir(self.dir.join(site)) else { return Vec::new() };
        let mut packages = Vec::new();
        for entry in entries.flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            let name_and_version = file.strip_suffix(".dist-info").and_then(|stem| stem.split_once('-'));
            if let Some((name, version)) = name_and_version {
                packages.push((entry.path(), name.to_owned(), version.to_owned()));
            }
        }
        packages
    }
}

/// Installers write this file after all of the package's own, so its absence means an interruption.
fn is_complete(record: &Path) -> bool {
    record.join("INSTALLER").is_file() && record.join("RECORD").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An environment with the packages named, in a fresh folder under the build directory.
    fn environment(test: &str, packages: &[&str]) -> Venv {
        let dir = std::env::temp_dir().join(format!("xtask-venv-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let site = dir.join("lib/python3.12/site-packages");
        fs::create_dir_all(&site).unwrap();
        fs::create_dir_all(dir.join("bin")).unwrap();
        fs::write(dir.join("bin/python3"), "").unwrap();
        fs::write(dir.join("pyvenv.cfg"), "home = /usr/bin\nversion_info = 1\nversion = 3.12.4\n").unwrap();
        for package in packages {
            let record = site.join(format!("{package}.dist-info"));
            fs::create_dir_all(&record).unwrap();
            fs::write(record.join("RECORD"), "").unwrap();
            fs::write(record.join("INSTALLER"), "pip\n").unwrap();
        }
        Venv::new(dir)
    }

    #[test]
    fn versions_are_compared_without_their_local_suffix() {
        let venv = environment("suffix", &["pip-24.0", "torch-2.11.0+cpu", "numpy-2.4.6"]);
        assert!(venv.is_whole());
        assert_eq!(venv.version(), Some((3, 12)));
        assert_eq!(venv.find("torch", Some("2.11.0")), Found::Whole);
        assert_eq!(venv.find("torch", Some("2.11")), Found::Missing);
        assert_eq!(venv.find("numpy", None), Found::Whole);
        assert_eq!(venv.find("pyarrow", None), Found::Missing);
        fs::remove_dir_all(venv.dir()).unwrap();
    }

    #[test]
    fn interruptions_are_seen() {
        let venv = environment("half", &["pip-24.0", "torch-2.11.0"]);
        let record = venv.dir().join("lib/python3.12/site-packages/torch-2.11.0.dist-info");
        fs::remove_file(record.join("INSTALLER")).unwrap();
        assert_eq!(venv.find("torch", Some("2.11.0")), Found::Half);
        assert_eq!(venv.half_installed(), [record]);
        fs::remove_file(venv.python()).unwrap();
        assert!(!venv.is_whole(), "an environment without its interpreter is not whole");
        fs::remove_dir_all(venv.dir()).unwrap();
    }
}
