//! Where things lie in the repository.

use std::{
    env,
    path::{self, Path, PathBuf},
};

/// The repository's root.
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

/// Where a tool that xtask builds for itself lives, by a name that carries its version.
pub(crate) fn tool(name_and_version: &str) -> PathBuf {
    target().join("tools").join(name_and_version)
}

/// The packet program where the firewall crate embeds it from.
pub(crate) fn object() -> PathBuf {
    root().join("aop-userspace/crates/firewall/bpf/aop.o")
}

/// A path as people write it: from the root, where it lies below it.
pub(crate) fn short(path: &Path) -> path::Display<'_> {
    path.strip_prefix(root()).unwrap_or(path).display()
}
