//! Where a measurement was made: the machine, and what of the project. Knows how Linux tells it; what is not told is
//! missing.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::shell::{foreign, output};

/// The machine.
pub fn machine() -> Value {
    let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| field(&text, "model name"));
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| field(&text, "MemTotal"));
    let load = fs::read_to_string("/proc/loadavg").ok();
    json!({
        "cpu": cpu, "cores": std::thread::available_parallelism().map_or(1, usize::from), "memory": memory,
        "system": said(foreign("uname").arg("-srm")),
        // Others at work make all times longer, processor times included: caches and cores are shared.
        "load": load.and_then(|text| text.split(' ').next().map(str::to_owned)),
    })
}

/// The project.
pub fn project(root: &Path) -> Value {
    let commit = said(foreign("git").current_dir(root).args(["rev-parse", "--short=12", "HEAD"]));
    let changed = said(foreign("git").current_dir(root).args(["status", "--porcelain"]));
    json!({
        "commit": commit, "changed": changed.map(|text| !text.is_empty()),
        "rustc": said(foreign("rustc").current_dir(root).arg("--version")),
    })
}

fn said(command: &mut std::process::Command) -> Option<String> {
    output(command).map(|text| text.trim().to_owned())
}

/// The value of a line `name: value`.
fn field(text: &str, name: &str) -> Option<String> {
    let value =
        |line: &str| line.strip_prefix(name)?.trim_start().strip_prefix(':').map(|it| it.trim().to_owned());
    text.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let text = "model\t\t: 1\nmodel name\t: A CPU: fast\nMemTotal:       42 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A CPU: fast"));
        assert_eq!(field(text, "MemTotal").as_deref(), Some("42 kB"));
        assert_eq!(field(text, "cores"), None);
    }
}
