//! `promtool` of Prometheus: checks metrics and tests alert rules.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::child;

/// Names the program that `cargo xtask` has installed.
const PROGRAM: &str = "AOP_PROMTOOL";

/// The program.
#[derive(Clone, Debug)]
pub struct Promtool(OsString);

impl Promtool {
    /// The program, if it is installed.
    #[must_use]
    pub fn installed() -> Option<Self> {
        let program = std::env::var_os(PROGRAM)?;
        std::path::Path::new(&program).is_file().then_some(Self(program))
    }

    /// Runs it with `arguments`, and with `input` as standard input.
    ///
    /// # Errors
    /// When it reports a fault.
    pub fn finds_nothing(&self, arguments: &[&str], input: &[u8]) -> Result<()> {
        let mut command = Command::new(&self.0);
        command.args(arguments);
        let done = child::finish(command, input, Duration::from_secs(60))?.success();
        done.map(drop).with_context(|| format!("promtool {arguments:?}"))
    }
}
