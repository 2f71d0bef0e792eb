//! Downloads and unpacks a kernel from its Debian package, without installing it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{archive::PackageArchive, folder, run_silent};

pub(super) struct Kernel {
    /// The version as `uname -r` prints it.
    pub(super) version: String,
    unpacked: PathBuf,
}

impl Kernel {
    pub(super) fn image(&self) -> PathBuf {
        self.unpacked.join("boot").join(format!("vmlinuz-{}", self.version))
    }

    /// The file of a module, by its path below `kernel/`. Newer kernels compress their modules.
    pub(super) fn module(&self, path: &str) -> Option<PathBuf> {
        let base = self.unpacked.join("lib/modules").join(&self.version).join("kernel");
        let names = [format!("{path}.ko"), format!("{path}.ko.xz")];
        names.into_iter().map(|name| base.join(name)).find(|file| file.is_file())
    }

    pub(super) fn log(&self) -> PathBuf {
        folder().join(format!("{}.log", self.version))
    }
}

/// Fetches the newest kernel of a series: from this machine's package lists, else from those of the
/// release that has every series. Lists that are missing or outdated are fetched first.
///
/// # Errors
/// No list has such a kernel, or the package cannot be fetched.
pub(super) fn fetch(series: &str) -> Result<Kernel> {
    let machine = PackageArchive::machine();
    match newest_of(&machine, series)? {
        Some(package) => match unpack(&machine, &package) {
            Ok(kernel) => return Ok(kernel),
            Err(error) => eprintln!("warning: {error:#}; fetching the package lists"),
        },
        None => eprintln!("no kernel {series} in the package lists; fetching the lists"),
    }
    machine.update()?;
    if let Some(package) = newest_of(&machine, series)? {
        return unpack(&machine, &package);
    }
    let release = PackageArchive::of_every_series()?;
    release.update()?;
    let package = newest_of(&release, series)?.with_context(|| {
        format!(
            "neither this machine's package lists nor those of {} have a \
             linux-image-{series}.*-cloud-amd64",
            release.name()
        )
    })?;
    unpack(&release, &package)
}

fn unpack(archive: &PackageArchive, package: &str) -> Result<Kernel> {
    let version = package.trim_start_matches("linux-image-").to_owned();
    let kernel = Kernel { unpacked: folder().join(package), version };
    if !kernel.image().is_file() {
        download(archive, package, &kernel.unpacked)
            .with_context(|| format!("cannot fetch the package {package}"))?;
    }
    Ok(kernel)
}

fn download(archive: &PackageArchive, package: &str, to: &Path) -> Result<()> {
    let downloads = folder().join("archives");
    fs::create_dir_all(&downloads)?;
    run_silent(archive.get("download").arg(package).current_dir(&downloads))?;
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(&format!("{package}_")) && name.ends_with(".deb")
    };
    let found = fs::read_dir(&downloads)?.flatten().map(|entry| entry.path()).find(is_it);
    let file = found.context("apt-get left no file")?;
    run_silent(std::process::Command::new("dpkg-deb").arg("--extract").arg(&file).arg(to))?;
    fs::remove_file(file).context("cannot remove the downloaded file")
}

/// The newest package of a series, such as `linux-image-6.1.0-56-cloud-amd64`. The pattern excludes
/// the meta-package and the unsigned and debug packages.
fn newest_of(archive: &PackageArchive, series: &str) -> Result<Option<String>> {
    let pattern = format!("^linux-image-{}[.][0-9].*-cloud-amd64$", series.replace('.', "[.]"));
    Ok(newest(&archive.names(&pattern)?))
}

/// The name with the highest version, compared by its numbers.
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
    fn versions_are_compared_as_numbers_not_as_text() {
        let names = ["6.1.0-56", "6.1.0-9", "6.1.0-106"];
        let names = names.map(|name| format!("linux-image-{name}-cloud-amd64"));
        assert_eq!(newest(&names).as_deref(), Some("linux-image-6.1.0-106-cloud-amd64"));
        let names = ["6.12.99+deb12", "6.12.117+deb12"];
        let names = names.map(|name| format!("linux-image-{name}-cloud-amd64"));
        assert_eq!(newest(&names).as_deref(), Some("linux-image-6.12.117+deb12-cloud-amd64"));
        assert_eq!(newest(&[]), None);
    }
}
