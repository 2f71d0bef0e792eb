//! Checks licences, sources and advisories of the dependencies with cargo-deny and `deny.toml`.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{command, workspace};

const VERSION: &str = "0.20.2";

pub(crate) fn check() -> Result<()> {
    let deny = ready()?;
    let cargo_deny = |arguments: &[&str]| {
        let mut command = Command::new(&deny);
        command::forget_own_build(&mut command);
        command.args(arguments).current_dir(workspace::root());
        command
    };
    command::run(&mut cargo_deny(&[
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]))?;
    // Fetching the advisory database needs a network, which not every machine has.
    if command::run(&mut cargo_deny(&["fetch", "db"])).is_err() {
        eprintln!("advisories: not checked, because the database could not be fetched");
        return Ok(());
    }
    command::run(&mut cargo_deny(&["check", "--disable-fetch", "advisories"]))
}

/// The path of cargo-deny, which is built if it is missing.
fn ready() -> Result<PathBuf> {
    let folder = workspace::tool(&format!("cargo-deny-{VERSION}"));
    let program = folder.join("bin/cargo-deny");
    if !program.is_file() {
        let mut install = command::cargo("install");
        install.args(["cargo-deny", "--version", VERSION, "--locked", "--root"]).arg(folder);
        // Build in a temporary directory, which cargo removes.
        install.env_remove("CARGO_TARGET_DIR");
        command::run_shown(&mut install).context("cannot build cargo-deny")?;
    }
    Ok(program)
}
