//! Builds bpf-linker against the LLVM version of the compiler: it reads the compiler's bitcode,
//! whose format changes with each major version.

use std::{ops::RangeInclusive, path::PathBuf};

use anyhow::{Context, Result};

use super::{compiler::Compiler, llvm};
use crate::{command, workspace};

const VERSION: &str = "0.13.0";

/// The major versions that this bpf-linker can be built against.
pub(crate) const LLVMS: RangeInclusive<u32> = 21..=23;

/// The path of bpf-linker. It contains both versions, so that another compiler gets another linker.
pub(crate) fn path(llvm: u32) -> PathBuf {
    folder(llvm).join("bin/bpf-linker")
}

/// Builds bpf-linker if it is missing.
pub(crate) fn build(compiler: &Compiler) -> Result<()> {
    let major = compiler.llvm;
    if path(major).is_file() {
        return Ok(());
    }
    let prefix = llvm::prefix(major)
        .with_context(|| format!("bpf-linker needs the development files of LLVM {major}"))?;
    let mut install = command::cargo("install");
    install
        .args(["bpf-linker", "--version", VERSION, "--locked", "--no-default-features"])
        .args(["--features", &format!("llvm-{major}"), "--root"])
        .arg(folder(major))
        // Build in a temporary directory, which cargo removes.
        .env_remove("CARGO_TARGET_DIR")
        .env("LLVM_PREFIX", prefix);
    command::run_shown(&mut install).context("cannot build bpf-linker")
}

fn folder(llvm: u32) -> PathBuf {
    workspace::tool(&format!("bpf-linker-{VERSION}-llvm-{llvm}"))
}
