//! Processes, ports and files, as tests handle them. Knows nothing of `cloze`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// A port that was free a moment ago.
///
/// # Panics
/// If there is none.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port()
}

/// Sends SIGKILL.
///
/// # Panics
/// If there is no such process.
pub fn kill(process: u32) {
    signal(process, "KILL");
}

/// Sends a signal by its name.
///
/// # Panics
/// If there is no such process.
pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status();
    assert!(sent.expect("kill can be started").success(), "no process {process}");
}

/// Copies the files of a folder.
///
/// # Panics
/// If the disk does not let us.
pub fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files_below(from) {
        let path = to.join(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
}

/// The SHA-256 of a file, in hexadecimal digits.
///
/// # Panics
/// If it cannot be read.
pub fn sha256(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names and bytes of all files below a folder.
///
/// # Panics
/// If one cannot be read.
pub fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("it is below").display().to_string();
            files.insert(
                name,
                std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            );
        }
    }
    files
}

/// The Python of the virtual environment, if it has these modules. Says what is skipped otherwise.
pub fn python(modules: &[&str]) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let python = root.join(".venv/bin/python");
    let imports: String = modules.iter().map(|module| format!("import {module};")).collect();
    let found = Command::new(&python).args(["-c", &imports]).output().is_ok_and(|done| done.status.success());
    if !found {
        println!("skipped: no {modules:?} in .venv; `cargo xtask setup --reference` installs them");
    }
    found.then_some(python)
}
