//! Prometheus' own tool, which reads metrics and tries alerts.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::child;

/// Where `cargo xtask` has put it.
const PROGRAM: &str = "AOP_PROMTOOL";

/// The tool, where it is installed.
#[derive(Clone, Debug)]
pub struct Promtool(OsString);

impl Promtool {
    /// The tool, if it is installed.
    #[must_use]
    pub fn installed() -> Option<Self> {
        let program = std::env::var_os(PROGRAM)?;
        std::path::Path::new(&program).is_file().then_some(Self(program))
    }

    /// Has it look at `input`, or at what the arguments name.
    ///
    /// # Errors
    /// It finds a fault.
    pub fn finds_nothing(&self, arguments: &[&str], input: &[u8]) -> Result<()> {
        let mut command = Command::new(&self.0);
        command.args(arguments);
        let told = child::finish(command, input, Duration::from_secs(60))?;
        let said = format!("{}{}", String::from_utf8_lossy(&told.output), told.errors);
        ensure!(told.code == 0, "{arguments:?}: {said}");
        Ok(())
    }
}
