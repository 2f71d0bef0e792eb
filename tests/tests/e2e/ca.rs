//! `aop ca`: other programs accept what it makes, in files and in handshakes; bad input is refused
//! with its cure, and nothing is written over.

mod files;
mod handshakes;
mod openssl;
mod refusals;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::child::{self, CommandOutput};
use aop_tests::pki::Credentials;
use aop_tests::{Lab, TestDaemon};
use serde_json::Value;

use crate::stage::in_lab;

/// Two keys of RSA take some seconds on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const KINDS: [&str; 3] = ["ecdsa-p256", "rsa-3072", "ml-dsa-44"];

/// A directory of its own, in which `aop ca` runs.
struct Folder {
    program: PathBuf,
    path: PathBuf,
}

impl Folder {
    fn new(lab: &Lab) -> Result<Self> {
        let path = lab.dir().join("ca");
        fs::create_dir(&path)?;
        Ok(Self { program: TestDaemon::prepare(lab)?.program().to_owned(), path })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn read(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.path(name)).with_context(|| name.to_owned())
    }

    /// Writes a file that only root can read.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.path(name), text)?;
        chmod(&self.path(name), 0o600)
    }

    /// The words of `line` as a command in this directory, without a terminal.
    fn command(&self, program: impl AsRef<Path>, line: &str) -> Command {
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(program.as_ref());
        command.args(line.split_whitespace()).current_dir(&self.path);
        command
    }

    /// `aop ca LINE`.
    fn run(&self, line: &str) -> Result<CommandOutput> {
        child::finish(self.command(&self.program, &format!("ca {line}")), &[], PATIENCE)
    }

    /// `aop ca LINE`, which succeeds. Returns its output.
    fn aop(&self, line: &str) -> Result<String> {
        Ok(self.run(line)?.success().with_context(|| format!("aop ca {line}"))?.text())
    }

    fn json(&self, line: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.aop(&format!("{line} --json"))?)?)
    }

    /// `aop ca LINE`, which fails with all of `words` in its error, and writes no file.
    fn refuses(&self, line: &str, words: &[&str]) -> Result<()> {
        let before = self.listing()?;
        let done = self.run(line)?;
        ensure!(done.code == 1 && done.output.is_empty(), "aop ca {line}: {done:?}");
        for word in words {
            ensure!(done.errors.contains(word), "aop ca {line}: no {word:?} in {}", done.errors);
        }
        ensure!(self.listing()? == before, "aop ca {line} left {:?}", self.listing()?);
        Ok(())
    }

    /// The `openssl` program, which succeeds.
    fn openssl(&self, line: &str) -> Result<String> {
        let done = child::finish(self.command("openssl", line), &[], PATIENCE)?;
        Ok(done.success().with_context(|| format!("openssl {line}"))?.text())
    }

    /// The files in it, with their bytes.
    fn listing(&self) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.is_file() {
                files.push((path.clone(), fs::read(path)?));
            }
        }
        files.sort();
        Ok(files)
    }

    fn credentials(&self, name: &str) -> Credentials {
        let [certificate, key] = ["pem", "key"].map(|it| self.path(&format!("{name}.{it}")));
        Credentials { certificate, key }
    }
}

fn chmod(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

fn in_folder(claim: impl FnOnce(&Folder) -> Result<()>) {
    in_lab(|lab| claim(&Folder::new(lab)?));
}
