//! `aop confirm`: makes permanent what `aop mode --confirm` set for a limited time.

use std::process::ExitCode;

use aop_api::{ModesInForce, Request};
use clap::Args;

use super::mode;
use crate::{
    arguments::{ConfigFile, Output},
    daemon,
};

#[derive(Args)]
pub(crate) struct ConfirmCommand {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    output: Output,
}

impl ConfirmCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let in_force: ModesInForce = daemon::ask(
            &self.file.config,
            Request::Confirm,
            "nothing was confirmed. When aop runs again (`systemctl start aop`, or `aop run`), it \
             takes back every mode that was not confirmed in time",
        )?;
        self.output.print(&in_force, mode::render)?;
        Ok(ExitCode::SUCCESS)
    }
}
