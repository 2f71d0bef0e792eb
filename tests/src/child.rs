//! Programs as children: those that serve until they are told to stop, and those that finish.
//!
//! A served child has a process group of its own, so that Ctrl-C reaches its owner alone, and dies
//! with its owner: by `Drop`, or by the parent-death signal where the owner is killed. That signal
//! follows the *thread* that made the child, so make it on one that lives as long.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Place, wait};

/// A program that serves until its owner ends it.
#[derive(Debug)]
pub struct Child {
    name: String,
    child: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Runs `line`, a program and its arguments, in `place`, both its outputs going to the file
    /// `log`.
    ///
    /// # Errors
    /// When the file cannot be made or the program not be started.
    pub fn serve(place: &Place, line: &[PathBuf], log: &Path) -> Result<Self> {
        Self::serve_from(place, line, log, Stdio::null())
    }

    /// The same, with something to read.
    ///
    /// # Errors
    /// As [`Child::serve`].
    pub fn serve_from(place: &Place, line: &[PathBuf], log: &Path, stdin: Stdio) -> Result<Self> {
        let name = line.first().context("no program")?.display().to_string();
        let sink = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = place
            .command("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(line)
            .stdin(stdin)
            .stdout(sink.try_clone()?)
            .stderr(sink)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    /// What it has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).with_context(|| format!("{} is gone:\n{}", self.name, self.log()))
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `patience`.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let what = format!("{} ends", self.name);
        wait::until(&what, patience, || self.ended()).with_context(|| self.log())
    }

    /// Kills it at once, as the kernel would when memory runs out.
    pub fn kill(&mut self) {
        // An error means that it has ended and was waited for.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a program that has finished left.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The exit code, or 128 and the signal, as shells say it.
    pub code: i32,
    /// Standard output.
    pub output: Vec<u8>,
    /// Standard error.
    pub errors: String,
}

/// Runs `command` to its end, feeding it `input`; kills it after `patience`.
///
/// # Errors
/// When it cannot be started or does not finish in time.
pub fn finish(mut command: Command, input: &[u8], patience: Duration) -> Result<Finished> {
    let called = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {called}"))?;
    let (mut stdin, mut stdout, mut stderr) =
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => (stdin, stdout, stderr),
            _ => return Err(anyhow!("no pipes to {called}")),
        };
    std::thread::scope(|scope| {
        // A program that does not read its input closes the pipe; that is its right.
        scope.spawn(move || stdin.write_all(input).ok());
        let output = scope.spawn(move || read(&mut stdout));
        let errors = scope.spawn(move || read(&mut stderr));
        let ended =
            wait::until(&format!("{called} ends"), patience, || child.try_wait().ok().flatten());
        if ended.is_err() {
            child.kill().ok();
            child.wait().ok();
        }
        let output = output.join().unwrap_or_default();
        let errors = String::from_utf8_lossy(&errors.join().unwrap_or_default()).into_owned();
        let status = ended.with_context(|| errors.clone())?;
        let code = status.code().or(status.signal().map(|signal| 128 + signal));
        Ok(Finished { code: code.unwrap_or(-1), output, errors })
    })
}

fn read(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came before an error is still what was said.
    from.read_to_end(&mut bytes).ok();
    bytes
}

/// The path of a binary of this workspace, beside the one that runs.
///
/// # Errors
/// When it has not been built.
pub fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let dir = own.parent().context("no directory of the running program")?;
    // Test binaries stand one deeper, in `deps`.
    let dir = if dir.ends_with("deps") { dir.parent().unwrap_or(dir) } else { dir };
    let path = dir.join(name);
    anyhow::ensure!(path.exists(), "{} is not built yet", path.display());
    Ok(path)
}
