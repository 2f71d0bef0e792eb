//! Paths of the repository.

use std::{
    env,
    path::{self, Path, PathBuf},
};

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    let here = env!("CARGO_MANIFEST_DIR");
    Path::new(here.strip_suffix("/xtask").unwrap_or(here))
}

/// Cargo's target directory: `CARGO_TARGET_DIR`, or `target` in the root.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .and_then(|chosen| path::absolute(chosen).ok())
        .unwrap_or_else(|| root().join("target"))
}

/// The directory of a tool that xtask installs for itself; its name contains the version.
pub(crate) fn tool(name_and_version: &str) -> PathBuf {
    target().join("tools").join(name_and_version)
}

/// The object of the packet program, which the firewall crate embeds.
pub(crate) fn object() -> PathBuf {
    root().join("aop-userspace/crates/firewall/bpf/aop.o")
}

/// A path for messages: relative to the root if it is below it.
pub(crate) fn short(path: &Path) -> path::Display<'_> {
    path.strip_prefix(root()).unwrap_or(path).display()
}
