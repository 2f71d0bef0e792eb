//! Prometheus' own tool, with which the tests read `/metrics` and try the alerts. The Debian
//! package would also start a server, so it is unpacked and not installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{command, packages, workspace};

/// Tells the tests where the tool is.
pub(crate) const PROGRAM: &str = "AOP_PROMTOOL";

const PACKAGE: &str = "prometheus";

/// Where the tool is: the host's own, or the one that was unpacked, once it is.
pub(crate) fn program() -> PathBuf {
    command::find("promtool").unwrap_or_else(|| folder().join("promtool"))
}

/// Fetches the tool where it is missing; says so, where it cannot.
pub(crate) fn ensure() {
    if program().is_file() {
        return;
    }
    if let Err(error) = fetch() {
        eprintln!(
            "warning: the tests of alerts and of what Prometheus reads are skipped: {error:#}"
        );
    }
}

fn folder() -> PathBuf {
    workspace::tool("promtool")
}

fn fetch() -> Result<()> {
    // Whole or not at all: what was broken off has another name.
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
