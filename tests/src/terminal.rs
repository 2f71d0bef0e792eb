//! A pseudoterminal, which `script` makes, and what a program shows on it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::wait;

/// A program on a terminal. It is stopped on drop.
#[derive(Debug)]
pub struct Terminal {
    script: Child,
    typescript: PathBuf,
}

impl Terminal {
    /// Runs `line` with a shell. `script` is the command of that name, where it is to run; what is
    /// shown goes to the file `typescript`.
    ///
    /// # Errors
    /// When `script` cannot be started.
    pub fn open(mut script: Command, line: &str, typescript: &Path) -> Result<Self> {
        script.args(["--quiet", "--flush", "--return", "--command", line]).arg(typescript);
        script.env("TERM", "xterm-256color").stdin(Stdio::piped()).stdout(Stdio::null());
        let script = script.spawn().context("cannot run script")?;
        Ok(Self { script, typescript: typescript.to_owned() })
    }

    /// All bytes that were shown so far, as text.
    #[must_use]
    pub fn seen(&self) -> String {
        let bytes = std::fs::read(&self.typescript).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until `words` were shown.
    ///
    /// # Errors
    /// When they were not shown in time.
    pub fn shows(&self, words: &str, patience: Duration) -> Result<()> {
        let shown = || self.seen().contains(words).then_some(());
        wait::until(&format!("it shows {words:?}"), patience, shown).with_context(|| self.seen())
    }

    /// Types `keys`.
    ///
    /// # Errors
    /// When the program has ended.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        let stdin = self.script.stdin.as_mut().context("no input")?;
        stdin.write_all(keys.as_bytes())?;
        Ok(stdin.flush()?)
    }

    /// Waits for the end of the program.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn end(&mut self, patience: Duration) -> Result<ExitStatus> {
        wait::until("it ends", patience, || self.script.try_wait().ok().flatten())
            .with_context(|| self.seen())
    }

    /// The process id of `script`.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.script.id()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.script.kill().ok();
        self.script.wait().ok();
    }
}
