//! `aop fleet forget`: a host that is gone for good is not shown as silent any more.

use std::process::ExitCode;

use anyhow::bail;
use aop_config::FleetName;
use aop_fleet::{ForgetOutcome, LEASE};
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
        let (client, config) = super::connect(&self.file)?;
        match client.forget(self.host.clone())? {
            ForgetOutcome::Forgotten => {}
            ForgetOutcome::Reports => bail!(
                "{} reports: it is not forgotten. Stop aop there, or remove [fleet] from its \
                 configuration, and wait {} s",
                self.host,
                LEASE.as_secs()
            ),
            ForgetOutcome::Unknown => bail!(
                "no host {} has reported to {}: nothing is forgotten. `aop fleet status` lists \
                 the names",
                self.host,
                config.prefix
            ),
        }
        print(&format!("{} is forgotten until it reports again\n", self.host))?;
        Ok(ExitCode::SUCCESS)
    }
}
