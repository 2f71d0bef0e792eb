//! `aop load`: loads the firewall and exits; the pins keep it in force.

use std::process::ExitCode;

use clap::Args;

use super::{ConfigFile, log, print};
use crate::daemon::{self, Loaded};

#[derive(Args)]
pub(super) struct Load {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    log: log::Log,
}

impl Load {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.log.start(&[])?;
        match daemon::load(&self.file.config)? {
            Loaded::Firewall => {}
            Loaded::Nothing => print("nothing was loaded: firewall.mode is \"off\"\n")?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
