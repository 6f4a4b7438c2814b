//! `cargo xtask setup`: puts libtorch where `.cargo/config.toml` looks for it.
//! Knows which versions belong together; does not know what is built with them.

use crate::shell::{Failure, Outcome, failed, foreign, output, run as run_command};
use crate::venv::{Found, Venv};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// The release of libtorch that the workspace's `tch` is made for.
const TORCH: (&str, Option<&str>) = ("torch", Some("2.11.0"));
/// Any release will do: only the interpreter's side of torch uses it.
const NUMPY: (&str, Option<&str>) = ("numpy", None);
/// What tests compare against, at the versions that they were written with.
const REFERENCE: [(&str, Option<&str>); 11] = [
    ("transformers", Some("5.23.0")),
    ("safetensors", Some("0.8.0")),
    ("pyarrow", Some("26.0.1")),
    ("datasets", Some("5.2.0")),
    ("duckdb", Some("2.0.1")),
    ("polars", Some("2.1.0")),
    ("sentencepiece", Some("0.2.3")),
    ("protobuf", None),
    // An S3 server.
    ("moto", Some("5.2.5")),
    ("flask", None),
    ("flask-cors", None),
];
/// A server that speaks Azure's protocol; the last release for the Node.js that distributions have.
const AZURITE: &str = "3.35.0";

/// The lowest interpreter for libtorch alone, and with the reference packages.
const PYTHON: (u32, u32) = (3, 10);
const PYTHON_REFERENCE: (u32, u32) = (3, 11);

/// Makes everything be there that is not there yet, and says so line by line.
pub fn run(root: &Path, reference: bool) -> Outcome<()> {
    let _lock = lock(root)?;
    let lowest = if reference { PYTHON_REFERENCE } else { PYTHON };
    let venv = Venv::new(root.join(".venv"));
    let usable = is_usable(&venv, lowest);
    let python = if usable { Ok(venv.python()) } else { find_python(lowest) };
    let mut missing: Vec<String> = find_compiler().err().into_iter().collect();
    missing.extend(python.as_ref().err().cloned());
    if let (Ok(python), true) = (python, missing.is_empty()) {
        let mut changed = false;
        if !usable {
            make(&venv, &python)?;
            changed = true;
        }
        changed |= install(&venv, "libtorch", &[TORCH, NUMPY])?;
        if reference {
            changed |= install(&venv, "the packages that tests compare against", &REFERENCE)?;
            changed |= install_azurite(&venv)?;
        }
        changed |= link(&venv)?;
        if !changed {
            println!("setup: everything is there already");
        }
        return Ok(());
    }
    failed(format!("setup needs what this machine does not have:\n  {}", missing.join("\n  ")))
}

/// One setup at a time; the lock goes with the process, however it ends.
fn lock(root: &Path) -> Outcome<File> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
    let path = target.join("xtask-setup.lock");
    let cannot = |error| Failure::Failed(format!("{} cannot be written: {error}", path.display()));
    fs::create_dir_all(&target).map_err(cannot)?;
    let file = File::create(&path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            println!("setup: another setup is at work in this checkout; waiting for it");
            file.lock().map_err(cannot)?;
            Ok(file)
        }
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}

/// Whether the environment can be kept: whole, new enough, and its interpreter starts.
fn is_usable(venv: &Venv, lowest: (u32, u32)) -> bool {
    venv.version().is_some_and(|version| version >= lowest)
        && venv.is_whole()
        && output(foreign(venv.python()).arg("--version")).is_some()
}

/// torch-sys compiles C++; any compiler that `cc` would take is good.
fn find_compiler() -> Result<(), String> {
    let named = std::env::var("CXX").ok();
    let candidates = named.iter().map(String::as_str).chain(["c++", "g++", "clang++"]);
    for candidate in candidates {
        if output(foreign(candidate).arg("--version")).is_some() {
            return Ok(());
        }
    }
    Err("a C++ compiler (`apt install g++`, `dnf install gcc-c++`, or `xcode-select --install`)".into())
}

