//! The BPF toolchain: a rustc that can build for the BPF target, and a bpf-linker with the same
//! LLVM.
//!
//! There are two kinds of such a rustc: a rustup nightly with rust-src, which builds `core` itself,
//! and a distribution's rustc that includes `core` for BPF. An installed one is preferred. xtask
//! stores no state between runs: it looks at the files.

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

/// A complete toolchain.
pub(crate) struct Toolchain {
    compiler: Compiler,
    llvm: PathBuf,
    linker: PathBuf,
}

/// Finds the toolchain, and installs missing parts. Prints nothing if nothing is missing.
pub(crate) fn ready() -> Result<Toolchain> {
    let mut machine = look();
    if let Some(compiler) = machine.ready() {
        return Toolchain::of(compiler);
    }
    if machine.linkable().is_none() {
        look_closer(&mut machine);
    }
    let Some(route) = route::choose(&machine) else {
        bail!("no BPF toolchain was found\n{}", route::remedy(&machine));
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

/// Looks at the files of this machine.
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

/// Adds the state of the package manager, which takes time to query.
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

/// The LLVM versions of the installed compilers, and of the one that could be installed.
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
            .with_context(|| format!("the development files of LLVM {major} are missing"))?;
        Ok(Self { compiler: compiler.clone(), llvm, linker: linker::path(major) })
    }

    /// `cargo SUBCOMMAND` for the packet program. It has its own target directory, so that it
    /// neither waits for a build of the other crates nor invalidates it.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        self.command("cargo", subcommand)
    }

    /// `cargo clippy`, if this toolchain has it.
    pub(crate) fn clippy(&self) -> Option<Command> {
        let program = "cargo-clippy";
        let there = self.compiler.program(program).is_file();
        there.then(|| self.command(program, "clippy"))
    }

    /// The path of the built object.
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
            // aya-ebpf uses inline assembly for BPF, which is unstable.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", target())
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags());
        command
    }

    fn flags(&self) -> String {
        [
            format!("-Clinker={}", self.linker.display()),
            "-Clink-arg=--btf".to_owned(),
            // The jumps of Linux 4.14. With the 32-bit instructions of v3 the program is no faster,
            // and the verifier walks a quarter more.
            "-Ctarget-cpu=v2".to_owned(),
            "-Cdebuginfo=2".to_owned(),
            // aya-ebpf selects the host's register layout by this name.
            format!("--cfg=bpf_target_arch=\"{}\"", env::consts::ARCH),
            // BTF contains source paths: the object must not depend on the repository's location.
            format!("--remap-path-prefix={}=.", workspace::root().display()),
        ]
        .join("\x1f")
    }
}

fn target() -> PathBuf {
    workspace::target().join("bpf")
}
