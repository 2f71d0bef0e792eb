//! Clean Debian systems.

use std::{
    fmt,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::command;

/// A release on which the package is tested: 12 and 13.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Release {
    Bookworm,
    Trixie,
}

impl Release {
    pub(crate) const ALL: [Self; 2] = [Self::Bookworm, Self::Trixie];

    /// The name in the archive of Debian.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Makes a clean root of `release` with some packages beside the smallest set, from the mirror
/// that debootstrap uses on this machine.
pub(crate) fn bootstrap(release: Release, packages: &str, root: &Path) -> Result<()> {
    let mut bootstrap = Command::new("debootstrap");
    bootstrap.args(["--variant=minbase", &format!("--include={packages}"), release.name()]);
    command::run_shown(bootstrap.arg(root).stdout(Stdio::null()))
}