/// The first interpreter that is new enough and can make environments.
fn find_python(lowest: (u32, u32)) -> Result<PathBuf, String> {
    let probe = "import sys; print(sys.version_info[0], sys.version_info[1]); import venv, ensurepip";
    let mut seen = Vec::new();
    for name in ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"] {
        let Ok(result) = foreign(name).args(["-c", probe]).output() else { continue };
        let text = String::from_utf8_lossy(&result.stdout);
        let numbers: Vec<u32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let &[major, minor] = &numbers[..] else { continue };
        if (major, minor) < lowest {
            seen.push(format!("{name} is {major}.{minor}"));
        } else if !result.status.success() {
            seen.push(format!("{name} has no venv: `apt install python{major}.{minor}-venv`"));
        } else {
            return Ok(PathBuf::from(name));
        }
    }
    let (major, minor) = lowest;
    let found = if seen.is_empty() { "none found".to_owned() } else { seen.join("; ") };
    Err(format!(
        "Python {major}.{minor} or newer with venv ({found}; `apt install python3 python3-venv`, \
         `dnf install python3`, or `brew install python`)"
    ))
}

/// Makes the environment, clearing away what an interruption left.
fn make(venv: &Venv, python: &Path) -> Outcome<()> {
    let dir = venv.dir();
    // A folder of that name that no one can have as an environment is somebody's data.
    let is_ours = ["pyvenv.cfg", "bin", "lib", "include"].iter().any(|name| dir.join(name).exists());
    let is_empty = fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    if !is_ours && !is_empty {
        return failed(format!("{} is not a Python environment; move it away and run again", dir.display()));
    }
    let what = if is_empty { "making" } else { "remaking, because it is not whole," };
    println!("setup: {what} the Python environment .venv");
    run_command(foreign(python).args(["-m", "venv", "--clear"]).arg(dir))
}

/// Installs the packages that are not there; says whether any was not.
fn install(venv: &Venv, what: &str, wanted: &[(&str, Option<&str>)]) -> Outcome<bool> {
    let missing: Vec<String> = lacking(venv, wanted);
    if missing.is_empty() {
        return Ok(false);
    }
    repair(venv)?;
    println!("setup: installing {what}: {} (minutes, the first time)", missing.join(", "));
    let mut pip = foreign(venv.python());
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]).args(&missing);
    run_command(&mut pip).map_err(|error| {
        Failure::Failed(format!(
            "{error}; if the package index could not be reached, set what your network needs \
             (HTTPS_PROXY, PIP_INDEX_URL) and run `cargo xtask setup` again"
        ))
    })?;
    let still = lacking(venv, wanted);
    if still.is_empty() {
        println!("setup: installed {}", missing.join(", "));
        return Ok(true);
    }
    failed(format!("pip succeeded and {} is not there; remove .venv and run setup again", still.join(", ")))
}

/// Installs what runs on Node.js, where that is; says whether it had to.
fn install_azurite(venv: &Venv) -> Outcome<bool> {
    let dir = venv.dir().join("node");
    // npm writes its list last.
    let list = fs::read_to_string(dir.join("node_modules/.package-lock.json")).unwrap_or_default();
    if list.contains(&format!("\"node_modules/azurite\": {{\n      \"version\": \"{AZURITE}\"")) {
        return Ok(false);
    }
    if output(foreign("npm").arg("--version")).is_none() {
        println!("setup: there is no npm, so tests against Azurite will be skipped");
        return Ok(false);
    }
    println!("setup: installing azurite {AZURITE}");
    let mut npm = foreign("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&dir);
    // What it serves is skipped without it, and says so.
    match run_command(npm.arg(format!("azurite@{AZURITE}"))) {
        Ok(()) => Ok(true),
        Err(error) => {
            println!("setup: {error}; tests against Azurite will be skipped");
            Ok(false)
        }
    }
}

/// The packages of a list that are missing, as an installer wants them named.
fn lacking(venv: &Venv, wanted: &[(&str, Option<&str>)]) -> Vec<String> {
    let has_library = venv.site_packages().is_some_and(|site| library(venv, &site).is_file());
    let mut missing = Vec::new();
    for (name, version) in wanted {
        if venv.find(name, *version) != Found::Whole || (*name == TORCH.0 && !has_library) {
            missing.push(version.map_or_else(|| (*name).to_owned(), |version| format!("{name}=={version}")));
        }
    }
    missing
}

/// The file that tells whether libtorch itself is there.
fn library(venv: &Venv, site: &Path) -> PathBuf {
    let name = if cfg!(target_os = "macos") { "libtorch_cpu.dylib" } else { "libtorch_cpu.so" };
    venv.dir().join(site).join("torch/lib").join(name)
}

/// Takes away the records of interrupted installations: pip refuses to replace a package without a whole one.
fn repair(venv: &Venv) -> Outcome<()> {
    let mut records = venv.half_installed();
    if let Some(site) = venv.site_packages()
        && venv.find(TORCH.0, TORCH.1) == Found::Whole
        && !library(venv, &site).is_file()
    {
        println!("setup: torch is recorded and its library is gone");
        let dir = fs::read_dir(venv.dir().join(&site)).into_iter().flatten().flatten();
        records.extend(dir.map(|entry| entry.path()).filter(|path| {
            path.extension().is_some_and(|extension| extension == "dist-info")
                && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("torch-"))
        }));
    }
    for record in records {
        let name = record.file_name().unwrap_or_default().to_string_lossy().into_owned();
        println!("setup: clearing an interrupted installation, {name}");
        fs::remove_dir_all(&record)
            .map_err(|error| Failure::Failed(format!("{} cannot be removed: {error}", record.display())))?;
    }
    Ok(())
}

