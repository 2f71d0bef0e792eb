//! Debian's own checker of packages, lintian. `packaging/debian/lintian-overrides` has the
//! exceptions, each with its reason.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{command, packages, workspace};

/// Refuses a package with an error or a warning.
pub(super) fn check(package: &Path) -> Result<()> {
    packages::ensure_for(&packages::LINT)?;
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning"]).arg(package);
    command::run(&mut lintian)
        .with_context(|| format!("{} breaks Debian's policy", workspace::short(package)))?;
    println!("lintian: no error and no warning in {}", workspace::short(package));
    Ok(())
}
