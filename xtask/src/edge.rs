//! `edge`: runs aop behind an edge that is made from pingora, the proxy library that Cloudflare
//! publishes. The edge is a workspace of its own (`tests/edge`), so that neither the builds nor the
//! dependency checks of the product know pingora. Not part of `ci`: the edge builds for minutes.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::{
    command,
    launch::{self, AOP_BIN, Profile},
    object, packages,
    privilege::Privilege,
    workspace,
};

/// Names the program of the edge for the scenarios.
const EDGE_BIN: &str = "AOP_EDGE_BIN";

/// Runs the scenarios with `arguments`.
pub(crate) fn run(profile: Profile, arguments: &[String]) -> Result<()> {
    if !Privilege::current()?.is_root() {
        bail!("the scenarios load programs and make network namespaces; run them as root");
    }
    packages::ensure_for(&packages::EDGE)?;
    let edge = build_edge()?;
    object::refresh()?;
    let folder = launch::build(profile, &["aop"])?;
    let mut cargo = command::cargo("bench");
    cargo.args(["--quiet", "--profile", profile.cargo_name(), "--bench", "edge", "--"]);
    cargo.args(arguments).env(AOP_BIN, folder.join("aop")).env(EDGE_BIN, edge);
    command::run(&mut cargo)
}

/// Builds the edge and returns its path.
fn build_edge() -> Result<PathBuf> {
    let target = workspace::target().join("edge");
    let program = target.join("release/aop-edge");
    if !program.is_file() {
        eprintln!("building the edge from pingora; this takes some minutes the first time");
    }
    let mut cargo = command::cargo("build");
    cargo.args(["--release", "--locked", "--manifest-path", "tests/edge/Cargo.toml"]);
    cargo.arg("--target-dir").arg(&target);
    // pingora builds an OpenSSL of its own unless it may use the one of the machine.
    let mut pkg_config = Command::new("pkg-config");
    if pkg_config.args(["--exists", "openssl"]).status().is_ok_and(|status| status.success()) {
        cargo.env("OPENSSL_NO_VENDOR", "1");
    }
    command::run_quiet_when_fresh(&mut cargo)?;
    Ok(program)
}
