//! Installs from a repository that was signed with a throw-away key: over `file:` and over http on
//! loopback, with an upgrade. apt must refuse it without the key, with another key, and when an
//! index was changed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};

use super::{process, start, until};
use crate::{
    command,
    dist::{
        host::Host,
        newer::newer,
        repository::{self, key},
        signing::Signer,
    },
    workspace,
};

/// Where the root finds the repository, and where http serves it.
const IN_ROOT: &str = "/srv/repository";
const FILE: &str = "file:/srv/repository";
const HTTP: &str = "http://127.0.0.1:8000";

const SOURCES: &str = "etc/apt/sources.list.d/aop.sources";
const KEYRING: &str = "/etc/apt/keyrings/aop-archive-keyring.gpg";

/// How apt says that it does not believe a repository. apt of Debian 12 asks gpgv, and that of
/// Debian 13 asks sqv.
const NO_KEY: [&str; 2] = ["NO_PUBKEY", "Missing key"];
const WRONG: [&str; 3] = ["BADSIG", "Bad signature", "Message has been manipulated"];
const UNREADABLE: [&str; 2] = ["NO_PUBKEY", "Failed to parse keyring"];
const MISMATCH: [&str; 1] = ["Hash Sum mismatch"];

pub(super) fn run(host: &Host, package: &Path, for_arm64: Option<&Path>) -> Result<()> {
    let (signer, other) = (Signer::throw_away("aop test")?, Signer::throw_away("another")?);
    let folder = workspace::target().join("release/clean-repository");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let packages: Vec<PathBuf> =
        [Some(package), for_arm64].into_iter().flatten().map(Path::to_owned).collect();
    repository::add(&folder, &packages, &[], &signer)?;
    single_files(&folder)?;
    // The root has no way to Debian's mirror.
    host.run("rm -f /etc/apt/sources.list")?;
    show(host, &folder)?;

    source(host, FILE, None)?;
    refused(host, "without a key", &NO_KEY)?;
    source(host, FILE, Some("/etc/apt/keyrings/missing.gpg"))?;
    refused(host, "with a key file that is missing", &UNREADABLE)?;
    other.export(&host.path(KEYRING), &host.path("root/other.asc"))?;
    source(host, FILE, Some(KEYRING))?;
    refused(host, "with another key", &NO_KEY)?;

    fs::copy(key(&folder, "gpg"), host.path(KEYRING))?;
    spoil(host, "InRelease")?;
    refused(host, "with a changed InRelease", &WRONG)?;
    show(host, &folder)?;
    let index = host.path(IN_ROOT).join("dists/stable/main/binary-amd64");
    fs::remove_dir_all(index.join("by-hash"))?;
    for compressed in ["Packages.gz", "Packages.xz"] {
        fs::remove_file(index.join(compressed))?;
    }
    spoil(host, "main/binary-amd64/Packages")?;
    refused(host, "with a changed index", &MISMATCH)?;
    show(host, &folder)?;

    match for_arm64 {
        Some(package) => offers_arm64(host, package)?,
        None => println!("arm64: not tested, because there is no package for it"),
    }
    let begun = Instant::now();
    host.run("apt-get update")?;
    host.run("apt-get install --yes aop")?;
    start(host)?;
    let (old, before) = (version(host)?, process(host)?);
    println!("{FILE}: {old} installed and observing in {:.1} s", begun.elapsed().as_secs_f32());

    repository::add(&folder, &[newer(package)?], &[], &signer)?;
    upgrade(host, &folder)?;
    let (new, after) = (version(host)?, process(host)?);
    ensure!(old != new && before != after, "{old} in process {before} is still there: {new}");
    ensure!(host.is_guarded()?, "the upgrade detached the firewall");
    println!("{HTTP}: upgraded to {new}, handed over from process {before} to {after}");
    source(host, FILE, Some(KEYRING))?;
    show(host, &folder)?;
    host.run("apt-get update")?;
    host.run(&format!("apt-get install --yes --allow-downgrades aop={old}"))?;
    ensure!(version(host)? == old, "the older version cannot be had any more");
    println!("{FILE}: {old} is still there for a way back");

    host.run("apt-get purge --yes aop")?;
    host.stop()?;
    Ok(fs::remove_dir_all(&folder)?)
}

