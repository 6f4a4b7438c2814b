//! Where the tree is, how child processes are started, and how a failure becomes an exit code.
//! Knows nothing about what any task does.

use std::ffi::OsString;
use std::fmt;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a task stopped, and with which exit code.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The work was done and did not succeed, or could not be done: exit code 1.
    Failed(String),
    /// The caller asked for something that makes no sense: exit code 2.
    BadInput(String),
}

impl Failure {
    /// The exit code of the process.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::BadInput(_) => 2,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Failed(text) | Failure::BadInput(text) => out.write_str(text),
        }
    }
}

/// Shorthand for the result of every task.
pub type Outcome<T> = Result<T, Failure>;

/// A failure with exit code 1.
pub fn failed<T>(text: impl Into<String>) -> Outcome<T> {
    Err(Failure::Failed(text.into()))
}

/// The root of the repository.
/// The running cargo is asked first, so that a checkout that was moved after the build still works.
pub fn root() -> Outcome<PathBuf> {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
    match Path::new(&manifest).ancestors().nth(2) {
        Some(root) if root.join("Cargo.toml").is_file() => Ok(root.to_path_buf()),
        _ => failed("the repository is not where xtask was built; run `cargo xtask …` inside the checkout"),
    }
}

/// `cargo`, run in the root, with the variables removed that describe xtask itself.
/// They would make build scripts of dependencies believe that their inputs changed.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if of_package.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    if !std::io::stderr().is_terminal() {
        for (name, value) in [("CARGO_TERM_COLOR", "never"), ("CARGO_TERM_PROGRESS_WHEN", "never")] {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
    }
    command
}

/// Any program that is not ours, without the library path that cargo sets for what it runs:
/// the interpreter and the compiler must find their own libgomp, not the one of libtorch.
pub fn foreign(program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    for name in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"] {
        command.env_remove(name);
    }
    command
}

/// The command as a person would type it, for messages.
pub fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut text = name.to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// Runs a command with its output going to the terminal; anything but success is a failure.
pub fn run(command: &mut Command) -> Outcome<()> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => failed(format!("`{}` ended with {status}", shown(command))),
        Err(error) => failed(format!("`{}` could not be started: {error}", shown(command))),
    }
}

/// Runs a command and returns what it printed, or nothing if it could not be run or did not succeed.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The processes that a process has started and that still run; none where the system does not tell.
pub fn children(process: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let numbers =
        |text: String| text.split_whitespace().filter_map(|child| child.parse().ok()).collect::<Vec<u32>>();
    children.flat_map(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().unwrap().join("crates/xtask/Cargo.toml").is_file());
    }

    #[test]
    fn failures_say_their_exit_code() {
        assert_eq!(Failure::Failed(String::new()).code(), 1);
        assert_eq!(Failure::BadInput(String::new()).code(), 2);
        let error = run(&mut Command::new("no-such-program-anywhere")).unwrap_err();
        assert!(error.to_string().contains("could not be started"), "{error}");
    }

    #[test]
    fn children_see_neither_our_package_nor_our_library_path() {
        let cargo = cargo(&root().unwrap());
        let removed: Vec<_> =
            cargo.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        assert!(removed.contains(&"CARGO_PKG_NAME".as_ref()), "{removed:?}");
        assert!(
            foreign("python3").get_envs().any(|(name, value)| name == "LD_LIBRARY_PATH" && value.is_none())
        );
    }
}
