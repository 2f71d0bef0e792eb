//! The verbs that build everything and run a program of the product: run, demo, bench. run and demo
//! exec that program, so that it receives signals and determines the exit code.

use std::{fs, os::unix::process::CommandExt, path::PathBuf};

use anyhow::{Context, Result, bail};

use crate::{
    command,
    object::{self, NEXT_LAYOUT},
    packages,
    privilege::{self, Privilege},
    workspace,
};

/// The variable that tells demo, tests and benchmarks which aop to run.
pub(crate) const AOP_BIN: &str = "AOP_BIN";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    object::refresh()?;
    let folder = build(Profile::Debug, &["aop"])?;
    become_program(folder, "aop", arguments)
}

pub(crate) fn demo(arguments: &[String]) -> Result<()> {
    packages::ensure()?;
    object::refresh()?;
    let folder = build(Profile::Debug, &["aop", "aop-demo", "aop-upstream"])?;
    become_program(folder, "aop-demo", arguments)
}

/// The benchmarks, by the names of their targets.
const BENCHES: [&str; 3] = ["firewall", "terminator", "fleet"];

/// Runs the benchmark `name`, or all, with `arguments`.
pub(crate) fn bench(name: Option<&str>, arguments: &[String]) -> Result<()> {
    if let Some(unknown) = name.filter(|name| !BENCHES.contains(name)) {
        bail!("there is no benchmark {unknown:?}; there are {}", BENCHES.join(", "));
    }
    if name.is_none() && !arguments.is_empty() {
        bail!("name the benchmark that the arguments are for: {}", BENCHES.join(", "));
    }
    if !Privilege::current()?.is_root() {
        bail!("the benchmarks load programs and make network namespaces; run them as root");
    }
    packages::ensure()?;
    if name.is_none_or(|name| name == "firewall") {
        packages::try_rivals(&packages::PACKET_RIVALS);
    }
    if name.is_none_or(|name| name == "terminator") {
        packages::try_rivals(&packages::TLS_RIVALS);
    }
    if name.is_none_or(|name| name == "fleet") {
        packages::ensure_for(&packages::ETCD)?;
    }
    object::refresh()?;
    // The packet path is measured without the program.
    if name != Some("firewall") {
        build(Profile::Release, &["aop", "aop-upstream"])?;
    }
    let figures = workspace::target().join("bench");
    for bench in BENCHES.iter().filter(|bench| name.is_none_or(|name| name == **bench)) {
        let mut cargo = command::cargo("bench");
        cargo.args(["--quiet", "--bench", bench, "--"]).args(arguments);
        cargo.env(AOP_BIN, workspace::target().join("release/aop"));
        cargo.env("AOP_BENCH_JSON", figures.join(bench).with_extension("json"));
        command::run(&mut cargo)?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
pub(crate) enum Profile {
    Debug,
    Release,
}

impl Profile {
    /// As `cargo --profile` takes it.
    pub(crate) fn cargo_name(self) -> &'static str {
        match self {
            Self::Debug => "dev",
            Self::Release => "release",
        }
    }
}

/// Builds these binaries and returns their folder. It never selects packages, so that the whole
/// workspace uses one set of features and no verb rebuilds the dependencies of another.
pub(crate) fn build(profile: Profile, binaries: &[&str]) -> Result<PathBuf> {
    let mut cargo = command::cargo("build");
    let folder = match profile {
        Profile::Debug => "debug",
        Profile::Release => {
            cargo.arg("--release");
            "release"
        }
    };
    cargo.args(binaries.iter().flat_map(|binary| ["--bin", binary]));
    command::run_quiet_when_fresh(&mut cargo)?;
    Ok(workspace::target().join(folder))
}

/// Builds aop with the map layout of tomorrow, and keeps it beside the other.
pub(crate) fn build_next_layout() -> Result<()> {
    object::refresh_next()?;
    let mut cargo = command::cargo("build");
    cargo.args(["--bin", "aop", "--features", &format!("aop-firewall/{NEXT_LAYOUT}")]);
    command::run_quiet_when_fresh(&mut cargo)?;
    let folder = workspace::target().join("debug");
    let (from, to) = (folder.join("aop"), folder.join(format!("aop-{NEXT_LAYOUT}")));
    fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

fn become_program(folder: PathBuf, program: &str, arguments: &[String]) -> Result<()> {
    let mut command = privilege::as_root(&folder.join(program))?;
    command::forget_own_build(&mut command);
    command.args(arguments).env(AOP_BIN, folder.join("aop"));
    let error = command.exec();
    bail!("cannot start `{}`: {error}", command::line(&command))
}
