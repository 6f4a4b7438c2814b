//! Compiles the C++ shim against the libtorch that `LIBTORCH` points to, and lets `cargo test` and `cargo run` find it.
//! `torch-sys` names the other libraries (`c10`, `gomp`), and the linker drops those that nobody refers to.

use std::path::{Path, PathBuf};
use std::process::exit;
use std::{env, fs, io};

fn main() {
    println!("cargo::rerun-if-changed=cpp");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    let Some(libtorch) = env::var_os("LIBTORCH").map(PathBuf::from) else {
        println!(
            "cargo::error=LIBTORCH is not set: run `cargo xtask setup`, and cargo from inside this repository"
        );
        exit(1);
    };
    let include = libtorch.join("include");
    if !include.join("ATen/ATen.h").is_file() {
        println!(
            "cargo::error=no libtorch headers under {}: run `cargo xtask setup`, or point LIBTORCH to a libtorch 2.11",
            include.display()
        );
        exit(1);
    }
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        .debug(false)
        .warnings(false)
        .include("cpp")
        .include("cpp/gloo_stub")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .define("USE_C10D_GLOO", None)
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        // at::parallel_for is a template over OpenMP: with this flag it shares libtorch's own thread pool.
        .flag("-fopenmp")
        // The same bits in vector bodies, in tails and on every processor: no fused multiply-add behind our back.
        .flag("-ffp-contract=off")
        // Lets sqrt and llrint become instructions; they round the same way.
        .flag("-fno-math-errno")
        .files(["cpp/kernels.cpp", "cpp/layers.cpp", "cpp/runtime.cpp", "cpp/gloo.cpp"])
        .compile("cloze_aten");
    if let Err(error) = show_cargo_the_libraries(&libtorch.join("lib")) {
        println!("cargo::error=cannot link {} into the build directory: {error}", libtorch.display());
        exit(1);
    }
}

/// Cargo sets the library path of what it runs, over any configured one, and takes only search directories inside the
/// target directory into it. So there is a link to libtorch's libraries in there.
fn show_cargo_the_libraries(libraries: &Path) -> io::Result<()> {
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo did not set OUT_DIR"))?;
    let link = PathBuf::from(out).join("libtorch");
    match fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(fs::canonicalize(libraries)?, &link)?;
    println!("cargo::rustc-link-search=native={}", link.display());
    // libtorch_cuda has copies of some Gloo functions, and torch-sys names it first: found there, they would make every
    // binary need CUDA.
    println!("cargo::rustc-link-lib=dylib=torch_cpu");
    Ok(())
}
