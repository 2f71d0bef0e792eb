//! What the rivals have in common: a program that serves in the foreground, from files of its own
//! below the world's directory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use aop_tests::{Child, Process, World, child, wait};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::server::LISTEN;

const PATIENCE: Duration = Duration::from_secs(10);

/// Ends when dropped, and takes its workers along. It has a session of its own, as aop's processes
/// have theirs and a service manager's: the scheduler weighs sessions, and that shows in CPU time.
pub(crate) struct Rival(Child);

/// The first line that a program says of its version.
///
/// # Errors
/// When it is not installed.
pub(crate) fn version(program: &str, flag: &str) -> Result<String> {
    let path = find(program)?;
    let mut command = Command::new(path);
    command.arg(flag);
    let said = child::finish(command, &[], PATIENCE)?;
    let text = String::from_utf8_lossy(&said.output).into_owned() + &said.errors;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

pub(crate) fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders
        .find_map(|folder| Some(folder.join(program)).filter(|file| file.is_file()))
        .with_context(|| "not installed (cargo xtask setup --bench)")
}

/// An empty directory for a program's files, writable for whomever it becomes.
pub(crate) fn directory(world: &World, program: &str) -> Result<PathBuf> {
    let dir = world.dir().join(program);
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir(&dir)?;
    Ok(dir)
}

/// The server's certificate and key in one file, as HAProxy and hitch want them.
pub(crate) fn identity(world: &World, dir: &Path) -> Result<PathBuf> {
    let server = &world.pki.server;
    let both = fs::read_to_string(&server.key)? + &fs::read_to_string(&server.certificate)?;
    let path = dir.join("server.pem");
    fs::write(&path, both)?;
    Ok(path)
}

impl Rival {
    /// Runs `program` with `arguments` in the origin until it listens.
    pub(crate) fn start(
        world: &World,
        program: &str,
        arguments: &[&str],
        dir: &Path,
    ) -> Result<Self> {
        let mut line = vec![find("setsid")?, "--wait".into(), find(program)?];
        line.extend(arguments.iter().map(PathBuf::from));
        let mut child = Child::serve(world.origin(), &line, &dir.join("log"))?;
        let address = LISTEN.parse()?;
        let listens = wait::until(&format!("{program} listens"), PATIENCE, || {
            let ended = child.ended().is_some();
            let listens = !ended && world.origin().connect(address, PATIENCE).is_ok();
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
        // Told, so that the workers go too; the world takes what is left.
        let program = self.process().children().ok().and_then(|children| children.first().copied());
        if let Some(Process(pid)) = program {
            kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM).ok();
        }
        self.0.wait(PATIENCE).ok();
    }
}
