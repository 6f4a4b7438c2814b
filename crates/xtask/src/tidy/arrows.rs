//! Who may use whom: the table of the design, and what the pure rooms and the libtorch-free half must not reach.
//! Knows names and edges, and nothing of what is inside a crate.

use super::Violation;
use super::workspace::{Dependency, Member, Workspace, reached, way};
use std::fs;
use std::path::Path;

/// A row of the table: a crate, and what it may use besides the outside world.
struct Row {
    name: &'static str,
    may_use: &'static [&'static str],
}

const fn row(name: &'static str, may_use: &'static [&'static str]) -> Row {
    Row { name, may_use }
}

/// The end-to-end tests may look into every room.
const EVERYTHING: &[&str] = &["*"];

/// The table of the design. An edge that is not here is a design change.
const TABLE: &[Row] = &[
    row("plan", &[]),
    row("ledger", &["plan"]),
    row("simulation", &["plan", "ledger"]),
    row("corpus", &["plan"]),
    row("families", &["plan", "corpus", "aten"]),
    row("wire", &["plan", "ledger"]),
    row("store", &["plan", "corpus"]),
    row("faulty-s3", &[]),
    row("aten", &[]),
    row("collective", &["aten"]),
    row("trainer", &["plan", "families", "collective", "aten"]),
    row("coordinator", &["plan", "ledger", "wire", "store"]),
    row("worker", &["plan", "corpus", "families", "wire", "store"]),
    row("prepare", &["plan", "corpus", "store"]),
    row("engine", &["worker", "trainer", "collective", "families", "store"]),
    row("cli", &["coordinator", "prepare", "store", "families", "wire", "ledger", "simulation", "plan"]),
    row("xtask", &[]),
    row("tests", EVERYTHING),
];

/// Rooms without I/O, clock, environment or chance.
pub const PURE: [&str; 5] = ["plan", "ledger", "simulation", "corpus", "families"];

/// What a pure room must not use.
const IMPURE: [&str; 7] = ["tokio", "tch", "torch-sys", "tonic", "reqwest", "rand", "object_store"];

/// What needs libtorch to build.
const LIBTORCH: [&str; 2] = ["tch", "torch-sys"];

/// What a pure room may use behind the feature `torch`.
const BEHIND_TORCH: [&str; 2] = ["tch", "aten"];

/// All rules about dependencies.
pub fn check(root: &Path, workspace: &Workspace, violations: &mut Vec<Violation>) {
    let mut found = Vec::new();
    for member in &workspace.members {
        edges(member, &mut found);
        if PURE.contains(&member.name.as_str()) {
            purity(member, &mut found);
        }
    }
    violations.extend(found.into_iter().map(|violation| located(root, violation)));
    // What cli builds with, and what a plain `cargo test` builds with.
    for (selection, edges, manifest) in [
        (&["--package", "cli"][..], "normal,build", "crates/cli/Cargo.toml"),
        (&[][..], "normal,build,dev", "Cargo.toml"),
    ] {
        match reached(root, selection, edges) {
            Ok(packages) => {
                let way = |package: &str| way(root, selection, edges, package);
                violations.extend(libtorch(manifest, &packages, way));
            }
            Err(error) => {
                violations.push(Violation::new(
                    manifest,
                    1,
                    error.to_string(),
                    "make the manifests build first",
                ));
            }
        }
    }
}

/// A violation whose text names a dependency in backticks is moved to that dependency's line.
fn located(root: &Path, mut violation: Violation) -> Violation {
    let text = fs::read_to_string(root.join(&violation.path)).unwrap_or_default();
    let name = violation.what.split('`').nth(1).unwrap_or_default();
    let at = text.lines().position(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ', '=']) && rest.contains('='))
    });
    violation.line = at.map_or(1, |index| index + 1);
    violation
}

/// The table: internal dependencies that are part of what is built, as opposed to what is tested.
fn edges(member: &Member, violations: &mut Vec<Violation>) {
    let Some(row) = TABLE.iter().find(|row| row.name == member.name) else {
        violations.push(Violation::new(
            &member.manifest,
            1,
            format!("the crate {} is not in the table of crates", member.name),
            "a new crate is a design change: agree on it, then add its row to TABLE in \
             crates/xtask/src/tidy/arrows.rs and to crates/README.md",
        ));
        return;
    };
    for dependency in
        member.dependencies.iter().filter(|dependency| dependency.is_internal && !dependency.is_dev)
    {
        if row.may_use != EVERYTHING && !row.may_use.contains(&dependency.name.as_str()) {
            let may = if row.may_use.is_empty() { "nothing".to_owned() } else { row.may_use.join(", ") };
            violations.push(Violation::new(
                &member.manifest,
                1,
                format!("uses `{}`; {} may use {may}", dependency.name, member.name),
                "go through a crate that it may use, or change the design first and then TABLE in \
                 crates/xtask/src/tidy/arrows.rs",
            ));
        }
    }
}

