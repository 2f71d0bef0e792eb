//! `aop unload`: detaches the firewall and removes its pins. Needs no daemon.

use std::{path::PathBuf, process::ExitCode};

use aop_config::Config;
use clap::Args;

use crate::{arguments::ConfigFile, output::print};

#[derive(Args)]
pub(crate) struct UnloadCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// The directory of the pins to remove; the configuration is not read then
    #[arg(long, value_name = "DIR")]
    pins: Option<PathBuf>,
}

impl UnloadCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let pins = match self.pins {
            Some(pins) => pins,
            None => Config::paths(&self.file.config)?.pins,
        };
        let Some(interfaces) = aop_firewall::unload(&pins)? else {
            print(&format!("no firewall is loaded: no pins in {}\n", pins.display()))?;
            return Ok(ExitCode::SUCCESS);
        };
        let detached = if interfaces.is_empty() {
            "no interface was guarded".to_owned()
        } else {
            format!("detached from {}", interfaces.join(", "))
        };
        print(&format!("{detached}; removed the pins in {}\n", pins.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
