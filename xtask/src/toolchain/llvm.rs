//! Finds the development files of LLVM.

use std::{env, path::PathBuf};

/// The prefix of a major version: `LLVM_PREFIX` if it has that version, else the usual places of
/// the distributions, else `/usr`.
pub(crate) fn prefix(major: u32) -> Option<PathBuf> {
    let named = env::var_os("LLVM_PREFIX").map(PathBuf::from);
    let usual = [
        format!("/usr/lib/llvm-{major}"),
        format!("/usr/lib/llvm/{major}"),
        format!("/usr/lib/llvm{major}"),
        format!("/usr/lib64/llvm{major}"),
        "/usr".to_owned(),
    ];
    named.into_iter().chain(usual.map(PathBuf::from)).find(|prefix| {
        let there = |file: &str| prefix.join(file).exists();
        there("lib/libLLVM.so")
            && there(&format!("lib/libLLVM.so.{major}.1"))
            && there("bin/llvm-objcopy")
    })
}

/// The Debian package of the development files.
pub(crate) fn package(major: u32) -> String {
    format!("llvm-{major}-dev")
}