/// Somebody fetches the files of a release, without apt, and checks them by the signed list.
fn single_files(folder: &Path) -> Result<()> {
    let fetched = tempfile::tempdir()?;
    let script = "cp \"$1\"/SHA256SUMS* \"$1\"/*keyring* \"$1\"/pool/main/a/aop/* . && \
         gpgv --quiet --keyring ./aop-archive-keyring.gpg SHA256SUMS.asc SHA256SUMS && \
         sha256sum --check --strict SHA256SUMS";
    let mut check = Command::new("sh");
    check.args(["-ec", script, "sh"]).arg(folder).current_dir(&fetched);
    let told = command::output(check.stderr(Stdio::null()))?;
    println!("SHA256SUMS: signed; {} files are as it says", told.lines().count());
    Ok(())
}

/// apt of an arm64 machine reads its own index, and takes the package: size and hashes are right.
fn offers_arm64(host: &Host, package: &Path) -> Result<()> {
    let apt = "apt-get -o APT::Architecture=arm64 -o APT::Architectures=arm64";
    host.run(&format!("{apt} update"))?;
    // A folder that the user of apt's methods may write to.
    let place = "/var/cache/apt/archives/partial";
    host.run(&format!("env --chdir={place} {apt} download aop"))?;
    let name = package.file_name().context("a package without a name")?;
    let taken = host.path(place).join(name);
    ensure!(
        fs::read(&taken).with_context(|| format!("apt took no {}", taken.display()))?
            == fs::read(package)?,
        "apt took another file than {}",
        package.display()
    );
    host.run("rm -rf /var/lib/apt/lists")?;
    println!("{FILE}: apt for arm64 takes {}", name.display());
    Ok(())
}

/// Fetches the index over http by its hash, and upgrades.
fn upgrade(host: &Host, folder: &Path) -> Result<()> {
    source(host, HTTP, Some(KEYRING))?;
    let log = folder.join("http.log");
    let _server = Server::start(host, folder, &log)?;
    until(|| Ok(host.ask("apt-get update")?.1.contains("Get:")))?;
    let asked = fs::read_to_string(&log)?;
    ensure!(asked.contains("/by-hash/SHA256/"), "apt fetched no index by its hash: {asked}");
    host.run("apt-get install --yes --only-upgrade aop")?;
    Ok(())
}

/// Python's http server in the network of the root.
struct Server(Child);

impl Server {
    fn start(host: &Host, folder: &Path, log: &Path) -> Result<Self> {
        let line = "exec python3 -m http.server --bind 127.0.0.1 --directory \"$0\" 8000 2>\"$1\"";
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).args([folder, log]);
        Ok(Self(host.beside(&mut shell)?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("warning: the http server does not end: {error}");
        }
    }
}

/// Copies the repository into the root.
fn show(host: &Host, folder: &Path) -> Result<()> {
    let place = host.path(IN_ROOT);
    fs::create_dir_all(&place)?;
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--no-target-directory"]).arg(folder).arg(&place);
    command::run(&mut copy)
}

/// Writes the source for apt, as docs/install.md says, and forgets the indexes of another.
fn source(host: &Host, uri: &str, key: Option<&str>) -> Result<()> {
    let signed = key.map(|key| format!("Signed-By: {key}\n")).unwrap_or_default();
    let text = format!("Types: deb\nURIs: {uri}\nSuites: stable\nComponents: main\n{signed}");
    fs::write(host.path(SOURCES), text)?;
    host.run("rm -rf /var/lib/apt/lists")?;
    Ok(())
}

/// apt must say one of these words, and must not offer the package.
fn refused(host: &Host, what: &str, words: &[&str]) -> Result<()> {
    let (good, told) = host.ask("apt-get update")?;
    ensure!(!good, "apt takes the repository {what}: {told}");
    let reason = told.lines().find(|line| words.iter().any(|word| line.contains(word)));
    let reason =
        reason.with_context(|| format!("{what}, apt says nothing of {words:?}: {told}"))?;
    let (good, told) = host.ask("apt-get install --yes aop")?;
    ensure!(!good && !host.has("/usr/bin/aop"), "apt installs aop {what}: {told}");
    println!("refused {what}: {}", reason.trim());
    Ok(())
}

/// Changes a byte of a file in the root's copy of the repository.
fn spoil(host: &Host, file: &str) -> Result<()> {
    let path = host.path(IN_ROOT).join("dists/stable").join(file);
    let text = fs::read_to_string(&path)?;
    let changed = text.replacen("aop", "aoq", 1);
    ensure!(changed != text, "{file} has no place to change");
    Ok(fs::write(path, changed)?)
}

fn version(host: &Host) -> Result<String> {
    host.run("dpkg-query --show --showformat=${Version} aop")
}
