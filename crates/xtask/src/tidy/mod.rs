//! `cargo xtask tidy`: the rules of the tree that no compiler holds.
//! Every rule looks at everything and reports all that it finds; nothing is changed.

pub mod arrows;
pub mod layout;
pub mod source;
pub mod text;
pub mod tree;
pub mod workspace;

use crate::shell::{Outcome, failed};
use std::fmt;
use std::path::Path;

/// One thing that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The file, from the root.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// What was found.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Violation {
    /// A violation in a file.
    pub fn new(
        path: impl Into<String>,
        line: usize,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Violation {
        Violation { path: path.into(), line, what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {} — {}", self.path, self.line, self.what, self.remedy)
    }
}

/// Checks the tree and prints what is wrong with it.
pub fn run(root: &Path) -> Outcome<()> {
    let violations = check(root)?;
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => {
            println!("tidy: nothing to say");
            Ok(())
        }
        1 => failed("the tree is not tidy: 1 violation"),
        several => failed(format!("the tree is not tidy: {several} violations")),
    }
}

/// Every violation in the tree, in order of path and line.
pub fn check(root: &Path) -> Outcome<Vec<Violation>> {
    let tree = tree::Tree::read(root)?;
    let mut violations = Vec::new();
    match workspace::Workspace::load(root) {
        Ok(workspace) => {
            arrows::check(root, &workspace, &mut violations);
        }
        Err(error) => violations.push(Violation::new(
            "Cargo.lock",
            1,
            error.to_string(),
            "let the manifests and the lock file agree (`cargo check -p xtask` writes it), and commit it; \
             dependencies were not checked",
        )),
    }
    layout::check(&tree, &mut violations);
    text::check(&tree, &mut violations);
    violations.sort();
    violations.dedup();
    Ok(violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_says_where_what_and_the_remedy() {
        let violation = Violation::new("crates/a/src/lib.rs", 3, "a tab", "use spaces");
        assert_eq!(violation.to_string(), "crates/a/src/lib.rs:3: a tab — use spaces");
    }

    #[test]
    fn the_tree_is_tidy() {
        let violations = check(&crate::shell::root().unwrap()).unwrap();
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
    }
}
