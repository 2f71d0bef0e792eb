//! `aop load`: loads the firewall and exits; the pins keep it in force.

use std::process::ExitCode;

use aop_daemon::Loaded;
use clap::Args;

use crate::{arguments::ConfigFile, log::LogArguments, output::print};

#[derive(Args)]
pub(crate) struct LoadCommand {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    log: LogArguments,
}

impl LoadCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.log.start(&[])?;
        match aop_daemon::load(&self.file.config)? {
            Loaded::Firewall => {}
            Loaded::Nothing => print("nothing was loaded: firewall.mode is \"off\"\n")?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