/// Pure rooms: no direct dependency that does I/O, keeps time or draws lots; libtorch only behind its feature.
fn purity(member: &Member, violations: &mut Vec<Violation>) {
    for dependency in member.dependencies.iter().filter(|dependency| !dependency.is_dev) {
        let name = dependency.name.as_str();
        if BEHIND_TORCH.contains(&name) && member.name == "families" {
            if !dependency.is_optional || !only_behind_torch(member, dependency) {
                violations.push(Violation::new(
                    &member.manifest,
                    1,
                    format!("uses `{name}` without the feature torch; {} is pure without it", member.name),
                    format!("make it `optional = true` and let the feature torch alone name `dep:{name}`"),
                ));
            }
        } else if IMPURE.contains(&name) {
            violations.push(Violation::new(
                &member.manifest,
                1,
                format!("uses `{name}`; {} is pure", member.name),
                "let the caller do it and pass the result in",
            ));
        }
    }
    if member.features.get("default").is_some_and(|on| on.iter().any(|feature| feature == "torch")) {
        violations.push(Violation::new(
            &member.manifest,
            1,
            "the feature torch is on by default",
            "take it out of `default`; the engine asks for it",
        ));
    }
}

/// Whether the feature `torch` is the only one that turns an optional dependency on.
/// An optional dependency that no feature names as `dep:` is a feature by itself.
fn only_behind_torch(member: &Member, dependency: &Dependency) -> bool {
    let explicit = format!("dep:{}", dependency.name);
    let names = |on: &Vec<String>| {
        on.iter().any(|item| *item == explicit || item.split('/').next() == Some(dependency.name.as_str()))
    };
    let by: Vec<&str> =
        member.features.iter().filter(|(_, on)| names(on)).map(|(feature, _)| feature.as_str()).collect();
    by == ["torch"]
}

/// A selection of packages that must build without libtorch.
fn libtorch(manifest: &str, packages: &[String], way: impl Fn(&str) -> String) -> Vec<Violation> {
    let mut violations = Vec::new();
    for name in LIBTORCH {
        if packages.iter().any(|package| package == name) {
            violations.push(Violation::new(
                manifest,
                1,
                format!("reaches {name}, and must build without libtorch: {}", way(name)),
                "take `families` without its feature torch and nothing that needs libtorch, tests included",
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(name: &str, is_internal: bool) -> Dependency {
        Dependency {
            name: name.to_owned(),
            is_dev: false,
            is_optional: false,
            is_internal,
            features: Vec::new(),
        }
    }

    fn with(name: &str, dependencies: Vec<Dependency>) -> Member {
        Member { dependencies, ..Member::named(name) }
    }

    fn whats(rule: fn(&Member, &mut Vec<Violation>), member: &Member) -> Vec<String> {
        let mut violations = Vec::new();
        rule(member, &mut violations);
        violations.into_iter().map(|violation| violation.what).collect()
    }

    #[test]
    fn an_edge_outside_the_table_is_found() {
        let member = with("ledger", vec![dependency("plan", true), dependency("store", true)]);
        assert_eq!(whats(edges, &member), ["uses `store`; ledger may use plan"]);
        let dev = Dependency { is_dev: true, ..dependency("store", true) };
        assert!(whats(edges, &with("ledger", vec![dev])).is_empty());
        assert!(whats(edges, &with("tests", vec![dependency("store", true)])).is_empty());
    }

    #[test]
    fn an_unknown_crate_is_found() {
        let found = whats(edges, &with("helpers", Vec::new()));
        assert_eq!(found, ["the crate helpers is not in the table of crates"]);
    }

    #[test]
    fn the_table_has_no_circle() {
        // Rows may only use rows that stand somewhere; walking down must end.
        fn depth(name: &str, left: usize) {
            assert!(left > 0, "{name} is part of a circle");
            let row = TABLE.iter().find(|row| row.name == name).expect("a name in the table has a row");
            for used in row.may_use.iter().filter(|used| **used != "*") {
                depth(used, left - 1);
            }
        }
        for row in TABLE {
            depth(row.name, TABLE.len());
        }
    }

    #[test]
    fn an_impure_dependency_is_found() {
        let member = with("plan", vec![dependency("rand", false), dependency("serde", false)]);
        assert_eq!(whats(purity, &member), ["uses `rand`; plan is pure"]);
    }

    #[test]
    fn families_may_use_libtorch_only_behind_its_feature() {
        let optional = Dependency { is_optional: true, ..dependency("tch", false) };
        let mut member = with("families", vec![optional]);
        member.features.insert("torch".into(), vec!["dep:tch".into()]);
        assert!(whats(purity, &member).is_empty());
        member.features.insert("fast".into(), vec!["dep:tch".into()]);
        assert_eq!(whats(purity, &member).len(), 1);
        assert_eq!(whats(purity, &with("families", vec![dependency("tch", false)])).len(), 1);
        let mut member = with("families", Vec::new());
        member.features.insert("default".into(), vec!["torch".into()]);
        assert_eq!(whats(purity, &member), ["the feature torch is on by default"]);
    }

    #[test]
    fn reaching_libtorch_is_found_with_the_way() {
        let packages = ["cli", "families", "tch"].map(str::to_owned);
        let found = libtorch("crates/cli/Cargo.toml", &packages, |name| format!("cli → families → {name}"));
        assert_eq!(found.len(), 1);
        assert!(found[0].what.ends_with("cli → families → tch"), "{}", found[0]);
        assert!(libtorch("crates/cli/Cargo.toml", &["cli".to_owned()], |_| String::new()).is_empty());
    }

    #[test]
    fn a_violation_points_to_the_line_of_the_dependency() {
        let root = crate::shell::root().unwrap();
        let violation = Violation::new("crates/xtask/Cargo.toml", 1, "uses `clap`", "");
        assert!(located(&root, violation).line > 1);
    }
}
