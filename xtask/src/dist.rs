//! `dist`: builds the Debian package; optionally tests its installation, upgrade, removal and
//! purge, adds it to a signed repository, and builds the container image from it.

mod ansible;
mod arm64;
mod build;
mod changelog;
mod check;
mod container;
mod host;
mod lint;
mod manual;
mod newer;
mod repository;
mod reproducible;
mod sbom;
mod signing;
mod units;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use signing::Signer;
pub(crate) use units::verify as verify_units;

use crate::{command, object, packages, workspace};

const CARGO_DEB: &str = "3.8.0";
const AMD64: &str = "x86_64-unknown-linux-gnu";

/// The folders of generated man pages, completions and documents.
const GENERATED: [&str; 4] = ["man", "man5", "completions", "doc"];

/// The steps beside building the package.
#[derive(clap::Args)]
pub(crate) struct Dist {
    /// Also run lintian on it, and install, upgrade, remove and purge it in clean roots of Debian
    /// 12 and 13, from the file and from a signed repository; needs root and a mirror
    #[arg(long)]
    check: bool,
    /// Also run the Ansible role on booted Debian 12 and 13; needs root, a mirror and PyPI
    #[arg(long)]
    check_ansible: bool,
    /// Also build the container image and guard a port that Docker publishes; needs root and a
    /// mirror
    #[arg(long)]
    container: bool,
    /// Also cross-build the package for arm64
    #[arg(long)]
    arm64: bool,
    /// Also build the last commit in another folder, and compare the packages and bills of
    /// materials
    #[arg(long)]
    reproducible: bool,
    /// Also list the crates in the program: a CycloneDX file beside the package
    #[arg(long)]
    sbom: bool,
    /// Take this package instead of building one; may be given several times. The bill of materials
    /// beside it is taken too
    #[arg(long, value_name = "FILE", conflicts_with_all = ["arm64", "container", "reproducible", "sbom"])]
    package: Vec<PathBuf>,
    /// Add the packages to a signed apt repository, which is made if it does not exist
    #[arg(long, value_name = "DIR")]
    repository: Option<PathBuf>,
    /// The key that signs the repository: a name or fingerprint in gpg's keyring, a gpg home, or a
    /// file with an exported secret key
    #[arg(long, value_name = "KEY", requires = "repository")]
    sign_with: Option<String>,
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
    let aop = build::release(None, |_| {})?.join("aop");
    let folder = workspace::target().join("release/dist");
    generate(&aop, &folder)?;
    Ok(folder)
}

pub(crate) fn run(dist: &Dist) -> Result<()> {
    packages::ensure_for(&packages::PACKAGING)?;
    // A build takes minutes: what is missing is said before.
    let repository = match &dist.repository {
        None => None,
        Some(folder) => {
            packages::ensure_for(&packages::REPOSITORY)?;
            let key = dist.sign_with.as_deref().context(signing::NO_KEY)?;
            Some((folder, Signer::of(key)?))
        }
    };
    if dist.reproducible {
        reproducible::require_commit()?;
    }
    let (packages, bills) = match dist.package.as_slice() {
        [] => build(dist)?,
        given => given_packages(given)?,
    };
    let of = |architecture: &str| {
        let end = format!("_{architecture}.deb");
        packages.iter().find(|package| package.to_string_lossy().ends_with(&end))
    };
    let package = of("amd64").context("there is no package for amd64")?;
    if dist.reproducible {
        reproducible::check(&[packages.clone(), bills.clone()].concat())?;
    }
    if dist.check {
        packages.iter().try_for_each(|package| lint::check(package))?;
        check::run(package, of("arm64").map(PathBuf::as_path))?;
    }
    if dist.check_ansible {
        ansible::run(package)?;
    }
    if dist.container {
        container::run(&workspace::target().join("release/dist"))?;
    }
    match repository {
        Some((folder, signer)) => {
            repository::add(folder, &packages, &bills, &signer)?;
            println!(
                "{}: signed by {}; publish this folder, and see docs/install.md for its users",
                folder.display(),
                signer.fingerprint()
            );
        }
        None => println!("install it: apt install ./{}", workspace::short(package)),
    }
    Ok(())
}

/// Builds the packages and their bills of materials.
fn build(dist: &Dist) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    object::refresh()?;
    let folder = &documents()?;
    let package = pack(folder, &[])?;
    tell(&package)?;
    let mut packages = vec![(package, AMD64)];
    if dist.arm64 {
        let package = arm64::pack(folder)?;
        tell(&package)?;
        packages.push((package, arm64::TARGET));
    } else if dist.repository.is_some()
        && let Some(package) = arm64::packed(&packages[0].0)
    {
        packages.push((package, arm64::TARGET));
    }
    let mut bills = Vec::new();
    if dist.sbom {
        for (package, target) in &packages {
            bills.push(sbom::make(package, target)?);
        }
    }
    Ok((packages.into_iter().map(|(package, _)| package).collect(), bills))
}

/// Packages of an earlier run, with the bills of materials beside them.
fn given_packages(given: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    for package in given {
        ensure!(package.is_file(), "there is no package {}", package.display());
    }
    let bills = given.iter().map(|package| package.with_extension("cdx.json"));
    Ok((given.to_vec(), bills.filter(|bill| bill.is_file()).collect()))
}

/// Generates man pages and completions from the command line of the program, and the changelog.
fn generate(aop: &Path, folder: &Path) -> Result<()> {
    let [man, man5, completions, doc] = GENERATED.map(|part| folder.join(part));
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    for folder in [&man, &man5, &completions, &doc] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    command::run(Command::new(aop).arg("man-pages").arg(&man))?;
    manual::write(&man5)?;
    changelog::write(&doc)?;
    // Debian's policy. Without a name and a time, so that the same text has the same bytes.
    for folder in [&man, &man5, &doc] {
        for page in fs::read_dir(folder)? {
            command::run(Command::new("gzip").args(["-9", "--no-name"]).arg(page?.path()))?;
        }
    }
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
    let mut pack = Command::new(installed("cargo-deb", CARGO_DEB)?);
    command::forget_own_build(&mut pack);
    pack.args(["--package", "aop-userspace", "--no-build", "--quiet", "--output"]).arg(folder);
    pack.args(options);
    pack.current_dir(workspace::root()).env("CARGO_TARGET_DIR", workspace::target());
    pack.env(build::EPOCH, build::epoch()?.to_string());
    command::run(&mut pack)?;
    let made = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut packages = made.filter(|path| path.extension().is_some_and(|kind| kind == "deb"));
    match (packages.next(), packages.next()) {
        (Some(package), None) => Ok(package),
        _ => bail!("cargo-deb left no package, or several, in {}", folder.display()),
    }
}

/// The path of a tool of cargo, which is built if it is missing.
fn installed(tool: &str, version: &str) -> Result<PathBuf> {
    let folder = workspace::tool(&format!("{tool}-{version}"));
    let program = folder.join("bin").join(tool);
    if !program.is_file() {
        let mut install = command::cargo("install");
        install.args([tool, "--version", version, "--locked", "--root"]).arg(folder);
        // Build in a temporary directory, which cargo removes.
        install.env_remove("CARGO_TARGET_DIR");
        command::run_shown(&mut install).with_context(|| format!("cannot build {tool}"))?;
    }
    Ok(program)
}
