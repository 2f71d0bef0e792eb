//! `dist`: builds the Debian package; optionally tests its installation, upgrade, removal and
//! purge, and builds the container image from it.

mod arm64;
mod check;
mod container;
mod host;
mod manual;
mod units;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
pub(crate) use units::verify as verify_units;

use crate::{
    command,
    launch::{self, Profile},
    object, packages, workspace,
};

const CARGO_DEB: &str = "3.8.0";

/// The steps beside building the package.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Dist {
    /// Also install, upgrade, remove and purge it in a clean Debian root; needs root and a mirror
    #[arg(long)]
    check: bool,
    /// Also build the container image and guard a port that Docker publishes; needs root and a
    /// mirror
    #[arg(long)]
    container: bool,
    /// Also cross-build the package for arm64
    #[arg(long)]
    arm64: bool,
}

/// Builds the package for arm64.
pub(crate) fn package_for_arm64() -> Result<PathBuf> {
    packages::ensure_for(&packages::PACKAGING)?;
    arm64::pack(&documents()?)
}

/// Makes a cargo command build for arm64.
pub(crate) fn cross_compile(cargo: &mut Command) {
    arm64::cross_compile(cargo);
}

/// The folder of the generated man pages and completions.
fn documents() -> Result<PathBuf> {
    let aop = launch::build(Profile::Release, &["aop"])?.join("aop");
    let folder = workspace::target().join("release/dist");
    generate(&aop, &folder)?;
    Ok(folder)
}

pub(crate) fn run(dist: Dist) -> Result<()> {
    packages::ensure_for(&packages::PACKAGING)?;
    object::refresh()?;
    let folder = documents()?;
    let package = pack(&folder, &[])?;
    tell(&package)?;
    if dist.arm64 {
        tell(&arm64::pack(&folder)?)?;
    }
    if dist.check {
        check::run(&package)?;
    }
    if dist.container {
        container::run(&folder)?;
    }
    Ok(())
}

/// Generates man pages and completions from the command line of the program.
fn generate(aop: &Path, folder: &Path) -> Result<()> {
    let (man, man5) = (folder.join("man"), folder.join("man5"));
    let completions = folder.join("completions");
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    for folder in [&man, &man5, &completions] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    command::run(Command::new(aop).arg("man-pages").arg(man))?;
    manual::write(&man5)?;
    for (shell, file) in [("bash", "aop"), ("zsh", "_aop"), ("fish", "aop.fish")] {
        let script = command::output(Command::new(aop).args(["completions", shell]))?;
        fs::write(completions.join(file), script)?;
    }
    Ok(())
}

fn tell(package: &Path) -> Result<()> {
    let size = fs::metadata(package)?.len();
    println!("{}: {:.1} MB", workspace::short(package), size as f64 / 1e6);
    Ok(())
}

fn pack(folder: &Path, options: &[&str]) -> Result<PathBuf> {
    let mut pack = Command::new(cargo_deb()?);
    command::forget_own_build(&mut pack);
    pack.args(["--package", "aop-userspace", "--no-build", "--quiet", "--output"]).arg(folder);
    pack.args(options);
    pack.current_dir(workspace::root()).env("CARGO_TARGET_DIR", workspace::target());
    command::run(&mut pack)?;
    let made = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut packages = made.filter(|path| path.extension().is_some_and(|kind| kind == "deb"));
    match (packages.next(), packages.next()) {
        (Some(package), None) => Ok(package),
        _ => bail!("cargo-deb left no package, or several, in {}", folder.display()),
    }
}

/// The path of cargo-deb, which is built if it is missing.
fn cargo_deb() -> Result<PathBuf> {
    let folder = workspace::tool(&format!("cargo-deb-{CARGO_DEB}"));
    let program = folder.join("bin/cargo-deb");
    if !program.is_file() {
        let mut install = command::cargo("install");
        install.args(["cargo-deb", "--version", CARGO_DEB, "--locked", "--root"]).arg(folder);
        // Build in a temporary directory, which cargo removes.
        install.env_remove("CARGO_TARGET_DIR");
        command::run_shown(&mut install).context("cannot build cargo-deb")?;
    }
    Ok(program)
}
