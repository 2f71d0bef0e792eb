//! The independent PROXY decoder for the tests: Python packages, pinned by version and hash in
//! `tests/decoder/requirements.txt`.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{command, packages, workspace};

/// The variable that tells the tests where the packages are.
pub(crate) const FOLDER: &str = "AOP_PROXY_DECODER";

/// The directory of the packages; it exists only after the installation.
pub(crate) fn folder() -> PathBuf {
    workspace::tool("proxy-protocol-0.11.3")
}

/// Installs the packages if they are missing; warns if that fails.
pub(crate) fn ensure() {
    if folder().is_dir() {
        return;
    }
    if let Err(error) = install() {
        eprintln!("warning: the tests that compare PROXY headers are skipped: {error:#}");
    }
}

fn install() -> Result<()> {
    packages::ensure_for(&packages::DECODER)?;
    // An interrupted installation must not leave a directory of the final name.
    let part = folder().with_extension("part");
    fs::remove_dir_all(&part).ok();
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.args(["--no-cache-dir", "--only-binary", ":all:", "--require-hashes", "--target"]);
    pip.arg(&part).env("PIP_ROOT_USER_ACTION", "ignore").arg("--requirement");
    pip.arg(workspace::root().join("tests/decoder/requirements.txt"));
    command::run_shown(&mut pip).context("cannot install proxy-protocol from PyPI")?;
    fs::rename(&part, folder()).with_context(|| format!("cannot make {}", folder().display()))
}
