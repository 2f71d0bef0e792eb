//! A kernel from its Debian package, downloaded and unpacked, never installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{folder, run_silent};
use crate::{command, packages};

pub(super) struct Kernel {
    /// As `uname -r` says it.
    pub(super) version: String,
    unpacked: PathBuf,
}

impl Kernel {
    pub(super) fn image(&self) -> PathBuf {
        self.unpacked.join("boot").join(format!("vmlinuz-{}", self.version))
    }

    /// A module's file, by its path below `kernel/`; newer kernels compress theirs.
    pub(super) fn module(&self, path: &str) -> Option<PathBuf> {
        let base = self.unpacked.join("lib/modules").join(&self.version).join("kernel");
        let names = [format!("{path}.ko"), format!("{path}.ko.xz")];
        names.into_iter().map(|name| base.join(name)).find(|file| file.is_file())
    }

    pub(super) fn log(&self) -> PathBuf {
        folder().join(format!("{}.log", self.version))
    }
}

/// The newest kernel of a series that the package lists name, `None` where they name none.
pub(super) fn fetch(series: &str) -> Result<Option<Kernel>> {
    if known(series)?.is_empty() {
        packages::update()?;
    }
    let Some(package) = newest(&known(series)?) else { return Ok(None) };
    let version = package.trim_start_matches("linux-image-").to_owned();
    let kernel = Kernel { unpacked: folder().join(&package), version };
    if !kernel.image().is_file() {
        download(&package, &kernel.unpacked)
            .with_context(|| format!("cannot fetch the package {package}"))?;
    }
    Ok(Some(kernel))
}

fn download(package: &str, to: &Path) -> Result<()> {
    let archives = folder().join("archives");
    fs::create_dir_all(&archives)?;
    run_silent(Command::new("apt-get").args(["download", package]).current_dir(&archives))?;
    let is_it = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(package))
    };
    let found = fs::read_dir(&archives)?.flatten().map(|entry| entry.path()).find(is_it);
    let archive = found.context("apt-get left no file")?;
    run_silent(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(to))?;
    fs::remove_file(archive).context("cannot remove the archive")
}

/// The packages of a series: `linux-image-6.1.0-56-cloud-amd64`, but neither the meta-package nor
/// the unsigned or debugging ones.
fn known(series: &str) -> Result<Vec<String>> {
    let pattern = format!("^linux-image-{}[.][0-9].*-cloud-amd64$", series.replace('.', "[.]"));
    let mut search = Command::new("apt-cache");
    let found = command::output(search.args(["search", "--names-only", &pattern]))?;
    let names = found.lines().filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

/// The one with the highest version, whose parts are numbers.
fn newest(names: &[String]) -> Option<String> {
    let numbers = |name: &String| {
        let parts = name.split(|letter: char| !letter.is_ascii_digit());
        parts.filter_map(|part| part.parse::<u32>().ok()).collect::<Vec<_>>()
    };
    names.iter().max_by_key(|name| numbers(name)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_that_of_the_highest_number_not_of_the_last_letter() {
        let names = ["6.1.0-56", "6.1.0-9", "6.1.0-106"];
        let names = names.map(|name| format!("linux-image-{name}-cloud-amd64"));
        assert_eq!(newest(&names).as_deref(), Some("linux-image-6.1.0-106-cloud-amd64"));
        let names = ["6.12.99+deb12", "6.12.117+deb12"];
        let names = names.map(|name| format!("linux-image-{name}-cloud-amd64"));
        assert_eq!(newest(&names).as_deref(), Some("linux-image-6.12.117+deb12-cloud-amd64"));
        assert_eq!(newest(&[]), None);
    }
}
