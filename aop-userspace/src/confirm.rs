//! `aop confirm`: makes permanent what `aop mode --confirm` set for a limited time.

use std::process::ExitCode;

use anyhow::bail;
use aop_api::{ModesInForce, Request};
use aop_config::Config;
use aop_control::ClientError;
use clap::Args;

use super::{ConfigFile, json, mode, print};

#[derive(Args)]
pub(super) struct Confirm {
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

impl Confirm {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let paths = Config::paths(&self.file.config)?;
        let in_force: ModesInForce = match aop_control::ask(&paths.runtime, Request::Confirm) {
            Err(error @ ClientError::NotRunning(_)) => bail!(
                "{error}: nothing was confirmed. When aop runs again (`systemctl start aop`, or \
                 `aop run`), it takes back every mode that was not confirmed in time"
            ),
            answered => answered?,
        };
        print(&if self.json { json(&in_force)? } else { mode::told(&in_force) })?;
        Ok(ExitCode::SUCCESS)
    }
}
