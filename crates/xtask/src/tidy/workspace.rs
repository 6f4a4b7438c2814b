//! The workspace as cargo sees it: members, their dependencies and features.
//! Knows cargo's formats, and none of the rules.

use crate::shell::{Outcome, cargo, failed, output, shown};
use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The members, and where they are built.
#[derive(Debug, Default)]
pub struct Workspace {
    /// All members, by name.
    pub members: Vec<Member>,
    /// The build directory.
    pub target: PathBuf,
}

/// One member.
#[derive(Debug, Default)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its manifest, from the root.
    pub manifest: String,
    /// Whether a plain `cargo test` takes it.
    pub is_default: bool,
    /// Its direct dependencies.
    pub dependencies: Vec<Dependency>,
    /// Its features, and what each turns on.
    pub features: BTreeMap<String, Vec<String>>,
}

impl Member {
    /// A member with a name and nothing else.
    #[cfg(test)]
    pub fn named(name: &str) -> Member {
        Member { name: name.to_owned(), manifest: format!("crates/{name}/Cargo.toml"), ..Member::default() }
    }
}

/// One direct dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The package.
    pub name: String,
    /// Only for tests and benchmarks.
    pub is_dev: bool,
    /// Only with a feature.
    pub is_optional: bool,
    /// Whether it is a member of this workspace.
    pub is_internal: bool,
    /// The features asked for.
    pub features: Vec<String>,
}

impl Workspace {
    /// Asks cargo, without letting it write the lock file.
    pub fn load(root: &Path) -> Outcome<Workspace> {
        let mut command = MetadataCommand::new();
        command.current_dir(root).manifest_path(root.join("Cargo.toml")).no_deps();
        command.features(CargoOpt::SomeFeatures(Vec::new()));
        command.other_options(vec!["--locked".to_owned()]);
        let metadata = match command.exec() {
            Ok(metadata) => metadata,
            Err(error) => return failed(format!("`cargo metadata --locked` failed: {error}")),
        };
        let mut members: Vec<Member> = metadata
            .workspace_packages()
            .into_iter()
            .map(|package| member(root, &metadata, package))
            .collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Workspace { members, target: metadata.target_directory.into_std_path_buf() })
    }
}

fn member(root: &Path, metadata: &Metadata, package: &Package) -> Member {
    let manifest = package.manifest_path.as_std_path();
    let internal = metadata.workspace_packages();
    let dependencies = package.dependencies.iter().map(|dependency| Dependency {
        name: dependency.name.clone(),
        is_dev: dependency.kind == DependencyKind::Development,
        is_optional: dependency.optional,
        is_internal: internal.iter().any(|other| *other.name == dependency.name),
        features: dependency.features.clone(),
    });
    Member {
        name: package.name.to_string(),
        manifest: manifest.strip_prefix(root).unwrap_or(manifest).display().to_string(),
        is_default: metadata.workspace_default_members.contains(&package.id),
        dependencies: dependencies.collect(),
        features: package.features.clone(),
    }
}

/// Every package that a selection reaches, with features as a build of that selection alone would have them.
/// `cargo metadata` cannot say this: it turns on what any member of the workspace asks for.
pub fn reached(root: &Path, selection: &[&str], edges: &str) -> Outcome<Vec<String>> {
    let mut command = cargo(root);
    command
        .args(["tree", "--locked", "--prefix", "none", "--format", "{p}", "--edges", edges])
        .args(selection);
    match output(&mut command) {
        Some(text) => Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()),
        None => failed(format!("`{}` failed; run it to see why", shown(&command))),
    }
}

/// One way from a selection to a package: `cli → families → tch`. Empty if there is none.
pub fn way(root: &Path, selection: &[&str], edges: &str, package: &str) -> String {
    let mut command = cargo(root);
    command.args(["tree", "--locked", "--prefix", "depth", "--format", " {p}", "--edges", edges]);
    command.args(["--invert", package]).args(selection);
    first_chain(&output(&mut command).unwrap_or_default())
}

/// The first branch of an inverted tree with depths, from the far end.
fn first_chain(tree: &str) -> String {
    let mut chain: Vec<&str> = Vec::new();
    for line in tree.lines() {
        let mut words = line.split(' ');
        let (depth, name) = (words.next().and_then(|depth| depth.parse::<usize>().ok()), words.next());
        let (Some(depth), Some(name)) = (depth, name) else { continue };
        if chain.len() != depth {
            break;
        }
        chain.push(name);
    }
    chain.reverse();
    chain.join(" → ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_workspace_is_read() {
        let Ok(workspace) = Workspace::load(&crate::shell::root().unwrap()) else { return };
        let xtask = workspace.members.iter().find(|member| member.name == "xtask").unwrap();
        assert!(xtask.is_default);
        assert_eq!(xtask.manifest, "crates/xtask/Cargo.toml");
        assert!(xtask.dependencies.iter().any(|dependency| dependency.name == "clap"));
    }

    #[test]
    fn the_first_branch_of_a_tree_is_a_way() {
        let tree =
            "0 torch-sys v0.24.0\n1 tch v0.24.0\n2 families v0.1.0 (/x)\n3 cli v0.1.0\n2 trainer v0.1.0\n";
        assert_eq!(first_chain(tree), "cli → families → tch → torch-sys");
        assert_eq!(first_chain(""), "");
    }
}
