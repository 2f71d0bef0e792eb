//! `aop fleet identities`: which client certificate arrives at which hosts. In a rollover it shows
//! whether the new certificate has arrived everywhere, and whether the old one is gone.

use std::process::ExitCode;

use aop_fleet::fleet_identities;
use clap::Args;
use jiff::Timestamp;

use super::{HostSelection, table};
use crate::arguments::{ConfigFile, Output};

#[derive(Args)]
pub(super) struct FleetIdentitiesCommand {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    hosts: HostSelection,
    /// Only the site of this name
    #[arg(long, value_name = "HOST")]
    site: Option<String>,
    #[command(flatten)]
    output: Output,
}

impl FleetIdentitiesCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let filter = self.hosts.filter()?;
        let (client, _) = super::connect(&self.file)?;
        let stored = client.hosts()?;
        let found = fleet_identities(&stored, &filter, self.site.as_deref(), Timestamp::now());
        self.output.print(&found, table::identities)?;
        Ok(ExitCode::SUCCESS)
    }
}
