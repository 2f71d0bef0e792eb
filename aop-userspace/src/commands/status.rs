//! `aop status`: the status from the daemon or, without one, from the pinned maps. With `--check`
//! it is one line with an exit code, as plugins of Nagios and Icinga have them.

use std::process::ExitCode;

use aop_api::HealthLevel;
use aop_control::ClientError;
use clap::Args;
use jiff::Timestamp;

use crate::{
    arguments::{ConfigFile, Output},
    daemon,
    output::{Colours, check_line, error_chain, print, render_status, terminal_columns},
};

#[derive(Args)]
pub(crate) struct StatusCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Print one line, and exit with 0 (OK), 1 (warning), 2 (critical) or 3 (unknown): for cron,
    /// Nagios, Icinga
    #[arg(long, conflicts_with = "json")]
    check: bool,
    #[command(flatten)]
    output: Output,
}

impl StatusCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if self.check {
            return self.check();
        }
        let status = daemon::status(&self.file.config)?;
        self.output.print(&status, |status| {
            render_status(status, Colours::of_stdout(), terminal_columns())
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn check(&self) -> anyhow::Result<ExitCode> {
        match daemon::status(&self.file.config) {
            Ok(status) => {
                let health = status.health(Timestamp::now());
                print(&(check_line(&status, &health) + "\n"))?;
                Ok(ExitCode::from(exit_code(health.level())))
            }
            Err(error) => {
                let hangs = matches!(error.downcast_ref(), Some(ClientError::Timeout { .. }));
                let (name, code) = if hangs { ("CRITICAL", 2) } else { ("UNKNOWN", 3) };
                let why = error_chain(&error).replace(['|', '\n'], " ");
                print(&format!("AOP {name} - {why}\n"))?;
                Ok(ExitCode::from(code))
            }
        }
    }
}

/// The exit code of plugins of Nagios.
fn exit_code(level: HealthLevel) -> u8 {
    match level {
        HealthLevel::Ok => 0,
        HealthLevel::Warning => 1,
        HealthLevel::Critical => 2,
    }
}
