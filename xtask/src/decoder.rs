//! The PROXY decoder that the tests compare with: Python packages, pinned by version and sum in
//! `tests/decoder/requirements.txt`.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{command, packages, workspace};

/// Tells the tests where the packages are.
pub(crate) const FOLDER: &str = "AOP_PROXY_DECODER";

/// Where the packages are, once they are.
pub(crate) fn folder() -> PathBuf {
    workspace::tool("proxy-protocol-0.11.3")
}

/// Installs the packages where they are missing; says what is missing, where it cannot.
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
    // Whole or not at all: what was broken off is no folder of that name.
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
