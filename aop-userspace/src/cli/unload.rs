//! `aop unload`

use std::process::ExitCode;

use clap::Args;

use super::{ConfigFile, print};
use crate::{config::Config, firewall};

#[derive(Args)]
pub(super) struct Unload {
    #[command(flatten)]
    file: ConfigFile,
}

impl Unload {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let pins = &Config::paths(&self.file.config)?.pins;
        if !pins.exists() {
            print(&format!("nothing is loaded: {} does not exist\n", pins.display()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let interfaces = firewall::unload(pins)?;
        let detached = match interfaces.is_empty() {
            true => "no interface was guarded".to_owned(),
            false => format!("detached from {}", interfaces.join(", ")),
        };
        print(&format!("{detached}; removed the pins in {}\n", pins.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
