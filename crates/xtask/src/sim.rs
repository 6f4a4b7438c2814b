//! `cargo xtask sim`: seeded histories of the simulated cluster, and whether they would notice bugs: each of a list of
//! deliberate ones is planted into a copy of the ledger. Knows the tests of `simulation` by name.

mod bugs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::shell::{Failure, Outcome, cargo, failed, run as run_command};
use crate::tidy::workspace::Workspace;
use bugs::{BUGS, Bug};

/// What is copied to plant bugs into: the ledger, what runs it, and what both are made of.
const ROOMS: [&str; 3] = ["plan", "ledger", "simulation"];
/// The test that looks at histories.
const HISTORIES: [&str; 6] = ["test", "--package", "simulation", "--test", "histories", "histories_keep"];
/// Histories in which a bug has to show.
const SEEDS: u64 = 10_000;

/// Arguments of `cargo xtask sim`.
#[derive(Debug, clap::Args)]
pub struct SimArgs {
    /// Histories to run
    #[arg(long, value_name = "N", default_value_t = SEEDS)]
    seeds: u64,
    /// Run this history alone, and show its end if it breaks an invariant
    #[arg(long, value_name = "SEED", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Plant the bugs instead, and see them caught
    #[arg(long, conflicts_with_all = ["seeds", "seed"])]
    bugs: bool,
}

/// Runs histories, or plants bugs.
pub fn run(root: &Path, arguments: &SimArgs) -> Outcome<()> {
    if arguments.bugs {
        return plant_all(root);
    }
    let (name, value) = match arguments.seed {
        Some(seed) => ("CLOZE_SIM_SEED", seed),
        None => ("CLOZE_SIM_SEEDS", arguments.seeds),
    };
    run_command(cargo(root).args(HISTORIES).env(name, value.to_string()))
}

/// Plants every bug, one at a time, and fails unless all are caught.
pub fn plant_all(root: &Path) -> Outcome<()> {
    let copy = Copy::make(root)?;
    copy.build("none")?;
    // What fails without any bug would seem to catch all of them.
    if !copy.passes()? {
        return failed("the histories fail without any bug");
    }
    let mut missed = Vec::new();
    for bug in BUGS {
        let caught = copy.catches(bug)?;
        println!("{} {}", if caught { "caught:" } else { "MISSED:" }, bug.name);
        if !caught {
            missed.push(bug.name);
        }
    }
    match missed.len() {
        0 => Ok(()),
        _ => failed(format!("{} of {} bugs show in none of {SEEDS} histories", missed.len(), BUGS.len())),
    }
}

/// A workspace of a few rooms, to be broken.
struct Copy {
    root: PathBuf,
}

impl Copy {
    fn make(root: &Path) -> Outcome<Self> {
        let copy = Workspace::load(root)?.target.join("bugs");
        let rooms = copy.join("crates");
        if rooms.exists() {
            fs::remove_dir_all(&rooms).map_err(|error| cannot(&rooms, &error))?;
        }
        for room in ROOMS {
            copy_tree(&root.join("crates").join(room), &rooms.join(room))?;
        }
        let manifest = read(&root.join("Cargo.toml"))?;
        write(&copy.join("Cargo.toml"), &only(&manifest, &ROOMS)?)?;
        write(&copy.join("Cargo.lock"), &read(&root.join("Cargo.lock"))?)?;
        Ok(Copy { root: copy })
    }

    /// Whether the histories keep every invariant with this bug planted; it is taken out again.
    fn catches(&self, bug: &Bug) -> Outcome<bool> {
        let path = self.root.join("crates/ledger/src").join(bug.file);
        let good = read(&path)?;
        let found = good.matches(bug.find).count();
        if found != 1 {
            return failed(format!(
                "{}: `{}` is there {found} times; mend the list in xtask/src/sim/bugs.rs ({})",
                path.display(),
                bug.find,
                bug.name
            ));
        }
        write(&path, &good.replace(bug.find, bug.replace))?;
        let passes = self.build(bug.name).and_then(|()| self.passes());
        write(&path, &good)?;
        passes.map(|passes| !passes)
    }

    /// A copy that does not build would seem to catch every bug.
    fn build(&self, bug: &str) -> Outcome<()> {
        match self.cargo().args(HISTORIES).args(["--no-run", "--quiet"]).output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                failed(format!("the ledger does not build with this bug: {bug}\n{text}"))
            }
            Err(error) => failed(format!("cargo cannot be run: {error}")),
        }
    }

    fn passes(&self) -> Outcome<bool> {
        let mut command = self.cargo();
        // The histories of the same file that are about one thing each, too.
        command.args(&HISTORIES[..HISTORIES.len() - 1]).env("CLOZE_SIM_SEEDS", SEEDS.to_string());
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status
            .map(|status| status.success())
            .map_err(|error| Failure::Failed(format!("cargo cannot be run: {error}")))
    }

    fn cargo(&self) -> Command {
        let mut command = cargo(&self.root);
        // One file is changed again and again.
        command.env("CARGO_TARGET_DIR", self.root.join("target")).env("CARGO_INCREMENTAL", "1");
        command
    }
}

/// A workspace's manifest with these members alone.
fn only(manifest: &str, rooms: &[&str]) -> Outcome<String> {
    let value: Vec<String> = rooms.iter().map(|room| format!("\"crates/{room}\"")).collect();
    let mut text = String::new();
    let mut skipping = false;
    for line in manifest.lines() {
        if line.starts_with("members = ") {
            text += &format!("members = [{}]\n", value.join(", "));
        } else if line.starts_with("default-members = ") {
            skipping = !line.ends_with(']');
        } else if skipping {
            skipping = line != "]";
        } else {
            text += &format!("{line}\n");
        }
    }
    if text.contains("members = [\"crates/plan\"") {
        return Ok(text);
    }
    failed("Cargo.toml has no line `members = …` any more; mend xtask/src/sim.rs")
}

fn copy_tree(from: &Path, to: &Path) -> Outcome<()> {
    fs::create_dir_all(to).map_err(|error| cannot(to, &error))?;
    for entry in fs::read_dir(from).map_err(|error| cannot(from, &error))? {
        let entry = entry.map_err(|error| cannot(from, &error))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_tree(&path, &target)?;
        } else {
            write(&target, &read(&path)?)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| cannot(path, &error))
}

fn write(path: &Path, text: &str) -> Outcome<()> {
    fs::write(path, text).map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_cut_down() {
        let manifest = "[workspace]\nmembers = [\"crates/*\"]\n# all\ndefault-members = [\n    \"a\",\n]\n\n[x]\ny = 1\n";
        let cut = only(manifest, &["plan", "ledger"]).unwrap();
        assert_eq!(cut, "[workspace]\nmembers = [\"crates/plan\", \"crates/ledger\"]\n# all\n\n[x]\ny = 1\n");
        assert!(only("[workspace]\n", &["plan"]).is_err());
    }

    #[test]
    fn every_bug_has_its_place_and_a_name_of_its_own() {
        let ledger = crate::shell::root().unwrap().join("crates/ledger/src");
        for bug in BUGS {
            let text = fs::read_to_string(ledger.join(bug.file)).unwrap();
            assert_eq!(text.matches(bug.find).count(), 1, "{}", bug.name);
            assert_eq!(BUGS.iter().filter(|other| other.name == bug.name).count(), 1);
        }
    }
}
