//! A rival: another server that runs in the foreground, with files in the directory of the lab.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use aop_tests::{Child, Lab, Process, child, wait};
use nix::sys::signal::Signal;

use crate::server::LISTEN;

const PATIENCE: Duration = Duration::from_secs(10);

/// A running rival. It stops when dropped, with its workers. It has its own session, as aop has and
/// as under a service manager, because the scheduler shares CPU time between sessions.
pub(crate) struct Rival(Child);

/// The first line of the version text of a program.
///
/// # Errors
/// When it is not installed.
pub(crate) fn version(program: &str, flag: &str) -> Result<String> {
    let path = find(program)?;
    let mut command = Command::new(path);
    command.arg(flag);
    let said = child::finish(command, &[], PATIENCE)?;
    let text = said.text() + &said.errors;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

pub(crate) fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders
        .find_map(|folder| Some(folder.join(program)).filter(|file| file.is_file()))
        .with_context(|| "not installed (cargo xtask setup --bench)")
}

/// An empty directory for the files of a program.
pub(crate) fn directory(lab: &Lab, program: &str) -> Result<PathBuf> {
    let dir = lab.dir().join(program);
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir(&dir)?;
    Ok(dir)
}

/// The server's certificate and key in one file, as HAProxy and hitch want them.
pub(crate) fn identity(lab: &Lab, dir: &Path) -> Result<PathBuf> {
    let server = &lab.pki.server;
    let both = fs::read_to_string(&server.key)? + &fs::read_to_string(&server.certificate)?;
    let path = dir.join("server.pem");
    fs::write(&path, both)?;
    Ok(path)
}

impl Rival {
    /// Runs `program` with `arguments` in the origin until it listens.
    pub(crate) fn start(lab: &Lab, program: &str, arguments: &[&str], dir: &Path) -> Result<Self> {
        Self::start_at(lab, program, arguments, dir, LISTEN)
    }

    /// The same, for a program that listens on another address.
    pub(crate) fn start_at(
        lab: &Lab,
        program: &str,
        arguments: &[&str],
        dir: &Path,
        address: &str,
    ) -> Result<Self> {
        let mut line = vec![find("setsid")?, "--wait".into(), find(program)?];
        line.extend(arguments.iter().map(PathBuf::from));
        let mut child = Child::serve(lab.origin(), &line, &dir.join("log"))?;
        let address = address.parse()?;
        let listens = wait::until(&format!("{program} listens"), PATIENCE, || {
            let ended = child.ended().is_some();
            let listens = !ended && lab.origin().connect(address, PATIENCE).is_ok();
            (ended || listens).then_some(listens)
        });
        match listens {
            Ok(true) => Ok(Self(child)),
            Ok(false) => bail!("{program} did not start:\n{}", child.log()),
            Err(late) => Err(late.context(child.log())),
        }
    }

    pub(crate) fn process(&self) -> Process {
        Process(self.0.pid())
    }

    pub(crate) fn log(&self) -> String {
        self.0.log()
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // SIGTERM, so that the workers exit too. The lab removes what is left.
        let program = self.process().children().ok().and_then(|children| children.first().copied());
        if let Some(program) = program {
            program.signal(Signal::SIGTERM).ok();
        }
        self.0.wait(PATIENCE).ok();
    }
}
