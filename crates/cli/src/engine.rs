//! Finds `cloze-engine` and libtorch, and starts engines. Knows nothing of what they compute.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::failure::Failure;

/// A command that runs the engine with libtorch found.
///
/// # Errors
/// If there is no engine beside this program.
pub fn command() -> Result<Command, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("cannot find this program: {error}")))?;
    let engine = program.with_file_name(format!("cloze-engine{}", std::env::consts::EXE_SUFFIX));
    if !engine.exists() {
        return Err(Failure::bad_input(format!(
            "{} is missing; build it with `cargo build -p engine` (or take it from the same release)",
            engine.display()
        )));
    }
    let mut command = Command::new(&engine);
    if let Some(library) = libtorch(&engine) {
        let mut paths = vec![library];
        paths.extend(std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths));
        if let Ok(joined) = std::env::join_paths(paths) {
            command.env("LD_LIBRARY_PATH", joined);
        }
    }
    Ok(command)
}

/// Runs an engine to its end; what it says goes where this program's words go.
///
/// # Errors
/// If it cannot be started, or as it says itself.
pub async fn run(mut command: Command) -> Result<(), Failure> {
    let status = command
        .status()
        .await
        .map_err(|error| Failure::failed(format!("cannot start cloze-engine: {error}")))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Failure::of_process(code)),
        None => Err(Failure::failed(format!("cloze-engine died ({status})"))),
    }
}

/// The folder with libtorch's libraries: `LIBTORCH` if it is set, else `libtorch/` beside the engine, else the
/// virtual environment that `cargo xtask setup` makes, in a folder above the engine or the working directory.
fn libtorch(engine: &Path) -> Option<PathBuf> {
    let named = std::env::var_os("LIBTORCH").map(PathBuf::from);
    let here = std::env::current_dir().ok();
    let above = engine.ancestors().skip(1).chain(here.iter().flat_map(|here| here.ancestors()));
    let beside = above.flat_map(|folder| [folder.join("libtorch"), folder.join(".venv/libtorch")]);
    named
        .into_iter()
        .chain(beside)
        .map(|root| root.join("lib"))
        .find(|lib| lib.join("libtorch_cpu.so").exists())
}

/// Starts a worker that logs to a file.
///
/// # Errors
/// If it cannot be started.
pub fn start_worker(
    coordinator: &str,
    address: Option<&str>,
    patience_s: u64,
    log: &Path,
) -> Result<Child, Failure> {
    let file = crate::logs::create(log)?;
    let errors = file.try_clone().map_err(|error| Failure::failed(error.to_string()))?;
    let mut command = command()?;
    command
        .args(["worker", "--coordinator", coordinator])
        .args(address.map(|address| ["--address", address]).into_iter().flatten())
        .args(["--patience-s", &patience_s.to_string()])
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        // Ctrl-C is for the coordinator, which stops its workers after the step.
        .process_group(0)
        .kill_on_drop(true);
    command.spawn().map_err(|error| Failure::failed(format!("cannot start cloze-engine: {error}")))
}
