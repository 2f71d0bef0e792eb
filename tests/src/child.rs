//! Programs as child processes: those that run until they are stopped, and those that finish.
//!
//! A [`Child`] has a process group of its own, so that Ctrl-C reaches only its owner. It dies with
//! its owner: by `Drop`, or by the parent-death signal when the owner is killed. The kernel ties
//! that signal to the *thread* that started the child, so start it on a thread that lives as long.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{Netns, Process, wait};

/// A program that runs until its owner stops it.
#[derive(Debug)]
pub struct Child {
    name: String,
    child: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Runs `line`, a program and its arguments, in `netns`. Standard output and standard error go
    /// to the file `log`.
    ///
    /// # Errors
    /// When the file cannot be created or the program cannot be started.
    pub fn serve(netns: &Netns, line: &[PathBuf], log: &Path) -> Result<Self> {
        Self::serve_from(netns, line, log, Stdio::null())
    }

    /// As [`Child::serve`], with a standard input.
    ///
    /// # Errors
    /// As [`Child::serve`].
    pub fn serve_from(netns: &Netns, line: &[PathBuf], log: &Path, stdin: Stdio) -> Result<Self> {
        let name = line.first().context("no program")?.display().to_string();
        let sink = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = netns
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

    /// Its output so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process does not exist.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let sent = Process(self.child.id()).signal(signal);
        sent.with_context(|| format!("{}:\n{}", self.name, self.log()))
    }

    /// The exit status, if the process has exited.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until the process exits.
    ///
    /// # Errors
    /// When it still runs after `patience`.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let what = format!("{} exits", self.name);
        wait::until(&what, patience, || self.ended()).with_context(|| self.log())
    }

    /// Sends SIGKILL, as the kernel does when memory runs out, and waits for the exit.
    pub fn kill(&mut self) {
        // An error means that it has exited and was waited for.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The result of a program that has finished.
#[derive(Clone, Debug)]
pub struct CommandOutput {
    /// The exit code, or 128 plus the signal, as in a shell.
    pub code: i32,
    /// Standard output.
    pub output: Vec<u8>,
    /// Standard error.
    pub errors: String,
}

impl CommandOutput {
    /// Itself, if the exit code is 0.
    ///
    /// # Errors
    /// When the program failed.
    pub fn success(self) -> Result<Self> {
        ensure!(self.code == 0, "exit code {}: {}{}", self.code, self.text(), self.errors);
        Ok(self)
    }

    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Standard output as a JSON document.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.output)
            .with_context(|| format!("not JSON: {}{}", self.text(), self.errors))
    }
}

/// Runs `command` until it exits, with `input` as standard input. Kills it after `patience`.
///
/// # Errors
/// When it cannot be started or does not finish in time.
pub fn finish(mut command: Command, input: &[u8], patience: Duration) -> Result<CommandOutput> {
    let line = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {line}"))?;
    let (mut stdin, mut stdout, mut stderr) =
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => (stdin, stdout, stderr),
            _ => return Err(anyhow!("no pipes to {line}")),
        };
    std::thread::scope(|scope| {
        // A program may close the pipe without reading its input.
        scope.spawn(move || stdin.write_all(input).ok());
        let output = scope.spawn(move || read(&mut stdout));
        let errors = scope.spawn(move || read(&mut stderr));
        let ended =
            wait::until(&format!("{line} exits"), patience, || child.try_wait().ok().flatten());
        if ended.is_err() {
            child.kill().ok();
            child.wait().ok();
        }
        let output = output.join().unwrap_or_default();
        let errors = String::from_utf8_lossy(&errors.join().unwrap_or_default()).into_owned();
        let status = ended.with_context(|| errors.clone())?;
        let code = status.code().or(status.signal().map(|signal| 128 + signal));
        Ok(CommandOutput { code: code.unwrap_or(-1), output, errors })
    })
}

fn read(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Keep what came before an error.
    from.read_to_end(&mut bytes).ok();
    bytes
}

/// The path of a binary of this workspace, in the build directory of the running program.
///
/// # Errors
/// When it has not been built.
pub fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let dir = own.parent().context("no directory of the running program")?;
    // Test binaries are one level deeper, in `deps`.
    let dir = if dir.ends_with("deps") { dir.parent().unwrap_or(dir) } else { dir };
    let path = dir.join(name);
    ensure!(path.exists(), "{} is not built yet", path.display());
    Ok(path)
}
