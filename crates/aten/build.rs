//! Compiles the C++ shim against the libtorch that `LIBTORCH` points to. It links nothing itself: `torch-sys`
//! already names the libraries (`torch_cpu`, `c10`, `gomp`), and the linker drops those nobody refers to.

use std::env;
use std::path::PathBuf;
use std::process::exit;

fn main() {
    println!("cargo::rerun-if-changed=cpp");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    let Some(libtorch) = env::var_os("LIBTORCH").map(PathBuf::from) else {
        println!("cargo::error=LIBTORCH is not set: run `cargo xtask setup`, and cargo from inside this repository");
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
        .files(["cpp/kernels.cpp", "cpp/runtime.cpp", "cpp/gloo.cpp"])
        .compile("cloze_aten");
}
