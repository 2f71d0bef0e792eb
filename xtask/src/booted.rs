//! Booted Debian systems: systemd-nspawn runs the init of a root in namespaces of its own. `walk`
//! types the documents on them, and `dist --check-ansible` runs the role against them.

mod base;
mod group;
mod layer;
mod machine;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

pub(crate) use self::{
    base::Recipe,
    layer::Layer,
    machine::{Answer, Machine, Network},
};
use crate::{command, workspace};

/// The folder of all bases, layers and logs.
fn folder() -> PathBuf {
    workspace::target().join("booted")
}

/// Removes a folder, without anything that is mounted in it.
fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    command::run(Command::new("rm").args(["-r", "-f", "--one-file-system"]).arg(folder))
}