/// Points `.venv/libtorch` at the package; says whether it had to.
fn link(venv: &Venv) -> Outcome<bool> {
    let Some(site) = venv.site_packages() else {
        return failed(".venv/pyvenv.cfg names no version; remove .venv and run setup again");
    };
    let (to, at) = (site.join("torch"), venv.dir().join("libtorch"));
    if fs::read_link(&at).is_ok_and(|now| now == to) {
        return Ok(false);
    }
    let cannot = |error| Failure::Failed(format!("{} cannot be written: {error}", at.display()));
    match fs::symlink_metadata(&at) {
        Ok(found) if found.is_symlink() => fs::remove_file(&at).map_err(cannot)?,
        Ok(_) => return failed(format!("{} is not a link; move it away and run again", at.display())),
        Err(_) => {}
    }
    std::os::unix::fs::symlink(&to, &at).map_err(cannot)?;
    println!("setup: .venv/libtorch points to {}", to.display());
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test's own that holds only what the closure puts there.
    fn folder(test: &str, fill: impl FnOnce(&Path)) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("xtask-setup-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fill(&dir);
        dir
    }

    #[test]
    fn an_empty_environment_lacks_everything() {
        let dir = folder("empty", |_| {});
        assert_eq!(lacking(&Venv::new(&dir), &[TORCH, NUMPY]), ["torch==2.11.0", "numpy"]);
        assert!(!is_usable(&Venv::new(&dir), PYTHON));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_folder_that_is_no_environment_is_left_alone() {
        let dir = folder("data", |dir| fs::write(dir.join("thesis.txt"), "years of work").unwrap());
        let error = make(&Venv::new(&dir), Path::new("python3")).unwrap_err();
        assert!(error.to_string().contains("not a Python environment"), "{error}");
        assert!(dir.join("thesis.txt").is_file());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_link_is_relative_and_made_once() {
        let dir = folder("link", |dir| fs::write(dir.join("pyvenv.cfg"), "version = 3.11.7\n").unwrap());
        assert_eq!(link(&Venv::new(&dir)), Ok(true));
        assert_eq!(link(&Venv::new(&dir)), Ok(false));
        assert_eq!(
            fs::read_link(dir.join("libtorch")).unwrap(),
            Path::new("lib/python3.11/site-packages/torch")
        );
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_second_setup_waits_for_the_first() {
        let dir = folder("lock", |dir| fs::write(dir.join("Cargo.toml"), "").unwrap());
        let first = lock(&dir).unwrap();
        let path = std::env::var_os("CARGO_TARGET_DIR").map_or(dir.join("target"), |to| dir.join(to));
        let second = File::create(path.join("xtask-setup.lock")).unwrap();
        assert!(matches!(second.try_lock(), Err(TryLockError::WouldBlock)));
        drop(first);
        assert!(second.try_lock().is_ok());
        fs::remove_dir_all(dir).unwrap();
    }
}
