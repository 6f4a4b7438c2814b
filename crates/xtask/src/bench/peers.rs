//! Other tools, in a Python environment of their own in the build directory: they are made for comparison only. Knows
//! their releases; what is done with them is in `tests/benchmarks/prepare.py`.

use std::path::Path;

use serde_json::{Value, json};

use super::parsed;
use crate::shell::{Outcome, foreign, run as run_command};
use crate::venv::{Found, Venv};

/// The program that measures them.
const SCRIPT: &str = "tests/benchmarks/prepare.py";
/// The release of `tokenizers` that the workspace builds on is 0.23, too; spaCy is what datatrove cuts English with.
const PACKAGES: [(&str, Option<&str>); 3] =
    [("tokenizers", Some("0.23.3")), ("datatrove", Some("0.10.1")), ("spacy", None)];

/// What the others need, or why that is not known. A peer that does not work here is no failure of ours.
pub fn measure(root: &Path, folder: &Path, task: &Path) -> Value {
    let venv = Venv::new(folder.join("venv"));
    let installed = install(root, &venv);
    if let Err(failure) = installed {
        return skipped(&format!("they cannot be installed: {failure}"));
    }
    eprintln!("bench: other tools");
    let mut command = foreign(venv.python());
    let measured = parsed(command.arg(root.join(SCRIPT)).arg(task));
    measured.unwrap_or_else(|failure| skipped(&failure.to_string()))
}

/// The same form as if they had been measured.
pub fn skipped(reason: &str) -> Value {
    json!({ "versions": {}, "steps": [], "skipped": [{ "name": "tokenizers and datatrove", "reason": reason }] })
}

fn install(root: &Path, venv: &Venv) -> Outcome<()> {
    let missing: Vec<String> = PACKAGES
        .iter()
        .filter(|(name, version)| venv.find(name, *version) != Found::Whole)
        .map(|(name, version)| version.map_or((*name).to_owned(), |version| format!("{name}=={version}")))
        .collect();
    if venv.is_whole() && missing.is_empty() {
        return Ok(());
    }
    // The interpreter that `setup` chose, or any.
    let chosen = Venv::new(root.join(".venv"));
    let python = if chosen.is_whole() { chosen.python() } else { "python3".into() };
    if !venv.is_whole() {
        run_command(foreign(python).args(["-m", "venv", "--clear"]).arg(venv.dir()))?;
    }
    eprintln!("bench: installing {}", missing.join(", "));
    let mut pip = foreign(venv.python());
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]).args(&missing);
    run_command(&mut pip)
}
