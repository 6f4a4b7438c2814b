//! `cargo xtask test`: every test, those without libtorch first, and one line of counts at the end.
//! Knows the packages only through `cargo metadata`; a new one is tested without a change here.

use crate::libtest::{Counts, Reader};
use crate::shell::{Failure, Outcome, cargo, failed, run as run_command, shown};
use crate::stages::Stages;
use crate::tidy::workspace::Workspace;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// The feature that brings libtorch into a package that can do without.
const TORCH_FEATURE: &str = "torch";

/// Sets up, tests, and prints the table and the counts.
pub fn run(root: &Path, arguments: &[String]) -> Outcome<()> {
    let mut stages = Stages::below(root);
    let mut counts = Counts::default();
    if stages.run("setup", || crate::setup::run(root, true)) {
        test_stages(root, arguments, &mut stages, &mut counts)?;
    }
    conclude(&stages, counts)
}

/// Prints the table, and the counts alone on the last line.
pub fn conclude(stages: &Stages, counts: Counts) -> Outcome<()> {
    println!("\n{}\n\n{counts}", stages.table());
    if stages.ok() { Ok(()) } else { failed("something failed; the first `FAILED` above says what") }
}

/// Builds and tests. Both halves run even if the first fails; a half that does not build is not tested.
pub fn test_stages(
    root: &Path,
    arguments: &[String],
    stages: &mut Stages,
    counts: &mut Counts,
) -> Outcome<()> {
    let workspace = Workspace::load(root)?;
    let torch = torch_selection(&workspace);
    // The binaries are built each in its own selection of features: built together,
    // `cloze` would be compiled with the features that only `cloze-engine` asks for.
    if stages.run("build", || run_command(cargo(root).args(["build", "--locked"]))) {
        stages.run("test", || test(cargo(root).args(["test", "--locked"]), arguments, counts));
    }
    if arguments.is_empty() {
        stages.run("planted bugs", || crate::sim::plant_all(root));
    }
    if stages.run("build, libtorch", || run_command(cargo(root).args(["build", "--locked"]).args(&torch))) {
        stages.run("test, libtorch + end to end", || {
            test(cargo(root).args(["test", "--locked"]).args(&torch), arguments, counts)
        });
    }
    Ok(())
}

/// What a plain `cargo test` leaves out: the members that need libtorch, and those that can use it, using it.
fn torch_selection(workspace: &Workspace) -> Vec<String> {
    let mut arguments = Vec::new();
    for member in &workspace.members {
        let optional = member.features.contains_key(TORCH_FEATURE);
        if !member.is_default || optional {
            arguments.extend(["--package".to_owned(), member.name.clone()]);
        }
        if optional {
            arguments.extend(["--features".to_owned(), format!("{}/{TORCH_FEATURE}", member.name)]);
        }
    }
    arguments
}

/// Runs `cargo test`, passing its output on as it comes and adding to the counts.
fn test(command: &mut Command, arguments: &[String], counts: &mut Counts) -> Outcome<()> {
    // A successful test's own output is shown by the harness only when asked for;
    // the reader needs it to see which tests could not run here.
    command.args(["--no-fail-fast", "--", "--show-output"]).args(arguments);
    let cannot = |error| Failure::Failed(format!("`cargo test` could not be run: {error}"));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(cannot)?;
    let mut reader = Reader::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.map_err(cannot)?;
            if let Some(text) = reader.line(&String::from_utf8_lossy(&line)) {
                println!("{text}");
            }
        }
    }
    let status = child.wait().map_err(cannot)?;
    counts.add(reader.counts());
    if status.success() { Ok(()) } else { failed(format!("`{}` ended with {status}", shown(command))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::workspace::Member;

    #[test]
    fn what_plain_cargo_test_leaves_out_is_selected() {
        let member = |name: &str, is_default, features: &[&str]| Member {
            is_default,
            features: features.iter().map(|name| ((*name).to_owned(), Vec::new())).collect(),
            ..Member::named(name)
        };
        let members = vec![
            member("plan", true, &["default"]),
            member("families", true, &["torch"]),
            member("trainer", false, &[]),
        ];
        let selection = torch_selection(&Workspace { members, ..Workspace::default() });
        assert_eq!(
            selection,
            ["--package", "families", "--features", "families/torch", "--package", "trainer"]
        );
    }
}
