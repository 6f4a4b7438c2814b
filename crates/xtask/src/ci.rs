//! `cargo xtask ci`: every check, cheap ones first. Changes nothing in the tree.
//! Knows the order of the checks; what each of them means is elsewhere.

use crate::libtest::Counts;
use crate::shell::{Outcome, cargo, failed, foreign, output, run as run_command};
use crate::stages::Stages;
use crate::testing::{conclude, test_stages};
use crate::tidy::workspace::Workspace;
use std::path::Path;

/// Runs the checks; the tests only if every check before them succeeded.
pub fn run(root: &Path) -> Outcome<()> {
    let mut stages = Stages::below(root);
    let mut counts = Counts::default();
    // Linting compiles the build scripts, and one of them wants libtorch.
    if stages.run("setup", || crate::setup::run(root, true)) {
        stages.run("format", || run_command(cargo(root).args(["fmt", "--all", "--check"])));
        stages.run("tidy", || crate::tidy::run(root));
        stages.run("lint", || run_command(&mut clippy(root, &["--workspace"])));
        // The whole workspace turns on every feature that some member wants; this is the other form.
        stages.run("lint, no libtorch", || run_command(&mut clippy(root, &[])));
        if stages.ok() {
            test_stages(root, &[], &mut stages, &mut counts)?;
            stages.run("cloze links no libtorch", || links_no_libtorch(root));
        }
    }
    conclude(&stages, counts)
}

fn clippy(root: &Path, which: &[&str]) -> std::process::Command {
    let mut command = cargo(root);
    command.args(["clippy", "--locked", "--all-targets"]).args(which).args(["--", "-D", "warnings"]);
    command
}

/// Reads which shared libraries the binary asks for.
fn links_no_libtorch(root: &Path) -> Outcome<()> {
    let binary = Workspace::load(root)?.target.join("debug/cloze");
    if !binary.is_file() {
        return failed(format!("{} is not there; does the package cli still build it?", binary.display()));
    }
    let listed = output(foreign("readelf").arg("--dynamic").arg(&binary))
        .or_else(|| output(foreign("otool").arg("-L").arg(&binary)))
        .or_else(|| output(foreign("ldd").arg(&binary)));
    let Some(listed) = listed else {
        return failed("neither readelf, otool nor ldd is here; install binutils");
    };
    let libraries = torch_libraries(&listed);
    if libraries.is_empty() {
        return Ok(());
    }
    failed(format!(
        "{} asks for {}; see `cargo tree -p cli -i torch-sys` and take the dependency out",
        binary.display(),
        libraries.join(", ")
    ))
}

/// The libraries of libtorch in the output of any of the three programs.
fn torch_libraries(listed: &str) -> Vec<String> {
    let words = listed.split([' ', '\t', '\n', '[', ']', '/']).filter(|word| word.starts_with("lib"));
    let mut found: Vec<String> = words
        .filter(|word| word.contains("torch") || word.starts_with("libc10"))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_is_seen_among_the_libraries() {
        let elf = " 0x01 (NEEDED)  Shared library: [libtorch_cpu.so]\n 0x01 (NEEDED)  Shared library: [libc.so.6]\n";
        assert_eq!(torch_libraries(elf), ["libtorch_cpu.so"]);
        let mac = "cloze:\n\t/opt/lib/libc10.dylib (compatibility version 0.0.0)\n";
        assert_eq!(torch_libraries(mac), ["libc10.dylib"]);
        assert!(torch_libraries(" (NEEDED) Shared library: [libgcc_s.so.1] libc.so.6").is_empty());
    }
}
