//! `aop fleet forget`: a host that is gone for good is not shown as silent any more.

use std::process::ExitCode;

use anyhow::bail;
use aop_config::FleetName;
use clap::Args;

use crate::{arguments::ConfigFile, output::print};

#[derive(Args)]
pub(super) struct ForgetCommand {
    /// The name of the host
    host: FleetName,
    #[command(flatten)]
    file: ConfigFile,
}

impl ForgetCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (client, _) = super::connect(&self.file)?;
        if !client.forget(self.host.clone())? {
            bail!(
                "{} reports: it is not forgotten. Stop aop there, or remove [fleet] from its \
                 configuration, and wait 30 s",
                self.host
            );
        }
        print(&format!("{} is forgotten until it reports again\n", self.host))?;
        Ok(ExitCode::SUCCESS)
    }
}
