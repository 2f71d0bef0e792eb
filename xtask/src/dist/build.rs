//! Release builds whose bytes depend neither on the folder of the sources, nor on the user's home,
//! nor on the time: paths are mapped to fixed names, and times are that of the last commit.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{command, workspace};

/// The variable that names the time of a build:
/// <https://reproducible-builds.org/specs/source-date-epoch/>.
pub(super) const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Builds aop and returns the folder of the binary. `target` is the triple for which `prepare`
/// makes the build, or none for the machine's own.
pub(super) fn release(target: Option<&str>, prepare: impl FnOnce(&mut Command)) -> Result<PathBuf> {
    let mut build = command::cargo("build");
    build.args(["--release", "--locked", "--bin", "aop"]);
    // The variable with the separated flags takes precedence over the other.
    build.env("CARGO_ENCODED_RUSTFLAGS", path_maps()?).env_remove("RUSTFLAGS");
    prepare(&mut build);
    let mut folder = workspace::target();
    if let Some(target) = target {
        folder.push(target);
    }
    command::run_quiet_when_fresh(&mut build)?;
    Ok(folder.join("release"))
}

/// The time of the sources, in seconds since 1970: that of the variable, else of the last commit.
pub(super) fn epoch() -> Result<u64> {
    let told = match env::var(EPOCH) {
        Ok(told) => told,
        Err(_) => {
            let mut log = Command::new("git");
            log.args(["log", "-1", "--format=%ct"]).current_dir(workspace::root());
            command::output(&mut log).with_context(|| {
                format!("the time of the last commit is unknown; set {EPOCH} to a time in seconds")
            })?
        }
    };
    let told = told.trim();
    told.parse().with_context(|| format!("{EPOCH} is {told:?}, and not a time in seconds"))
}

/// Flags that replace the folders of this machine in messages of panics. Of several maps that
/// match, rustc takes the last.
fn path_maps() -> Result<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let registry = home.context("there is no home directory")?.join("registry/src");
    let (sysroot, commit) = compiler()?;
    let maps = [
        (workspace::root().to_owned(), ".".to_owned()),
        (workspace::target(), "target".to_owned()),
        (registry, "/cargo".to_owned()),
        // Without the component rust-src, the compiler writes this name by itself.
        (sysroot.join("lib/rustlib/src/rust"), format!("/rustc/{commit}")),
    ];
    let flag =
        |(from, to): &(PathBuf, String)| format!("--remap-path-prefix={}={to}", from.display());
    Ok(maps.iter().map(flag).collect::<Vec<_>>().join("\x1f"))
}

/// The folder of the compiler, and the commit that it was made from.
fn compiler() -> Result<(PathBuf, String)> {
    let rustc = |arguments: &[&str]| {
        let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        command::output(Command::new(program).args(arguments).current_dir(workspace::root()))
    };
    let version = rustc(&["-vV"])?;
    let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));
    let sysroot = rustc(&["--print", "sysroot"])?;
    ensure!(!sysroot.trim().is_empty(), "rustc does not name its folder");
    Ok((Path::new(sysroot.trim()).to_owned(), commit.unwrap_or("unknown").to_owned()))
}
