//! The key that signs a repository, used by gpg: from the operator's keyring, from another gpg
//! home, or from a file with an exported secret key.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::command;

/// How to make a key, for the refusal of an unsigned repository.
pub(super) const NO_KEY: &str = "--repository needs --sign-with: apt refuses an unsigned repository. \
     Make a key once, and keep a copy of it in a safe place:\n  \
     gpg --quick-generate-key 'aop archive <you@example.com>' ed25519 sign never\n\
     Then add `--sign-with you@example.com`. A build machine takes a file instead:\n  \
     gpg --export-secret-keys --armor you@example.com > aop-archive.secret.asc";

/// A key that gpg can sign with.
pub(super) struct Signer {
    home: Home,
    fingerprint: String,
}

enum Home {
    /// The operator's own.
    Default,
    Folder(PathBuf),
    /// Removed with its key at the end.
    Temporary(TempDir),
}

/// Which form a signature has.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// In a file of its own.
    Detached,
    /// Around the text.
    Clear,
}

impl Signer {
    /// `key` is a file with a secret key, a gpg home with one secret key, or a name of a key in the
    /// operator's keyring.
    pub(super) fn of(key: &str) -> Result<Self> {
        let path = Path::new(key);
        if path.is_file() {
            let home = temporary()?;
            let mut import = gpg(&home);
            command::run(import.arg("--import").arg(path))
                .with_context(|| format!("{key} has no secret key that gpg can read"))?;
            return Self::in_home(home, None).with_context(|| format!("in the file {key}"));
        }
        if path.is_dir() {
            return Self::in_home(Home::Folder(path.to_owned()), None);
        }
        Self::in_home(Home::Default, Some(key))
    }

    /// A key for one test.
    pub(super) fn throw_away(name: &str) -> Result<Self> {
        let home = temporary()?;
        let mut make = gpg(&home);
        make.args(["--passphrase", "", "--quick-generate-key", name]);
        command::run(make.args(["ed25519", "sign", "1d"]))?;
        Self::in_home(home, None)
    }

    fn in_home(home: Home, name: Option<&str>) -> Result<Self> {
        let mut list = gpg(&home);
        list.args(["--list-secret-keys", "--with-colons", "--fingerprint"]).args(name);
        let wanted = name.unwrap_or("any");
        let listed = command::output(&mut list)
            .with_context(|| format!("gpg has no secret key {wanted:?}, and it is no file"))?;
        let fingerprint = match fingerprints(&listed).as_slice() {
            [one] => (*one).to_owned(),
            [] => bail!("gpg has no secret key {wanted:?}"),
            several => bail!("gpg has several secret keys: name one of {}", several.join(", ")),
        };
        Ok(Self { home, fingerprint })
    }

    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Signs `file`; the signature is written to `output`.
    pub(super) fn sign(&self, file: &Path, form: Form, output: &Path) -> Result<()> {
        let mut sign = self.gpg();
        sign.args(["--yes", "--digest-algo", "SHA512", "--local-user", &self.fingerprint]);
        match form {
            Form::Detached => sign.args(["--armor", "--detach-sign"]),
            Form::Clear => sign.arg("--clearsign"),
        };
        command::run(sign.arg("--output").arg(output).arg(file))?;
        // Read it as apt will: with the public key alone.
        let mut verify = self.gpg();
        verify.arg("--verify").arg(output).stderr(Stdio::null());
        if let Form::Detached = form {
            verify.arg(file);
        }
        command::run(&mut verify).context("gpg does not accept its own signature")
    }

    /// Writes the public key in both forms that apt takes.
    pub(super) fn export(&self, binary: &Path, armored: &Path) -> Result<()> {
        for (file, form) in [(binary, "--no-armor"), (armored, "--armor")] {
            let mut export = self.gpg();
            export.args(["--yes", form, "--output"]).arg(file);
            command::run(export.args(["--export", &self.fingerprint]))?;
            let written = fs::metadata(file).map_or(0, |file| file.len());
            ensure!(written > 0, "gpg exported no key into {}", file.display());
        }
        Ok(())
    }

    fn gpg(&self) -> Command {
        gpg(&self.home)
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        // gpg leaves its agent running, with the key.
        if let Home::Temporary(home) = &self.home {
            let mut kill = Command::new("gpgconf");
            kill.arg("--homedir").arg(home.path()).args(["--kill", "all"]);
            if let Err(error) = command::run(&mut kill) {
                eprintln!("warning: {error:#}");
            }
        }
    }
}

fn gpg(home: &Home) -> Command {
    let mut gpg = Command::new("gpg");
    match home {
        Home::Default => {}
        Home::Folder(folder) => drop(gpg.arg("--homedir").arg(folder)),
        Home::Temporary(folder) => drop(gpg.arg("--homedir").arg(folder.path())),
    }
    gpg.args(["--batch", "--quiet"]);
    gpg
}

/// A gpg home that only its owner may read. Its path is short, because the path of the agent's
/// socket may have 107 bytes.
fn temporary() -> Result<Home> {
    let owner = fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix("aop-gpg").permissions(owner).tempdir()?;
    Ok(Home::Temporary(folder))
}

/// The fingerprints of primary keys: the first `fpr` record behind each `sec` record.
fn fingerprints(listed: &str) -> Vec<&str> {
    let mut lines = listed.lines();
    let mut found = Vec::new();
    while lines.any(|line| line.starts_with("sec:")) {
        let fingerprint =
            lines.next().and_then(|line| line.strip_prefix("fpr:")?.split(':').nth(8));
        found.extend(fingerprint);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_primary_keys_are_counted() {
        let one = "sec:u:255:22:0123456789ABCDEF:1:::u:::scESC:::+::ed25519:::0:\n\
                   fpr:::::::::AAAA0123456789ABCDEF:\ngrp:::::::::99:\nuid:u::::1::X::aop::::::::::0:\n\
                   ssb:u:255:18:1111:1::::::e:::+::cv25519::\nfpr:::::::::BBBB:\n";
        assert_eq!(fingerprints(one), ["AAAA0123456789ABCDEF"]);
        assert_eq!(fingerprints(&one.repeat(2)).len(), 2);
        assert!(fingerprints("").is_empty());
    }
}
