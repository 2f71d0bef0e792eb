//! Builds the last commit a second time, in another folder and from nothing but the tools, and
//! compares the packages byte by byte.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{command, workspace};

/// Refuses a source tree that is not that of the last commit.
pub(super) fn require_commit() -> Result<()> {
    let mut status = Command::new("git");
    status.args(["status", "--porcelain"]).current_dir(workspace::root());
    let changed = command::output(&mut status)?;
    ensure!(
        changed.is_empty(),
        "the second build is made from the last commit: commit these first\n{changed}"
    );
    Ok(())
}

/// `files` are packages and bills of materials of the first build.
pub(super) fn check(files: &[PathBuf]) -> Result<()> {
    let folder = workspace::target().join("reproducible");
    remove(&folder)?;
    let mut clone = Command::new("git");
    clone.args(["clone", "--quiet"]).arg(workspace::root()).arg(&folder);
    command::run(&mut clone)?;
    let target = folder.join("target");
    fs::create_dir_all(&target)?;
    // bpf-linker and cargo-deb, whose versions are pinned.
    symlink(workspace::tool(""), target.join("tools"))?;
    let mut dist = command::cargo("xtask");
    dist.arg("dist").current_dir(&folder).env("CARGO_TARGET_DIR", &target);
    let names = files.iter().map(|file| file.to_string_lossy());
    for (part, option) in [("_arm64.deb", "--arm64"), (".cdx.json", "--sbom")] {
        if names.clone().any(|name| name.ends_with(part)) {
            dist.arg(option);
        }
    }
    command::run_shown(&mut dist).context("the second build failed")?;

    for first in files {
        let second = target.join(first.strip_prefix(workspace::target())?);
        if fs::read(first)? != fs::read(&second)? {
            let parts = match first.extension().is_some_and(|kind| kind == "deb") {
                true => differing(&contents(first)?, &contents(&second)?),
                false => vec!["its text".to_owned()],
            };
            bail!("two builds of {} differ in {}", workspace::short(first), parts.join(", "));
        }
        println!("reproducible: {}", workspace::short(first));
    }
    println!("a second build in another folder gave the same bytes");
    remove(&folder)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// All files of a package, with those of its control archive.
fn contents(package: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let folder = tempfile::Builder::new().prefix("aop-package").tempdir()?;
    let mut extract = Command::new("dpkg-deb");
    command::run(extract.arg("--raw-extract").arg(package).arg(folder.path()))?;
    let mut found = BTreeMap::new();
    read(folder.path(), folder.path(), &mut found)?;
    Ok(found)
}

fn read(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read(root, &path, found)?;
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).to_owned();
            found.insert(name, fs::read(&path)?);
        }
    }
    Ok(())
}

/// The names of files that only one has, or that have other bytes. None: the archives around the
/// files differ, in an owner, a time or an order.
fn differing(
    first: &BTreeMap<PathBuf, Vec<u8>>,
    second: &BTreeMap<PathBuf, Vec<u8>>,
) -> Vec<String> {
    let names = first.keys().chain(second.keys());
    let mut found: Vec<_> = names
        .filter(|name| first.get(*name) != second.get(*name))
        .map(|name| name.display().to_string())
        .collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        found.push("the archive around their files".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: &[(&str, &str)]) -> BTreeMap<PathBuf, Vec<u8>> {
        all.iter().map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn changed_and_missing_files_are_named_once() {
        let first = files(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let second = files(&[("a", "1"), ("b", "2"), ("d", "1")]);
        assert_eq!(differing(&first, &second), ["b", "c", "d"]);
        assert_eq!(differing(&first, &first), ["the archive around their files"]);
    }
}
