//! The BPF toolchain: a rustc that can build for the BPF target, and a bpf-linker of the same LLVM.
//!
//! There are two ways to such a rustc: a rustup nightly with rust-src, which builds `core` itself,
//! or a distribution's rustc that ships `core` for BPF. What is installed is preferred to what
//! would have to be. Nothing is remembered between runs: the files themselves tell.

mod compiler;
mod install;
mod linker;
mod llvm;
mod route;

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context, Result, anyhow, bail};
use compiler::Compiler;
use route::{Machine, Route};

use crate::{command, packages, workspace};

pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// A toolchain that is all there.
pub(crate) struct Toolchain {
    compiler: Compiler,
    llvm: PathBuf,
    linker: PathBuf,
}

/// Finds the toolchain; installs what is missing. Silent when nothing is.
pub(crate) fn ready() -> Result<Toolchain> {
    let mut machine = look();
    if let Some(compiler) = machine.ready() {
        return Toolchain::of(compiler);
    }
    if machine.linkable().is_none() {
        look_closer(&mut machine);
    }
    let Some(route) = route::choose(&machine) else {
        bail!("there is no BPF toolchain here\n{}", route::remedy(&machine));
    };
    eprintln!("BPF toolchain: {}", route.describe());
    install(route).map_err(|error| anyhow!("{error:#}\n{}", route::remedy(&machine)))
}

fn install(route: Route) -> Result<Toolchain> {
    let compiler = install::follow(route)?;
    linker::build(&compiler)?;
    let toolchain = Toolchain::of(&compiler)?;
    eprintln!("BPF toolchain: ready: {compiler}, {}", workspace::short(&toolchain.linker));
    Ok(toolchain)
}

/// What the files of this machine tell.
fn look() -> Machine {
    let compilers = compiler::installed();
    let majors = majors(&compilers);
    Machine {
        llvms: majors.iter().copied().filter(|major| llvm::prefix(*major).is_some()).collect(),
        linkers: majors.iter().copied().filter(|major| linker::path(*major).is_file()).collect(),
        rustup: command::find("rustup").is_some(),
        compilers,
        ..Machine::default()
    }
}

/// Adds what only the package manager can tell, which takes time.
fn look_closer(machine: &mut Machine) {
    if !packages::apt_works() {
        return;
    }
    if !packages::knows(&install::RUST_PACKAGES)
        && let Err(error) = packages::update()
    {
        eprintln!("warning: {error:#}");
    }
    machine.rust_packages = packages::knows(&install::RUST_PACKAGES);
    let majors = majors(&machine.compilers).into_iter();
    machine.llvm_packages =
        majors.filter(|major| packages::knows(&[llvm::package(*major).as_str()])).collect();
}

/// The LLVM versions that matter: of the compilers here, and of the one that could be installed.
fn majors(compilers: &[Compiler]) -> Vec<u32> {
    let mut majors: Vec<_> = compilers.iter().map(|compiler| compiler.llvm).collect();
    majors.push(install::NIGHTLY_LLVM);
    majors.sort_unstable();
    majors.dedup();
    majors
}

impl Toolchain {
    fn of(compiler: &Compiler) -> Result<Self> {
        let major = compiler.llvm;
        let llvm = llvm::prefix(major)
            .with_context(|| format!("LLVM {major}'s development files have gone"))?;
        Ok(Self { compiler: compiler.clone(), llvm, linker: linker::path(major) })
    }

    /// `cargo SUBCOMMAND` for the packet program. It has a target directory of its own, so that it
    /// never waits for, or undoes, a build of the host side.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        self.command("cargo", subcommand)
    }

    /// `cargo clippy`, where this toolchain has it.
    pub(crate) fn clippy(&self) -> Option<Command> {
        let program = "cargo-clippy";
        let there = self.compiler.program(program).is_file();
        there.then(|| self.command(program, "clippy"))
    }

    /// Where the object appears.
    pub(crate) fn output(&self) -> PathBuf {
        target().join(TARGET).join("bpf/aop-ebpf")
    }

    /// A program of the LLVM that compiler and linker share.
    pub(crate) fn llvm_program(&self, name: &str) -> PathBuf {
        self.llvm.join("bin").join(name)
    }

    fn command(&self, program: &str, subcommand: &str) -> Command {
        let mut command = Command::new(self.compiler.program(program));
        command::forget_own_build(&mut command);
        command::forget_toolchain(&mut command);
        command.current_dir(workspace::root()).arg(subcommand);
        command.args(["--package", "aop-ebpf", "--profile", "bpf", "--target", TARGET]);
        if self.compiler.builds_core {
            command.arg("-Zbuild-std=core");
        }
        command
            .env("CARGO", self.compiler.program("cargo"))
            .env("RUSTC", self.compiler.program("rustc"))
            // aya-ebpf is written in the BPF assembler, which stable compilers hide.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", target())
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags());
        command
    }

    fn flags(&self) -> String {
        [
            format!("-Clinker={}", self.linker.display()),
            "-Clink-arg=--btf".to_owned(),
            "-Cdebuginfo=2".to_owned(),
            // The layout of the host's registers, which aya-ebpf picks by this name.
            format!("--cfg=bpf_target_arch=\"{}\"", env::consts::ARCH),
            // BTF names source files: the object must not depend on where the repository lies.
            format!("--remap-path-prefix={}=.", workspace::root().display()),
        ]
        .join("\x1f")
    }
}

fn target() -> PathBuf {
    workspace::target().join("bpf")
}
