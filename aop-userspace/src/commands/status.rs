//! `aop status`: the status from the daemon or, without one, from the pinned maps.

use std::process::ExitCode;

use clap::Args;

use crate::{
    arguments::{ConfigFile, Output},
    daemon,
    output::{Colours, render_status},
};

#[derive(Args)]
pub(crate) struct StatusCommand {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    output: Output,
}

impl StatusCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let status = daemon::status(&self.file.config)?;
        self.output.print(&status, |status| render_status(status, Colours::of_stdout()))?;
        Ok(ExitCode::SUCCESS)
    }
}
