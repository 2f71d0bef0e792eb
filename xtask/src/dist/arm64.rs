//! Cross-builds the package for arm64, with Debian's cross compiler for the C code. The only test
//! is `aop --version` under QEMU's user mode, which has no BPF. `kernels --arm64` installs it in an
//! emulated machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::build;
use crate::{command, packages, workspace};

pub(super) const TARGET: &str = "aarch64-unknown-linux-gnu";
const COMPILER: &str = "aarch64-linux-gnu-gcc";
/// Debian's directory of libraries for arm64.
const LIBRARIES: &str = "/usr/aarch64-linux-gnu";

/// Builds aop for arm64 and packs it with the man pages and completions in `folder`.
pub(super) fn pack(folder: &Path) -> Result<PathBuf> {
    packages::ensure_for(&packages::ARM64)?;
    let release = build::release(Some(TARGET), cross_compile)
        .with_context(|| format!("is the target there? `rustup target add {TARGET}`"))?;
    let mut version = Command::new("qemu-aarch64-static");
    version.args(["-L", LIBRARIES]).arg(release.join("aop")).arg("--version");
    let version = command::output(&mut version)?;
    ensure!(version.starts_with("aop "), "the program for arm64 says {version:?}");

    let own = release.join("dist");
    // Another package in it would be taken for this one.
    if own.exists() {
        fs::remove_dir_all(&own)?;
    }
    for part in super::GENERATED {
        fs::create_dir_all(own.join(part))?;
        for file in fs::read_dir(folder.join(part))? {
            let file = file?;
            fs::copy(file.path(), own.join(part).join(file.file_name()))?;
        }
    }
    super::pack(&own, &["--target", TARGET])
}

/// Makes a cargo command build for arm64.
pub(super) fn cross_compile(cargo: &mut Command) {
    cargo.args(["--target", TARGET]);
    cargo.env("CC_aarch64_unknown_linux_gnu", COMPILER);
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", COMPILER);
}

/// A package for arm64 of the same version as `package`, if an earlier run has built one.
pub(super) fn packed(package: &Path) -> Option<PathBuf> {
    let name = package.file_name()?.to_string_lossy().replace("_amd64", "_arm64");
    let packed = workspace::target().join(TARGET).join("release/dist").join(name);
    packed.is_file().then_some(packed)
}
