//! Follows the chosen route: installs the missing parts of compiler and LLVM.

use std::process::Command;

use anyhow::{Context, Result};

use super::{
    compiler::{self, Compiler},
    llvm,
    route::Route,
};
use crate::{command, packages};

/// A distribution's rustc with `core` for BPF, and the lints for `cargo xtask ci`.
pub(crate) const RUST_PACKAGES: [&str; 4] =
    ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf", "rust-web-clippy"];

/// The nightly that rustup installs, and its LLVM.
pub(crate) const NIGHTLY: &str = "nightly-2026-05-20";
pub(crate) const NIGHTLY_LLVM: u32 = 22;

/// The libraries that LLVM itself is linked with.
const LLVM_NEEDS: [&str; 3] = ["libzstd-dev", "zlib1g-dev", "libxml2-dev"];

/// Follows the route; returns the compiler, with the development files of its LLVM installed.
pub(crate) fn follow(route: Route) -> Result<Compiler> {
    let compiler = match route {
        Route::Installed(compiler) => compiler,
        Route::Packages => {
            packages::install(&RUST_PACKAGES)?;
            new_compiler(false)?
        }
        Route::Nightly => {
            let mut rustup = Command::new("rustup");
            rustup.args(["toolchain", "install", NIGHTLY, "--profile", "minimal"]);
            rustup.args(["--component", "rust-src", "--component", "clippy"]);
            command::run_shown(&mut rustup)?;
            new_compiler(true)?
        }
    };
    if llvm::prefix(compiler.llvm).is_none() {
        let development = llvm::package(compiler.llvm);
        packages::install(&[&[development.as_str()][..], &LLVM_NEEDS].concat())?;
    }
    Ok(compiler)
}

fn new_compiler(builds_core: bool) -> Result<Compiler> {
    compiler::installed()
        .into_iter()
        .find(|compiler| compiler.builds_core == builds_core)
        .context("the newly installed compiler cannot build for BPF")
}
