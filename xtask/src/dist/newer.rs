//! The same package with a higher version, for tests of an upgrade.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{command, workspace};

/// Packs the files of `package` again; returns the path.
pub(super) fn newer(package: &Path) -> Result<PathBuf> {
    let folder = workspace::target().join("release/newer");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let files = folder.join("files");
    fs::create_dir_all(&files)?;
    let mut extract = Command::new("dpkg-deb");
    command::run(extract.arg("--raw-extract").arg(package).arg(&files))?;
    let control = files.join("DEBIAN/control");
    let text = fs::read_to_string(&control)?;
    let higher = |line: &str| match line.starts_with("Version: ") {
        true => format!("{line}+1\n"),
        false => format!("{line}\n"),
    };
    fs::write(&control, text.lines().map(higher).collect::<String>())?;
    let old = version(package)?;
    let name = package.file_name().context("a package without a name")?.to_string_lossy();
    let new = folder.join(name.replacen(&old, &format!("{old}+1"), 1));
    let mut pack = Command::new("dpkg-deb");
    // Compressing well takes a minute, and tests nothing.
    pack.args(["-Znone", "--root-owner-group", "--build"]).arg(&files).arg(&new);
    command::output(&mut pack)?;
    ensure!(version(&new)? == format!("{old}+1"), "{} has another version", new.display());
    Ok(new)
}

/// The version that the package itself names.
pub(super) fn version(package: &Path) -> Result<String> {
    let mut field = Command::new("dpkg-deb");
    let version = command::output(field.arg("--field").arg(package).arg("Version"))?;
    Ok(version.trim().to_owned())
}
