//! Clean Debian systems.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::command;

/// Makes a clean root of `release` with some packages beside the smallest set, from the mirror
/// that debootstrap uses on this machine.
pub(crate) fn bootstrap(release: &str, packages: &str, root: &Path) -> Result<()> {
    let mut bootstrap = Command::new("debootstrap");
    bootstrap.args(["--variant=minbase", &format!("--include={packages}"), release]);
    command::run_shown(bootstrap.arg(root).stdout(Stdio::null()))
}
