//! Downloads and unpacks a kernel from its Debian package, without installing it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Series, archive::PackageArchive, folder, run_silent};

pub(super) struct Kernel {
    /// The version as `uname -r` prints it.
    pub(super) version: String,
    unpacked: PathBuf,
}

impl Kernel {
    /// The image. Its place depends on the release.
    pub(super) fn image(&self) -> Result<PathBuf> {
        let version = &self.version;
        let places = [
            self.unpacked.join("boot").join(format!("vmlinuz-{version}")),
            self.unpacked.join("usr/lib/modules").join(version).join("vmlinuz"),
        ];
        let image = places.into_iter().find(|path| path.is_file());
        image.with_context(|| format!("{}: no kernel image", self.unpacked.display()))
    }

    /// The folder that contains `lib/modules`.
    pub(super) fn base(&self) -> PathBuf {
        let usr = self.unpacked.join("usr");
        if usr.join("lib/modules").is_dir() { usr } else { self.unpacked.clone() }
    }

    pub(super) fn log(&self) -> PathBuf {
        folder().join(format!("{}.log", self.version))
    }
}

/// Fetches the newest kernel of a series: from this machine's package lists, else from those of the
/// release that has the series. Lists that are missing or outdated are fetched first.
///
/// # Errors
/// No list has such a kernel, or the package cannot be fetched.
pub(super) fn fetch(series: &Series) -> Result<Kernel> {
    let release = PackageArchive::of_release(series.release, series.architecture)?;
    if series.version.is_empty() || series.architecture != "amd64" {
        // This machine's lists have none, or an older one.
        release.update()?;
        return fetch_from(&release, series)?.with_context(|| {
            format!("the package lists of {} have no linux-image", release.name())
        });
    }
    let machine = PackageArchive::machine();
    match fetch_from(&machine, series) {
        Ok(Some(kernel)) => return Ok(kernel),
        Ok(None) => eprintln!("no kernel {} in the package lists; fetching the lists", series.name),
        Err(error) => eprintln!("warning: {error:#}; fetching the package lists"),
    }
    machine.update()?;
    if let Some(kernel) = fetch_from(&machine, series)? {
        return Ok(kernel);
    }
    release.update()?;
    fetch_from(&release, series)?.with_context(|| {
        format!(
            "neither this machine's package lists nor those of {} have a linux-image-{}*-{}",
            release.name(),
            series.version,
            series.architecture
        )
    })
}

/// The newest kernel of a series in an archive, if it has one.
fn fetch_from(archive: &PackageArchive, series: &Series) -> Result<Option<Kernel>> {
    let names = archive.names(&format!("^linux-image-[0-9].*-{}$", series.architecture))?;
    let Some(version) = newest(&names, series.version) else { return Ok(None) };
    let kernel = Kernel { unpacked: folder().join(format!("linux-{version}")), version };
    let modules = kernel.base().join("lib/modules").join(&kernel.version).join("kernel");
    if kernel.image().is_err() || !modules.is_dir() {
        // Newer releases put image and modules into packages of their own.
        let pattern = format!("^linux-(image|binary|modules)-{}$", quoted(&kernel.version));
        for package in archive.names(&pattern)? {
            download(archive, &package, &kernel.unpacked)
                .with_context(|| format!("cannot fetch the package {package}"))?;
        }
    }
    kernel.image()?;
    Ok(Some(kernel))
}

/// A version as a regular expression.
fn quoted(version: &str) -> String {
    version.replace('.', "[.]").replace('+', "[+]")
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

/// The highest version, compared by its numbers, that begins with `start`: such as
/// `6.1.0-56-amd64`. Meta-packages, whose versions are shorter, and special kernels are not meant.
fn newest(packages: &[String], start: &str) -> Option<String> {
    let numbers = |version: &str| {
        let parts = version.split(|letter: char| !letter.is_ascii_digit());
        parts.filter_map(|part| part.parse::<u32>().ok()).collect::<Vec<_>>()
    };
    let usual = |version: &&str| {
        let special = version.contains("-cloud-") || version.contains("-rt-");
        !special && version.split('.').count() > 2 && version.starts_with(start)
    };
    let versions = packages.iter().filter_map(|name| name.strip_prefix("linux-image-"));
    versions.filter(usual).max_by_key(|version| numbers(version)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers_not_as_text() {
        let names = ["6.1.0-56", "6.1.0-9", "6.1.0-106", "6.12.117+deb12", "6.12.99+deb12"];
        let names = names.map(|version| format!("linux-image-{version}-amd64"));
        assert_eq!(newest(&names, "6.1.").as_deref(), Some("6.1.0-106-amd64"));
        assert_eq!(newest(&names, "6.12.").as_deref(), Some("6.12.117+deb12-amd64"));
        assert_eq!(newest(&names, "").as_deref(), Some("6.12.117+deb12-amd64"));
        assert_eq!(newest(&names, "5.").as_deref(), None);
    }

    #[test]
    fn meta_packages_and_special_kernels_are_not_meant() {
        let names = ["6.12-amd64", "6.12.9-cloud-amd64", "6.12.9-rt-amd64", "6.12.8-amd64"];
        let names = names.map(|version| format!("linux-image-{version}"));
        assert_eq!(newest(&names, "6.12").as_deref(), Some("6.12.8-amd64"));
    }
}
