//! Prometheus' promtool, with which the tests check `/metrics` and the alerts. The Debian package
//! would also start a server, so it is only unpacked, not installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{command, packages, workspace};

/// The variable that tells the tests where promtool is.
pub(crate) const PROGRAM: &str = "AOP_PROMTOOL";

const PACKAGE: &str = "prometheus";

/// The path of promtool: the installed one or, after [`ensure`], the unpacked one.
pub(crate) fn program() -> PathBuf {
    command::find("promtool").unwrap_or_else(|| folder().join("promtool"))
}

/// Fetches promtool if it is missing; warns if that fails.
pub(crate) fn ensure() {
    if program().is_file() {
        return;
    }
    if let Err(error) = fetch() {
        eprintln!("warning: the tests of metrics and alerts with promtool are skipped: {error:#}");
    }
}

fn folder() -> PathBuf {
    workspace::tool("promtool")
}

fn fetch() -> Result<()> {
    // An interrupted download must not leave a file of the final name.
    let part = folder().with_extension("part");
    fs::remove_dir_all(&part).ok();
    fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
    if download(&part).is_err() {
        packages::update()?;
        download(&part).with_context(|| format!("cannot fetch the package {PACKAGE}"))?;
    }
    let is_package = |path: &PathBuf| path.extension().is_some_and(|end| end == "deb");
    let found = fs::read_dir(&part)?.flatten().map(|entry| entry.path()).find(is_package);
    let Some(package) = found else { bail!("apt-get left no file") };
    let unpacked = part.join("unpacked");
    command::run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&unpacked))?;
    fs::create_dir_all(folder())?;
    fs::rename(unpacked.join("usr/bin/promtool"), folder().join("promtool"))
        .with_context(|| format!("the package {PACKAGE} has no promtool"))?;
    fs::remove_dir_all(&part).with_context(|| format!("cannot remove {}", part.display()))
}

fn download(to: &Path) -> Result<()> {
    command::run(Command::new("apt-get").args(["download", "-qq", PACKAGE]).current_dir(to))
}
