//! A signed apt repository: `pool/` with the packages of all versions, and `dists/stable/`, whose
//! signed Release file names every index by its hash.
//!
//! It has no `Valid-Until`. That field would bound how long a mirror can withhold an update. But
//! then somebody must sign anew before each bound, and `apt update` fails on every host when nobody
//! does; this repository is signed when there is a release.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::signing::{Form, Signer};
use crate::command;

const SUITE: &str = "stable";
const COMPONENT: &str = "main";
/// The architectures that have an index. One without a package has an empty index.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];
const POOL: &str = "pool/main/a/aop";
const KEY: &str = "aop-archive-keyring";

/// Adds packages, and their bills of materials, to the repository in `folder`, which is made if it
/// does not exist; then signs it.
pub(super) fn add(
    folder: &Path,
    packages: &[PathBuf],
    bills: &[PathBuf],
    signer: &Signer,
) -> Result<()> {
    let pool = folder.join(POOL);
    fs::create_dir_all(&pool).with_context(|| format!("cannot make {}", pool.display()))?;
    for package in packages {
        take(&pool, package)?;
    }
    for bill in bills {
        fs::copy(bill, folder.join(bill.file_name().context("a bill without a name")?))?;
    }
    index(folder, signer)?;
    signer.export(&key(folder, "gpg"), &key(folder, "asc"))?;
    checksums(folder, signer)
}

/// The public key beside the repository; `form` is `gpg` or `asc`.
pub(super) fn key(folder: &Path, form: &str) -> PathBuf {
    folder.join(KEY).with_extension(form)
}

/// Copies a package into the pool. A host that has installed a version never looks at its bytes
/// again, so a version has the same bytes for ever.
fn take(pool: &Path, package: &Path) -> Result<()> {
    let place = pool.join(package.file_name().context("a package without a name")?);
    if place.exists() {
        let same = fs::read(&place)? == fs::read(package)?;
        ensure!(
            same,
            "{} is in the repository with other bytes: raise the version",
            place.display()
        );
        return Ok(());
    }
    fs::copy(package, &place)
        .with_context(|| format!("cannot copy {} to {}", package.display(), place.display()))?;
    Ok(())
}

/// Makes the new indexes beside the old ones, and puts them in their place when they are signed.
fn index(folder: &Path, signer: &Signer) -> Result<()> {
    let suite = folder.join("dists").join(SUITE);
    let (new, old) = (suite.with_extension("new"), suite.with_extension("old"));
    for left in [&new, &old] {
        if left.exists() {
            fs::remove_dir_all(left)
                .with_context(|| format!("cannot remove {}", left.display()))?;
        }
    }
    for architecture in ARCHITECTURES {
        let place = format!("{COMPONENT}/binary-{architecture}");
        write_index(folder, architecture, &new.join(&place))?;
        let earlier = suite.join(&place).join("by-hash");
        if earlier.exists() {
            command::run(Command::new("cp").arg("--archive").arg(earlier).arg(new.join(&place)))?;
        }
    }
    let release = new.join("Release");
    let text = release_text(&new)?;
    fs::write(&release, text)?;
    signer.sign(&release, Form::Detached, &new.join("Release.gpg"))?;
    signer.sign(&release, Form::Clear, &new.join("InRelease"))?;
    if suite.exists() {
        fs::rename(&suite, &old)?;
    }
    fs::rename(&new, &suite)?;
    if old.exists() {
        fs::remove_dir_all(&old)?;
    }
    Ok(())
}

fn write_index(folder: &Path, architecture: &str, place: &Path) -> Result<()> {
    fs::create_dir_all(place)?;
    let mut scan = Command::new("apt-ftparchive");
    // Relative, because the index names each package as it is found here.
    scan.current_dir(folder).args(["--arch", architecture, "packages", POOL]);
    scan.args(OPTIONS);
    let index = place.join("Packages");
    fs::write(&index, command::output(&mut scan)?)?;
    // Without a name and a time, so that the same index has the same hash.
    command::run(Command::new("gzip").args(["-9", "--keep", "--no-name"]).arg(&index))?;
    command::run(Command::new("xz").args(["-6", "--keep", "--threads=1"]).arg(&index))
}

/// Options of apt-ftparchive. With one hash there is one folder of by-hash files: apt asks for the
/// strongest hash in the Release file. Of these files, those of the last ten runs stay: a host that
/// has read an older Release file finds the indexes that it names.
const OPTIONS: [&str; 5] = [
    "-o=APT::FTPArchive::MD5=false",
    "-o=APT::FTPArchive::SHA1=false",
    "-o=APT::FTPArchive::SHA512=false",
    "-o=APT::FTPArchive::DoByHash=true",
    "-o=APT::FTPArchive::By-Hash-Keep=30",
];

fn release_text(suite: &Path) -> Result<String> {
    let mut release = Command::new("apt-ftparchive");
    release.args(OPTIONS);
    let fields = [
        ("Origin", "aop"),
        ("Label", "aop"),
        ("Suite", SUITE),
        ("Codename", SUITE),
        ("Components", COMPONENT),
        ("Description", "aop for Debian 12 and later"),
        ("Acquire-By-Hash", "yes"),
    ];
    for (field, value) in fields.into_iter().chain([("Architectures", &*ARCHITECTURES.join(" "))]) {
        release.arg(format!("-o=APT::FTPArchive::Release::{field}={value}"));
    }
    command::output(release.arg("release").arg(suite))
}

/// Writes SHA256SUMS over the packages, the key and the bills of materials, and signs it. It has
/// their names without folders: it is for those who fetch single files, and then have them in one.
fn checksums(folder: &Path, signer: &Signer) -> Result<()> {
    let mut sums = String::new();
    for below in [folder.join(POOL), folder.to_owned()] {
        let mut files = Vec::new();
        for entry in fs::read_dir(&below)? {
            let name = PathBuf::from(entry?.file_name());
            if name.extension().is_some_and(|kind| kind == "deb" || kind == "json")
                || name.file_stem().is_some_and(|stem| stem == KEY)
            {
                files.push(name);
            }
        }
        files.sort();
        let mut sum = Command::new("sha256sum");
        sums += &command::output(sum.arg("--").args(&files).current_dir(below))?;
    }
    let list = folder.join("SHA256SUMS");
    fs::write(&list, sums)?;
    signer.sign(&list, Form::Detached, &folder.join("SHA256SUMS.asc"))
}
