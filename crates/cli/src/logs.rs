//! Where `tracing` goes: to a file, or to standard error. Human lines, or JSON if `CLOZE_LOG_JSON` is set;
//! `RUST_LOG` filters.

use std::fs::File;
use std::path::Path;

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Sends everything to a file, so that the terminal belongs to the progress bar.
///
/// # Errors
/// If the file cannot be made.
pub fn to_file(path: &Path) -> Result<(), Failure> {
    let file = create(path)?;
    start(move || file.try_clone().expect("a log file that is open can be shared"), false);
    Ok(())
}

/// Sends everything to standard error.
pub fn to_stderr() {
    start(std::io::stderr, true);
}

/// Opens a log file for appending, and makes its folder.
///
/// # Errors
/// Names the path.
pub fn create(path: &Path) -> Result<File, Failure> {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| File::options().create(true).append(true).open(path))
        .map_err(|error| Failure::failed(format!("cannot write the log {}: {error}", path.display())))
}

fn start<W>(writer: impl Fn() -> W + Send + Sync + 'static, colours: bool)
where
    W: std::io::Write + 'static,
{
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(writer);
    match std::env::var_os("CLOZE_LOG_JSON") {
        Some(_) => builder.json().init(),
        None => builder.init(),
    }
}
