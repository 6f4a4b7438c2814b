//! Rules about which files there are: the top level, the map of the crates, the limits of the pure rooms.
//! Knows names of files and folders, and of clippy's settings.

use super::Violation;
use super::arrows::PURE;
use super::tree::Tree;

/// What may lie at the top level, besides dot-files and licences.
const TOP: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "crates",
    "proto",
    "cluster",
    "configs",
    "tests",
    "README.md",
    "clippy.toml",
    "rustfmt.toml",
];

/// What a pure room's `clippy.toml` must repeat, because it replaces the one at the top level.
const SETTINGS: [&str; 2] = ["allow-unwrap-in-tests = true", "too-many-lines-threshold = 70"];

/// What a pure room's `clippy.toml` must forbid.
const FORBIDDEN: [&str; 14] = [
    "std::time::SystemTime::now",
    "std::time::Instant::now",
    "std::fs::read",
    "std::fs::read_to_string",
    "std::fs::write",
    "std::fs::read_dir",
    "std::fs::File::open",
    "std::fs::File::create",
    "std::env::var",
    "std::env::vars",
    "std::thread::spawn",
    "std::thread::sleep",
    "std::collections::HashMap",
    "std::collections::HashSet",
];

/// All rules about the layout.
pub fn check(tree: &Tree, violations: &mut Vec<Violation>) {
    top_level(tree, violations);
    map_of_crates(tree, violations);
    for room in PURE {
        limits(tree, room, violations);
    }
}

fn top_level(tree: &Tree, violations: &mut Vec<Violation>) {
    for name in &tree.top {
        if !name.starts_with('.') && !name.starts_with("LICENSE-") && !TOP.contains(&name.as_str()) {
            violations.push(Violation::new(
                name,
                1,
                "does not belong at the top level",
                "move it into the crate that owns it, or ignore it in .gitignore if it is made by a build",
            ));
        }
    }
}

fn map_of_crates(tree: &Tree, violations: &mut Vec<Violation>) {
    const MAP: &str = "crates/README.md";
    let Some(map) = tree.file(MAP) else {
        violations.push(Violation::new(MAP, 1, "is missing", "write it: a table with a row per crate"));
        return;
    };
    for room in tree.folders_in("crates") {
        let is_row = |line: &str| line.starts_with('|') && line.contains(&format!("`{room}`"));
        if !map.text.lines().any(is_row) {
            violations.push(Violation::new(
                MAP,
                1,
                format!("has no row for the crate {room}"),
                format!("add a row that starts with `{room}` in backticks and says what it owns"),
            ));
        }
    }
}

/// The limits that clippy holds for a pure room.
fn limits(tree: &Tree, room: &str, violations: &mut Vec<Violation>) {
    let path = format!("crates/{room}/clippy.toml");
    let Some(file) = tree.file(&path) else {
        violations.push(Violation::new(path, 1, "is missing", "copy it from another pure crate"));
        return;
    };
    let lines: Vec<&str> = file.text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    for setting in SETTINGS {
        if !lines.contains(&setting) {
            violations.push(Violation::new(
                &path,
                1,
                format!("does not say `{setting}`"),
                "repeat it: this file replaces the one at the top level",
            ));
        }
    }
    for forbidden in FORBIDDEN {
        let entry = format!("path = \"{forbidden}\"");
        match lines.iter().find(|line| line.contains(&entry)) {
            None => violations.push(Violation::new(
                &path,
                1,
                format!("does not forbid {forbidden}; {room} is pure"),
                "add it to disallowed-methods or disallowed-types, with a reason",
            )),
            Some(line) if !line.contains("reason = \"") => {
                let at = file.text.lines().position(|other| other == *line).unwrap_or(0);
                violations.push(Violation::new(
                    &path,
                    at + 1,
                    format!("forbids {forbidden} without a reason"),
                    "say in `reason` what to do instead",
                ));
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::File;

    fn whats(tree: &Tree, rule: impl Fn(&Tree, &mut Vec<Violation>)) -> Vec<String> {
        let mut violations = Vec::new();
        rule(tree, &mut violations);
        violations.into_iter().map(|violation| violation.what).collect()
    }

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_stray_file_at_the_top_is_found() {
        let names = ["Cargo.toml", ".ci", "LICENSE-MIT", "notes.txt"];
        let tree = Tree { top: names.map(str::to_owned).to_vec(), ..Tree::default() };
        let mut violations = Vec::new();
        top_level(&tree, &mut violations);
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].path, "notes.txt");
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        let mut tree = Tree { folders: vec!["crates/plan".into(), "crates/store".into()], ..Tree::default() };
        assert_eq!(whats(&tree, map_of_crates), ["is missing"]);
        tree.files.push(file("crates/README.md", "| crate | owns |\n| `plan` | the plan |\nalso `store`\n"));
        assert_eq!(whats(&tree, map_of_crates), ["has no row for the crate store"]);
    }

    #[test]
    fn a_pure_room_without_its_limits_is_found() {
        let mut tree = Tree::default();
        let rule = |tree: &Tree, violations: &mut Vec<Violation>| limits(tree, "plan", violations);
        assert_eq!(whats(&tree, rule), ["is missing"]);
        let mut text = SETTINGS.join("\n") + "\n";
        for forbidden in FORBIDDEN {
            text += &format!("    {{ path = \"{forbidden}\", reason = \"none\" }},\n");
        }
        tree.files.push(file("crates/plan/clippy.toml", &text));
        assert!(whats(&tree, rule).is_empty());
        tree.files[0].text = text.replace("allow-unwrap", "# allow-unwrap");
        assert_eq!(whats(&tree, rule).len(), 1);
        tree.files[0].text = text.replace("std::thread::sleep", "std::thread::yield_now");
        assert_eq!(whats(&tree, rule), ["does not forbid std::thread::sleep; plan is pure"]);
        tree.files[0].text = text.replacen(", reason = \"none\"", "", 1);
        assert_eq!(whats(&tree, rule), ["forbids std::time::SystemTime::now without a reason"]);
    }
}
