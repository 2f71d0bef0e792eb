//! `aop status`

use std::{path::Path, process::ExitCode};

use clap::Args;

use super::{ConfigFile, json, print, screen};
use crate::{
    config::{Config, Paths},
    control::{self, AskError, Request, Status, from_firewall},
    firewall,
};

#[derive(Args)]
pub(super) struct StatusCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

impl StatusCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let paths = Config::paths(&self.file.config)?;
        let status = match control::ask(&paths.runtime, Request::Status) {
            Ok(status) => status,
            Err(AskError::NotRunning(_)) => without_daemon(&self.file.config, &paths)?,
            Err(error) => return Err(error.into()),
        };
        if self.json {
            print(&json(&status)?)?;
        } else {
            print(&screen::render(&status, screen::Paint::of_stdout()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What the pinned maps tell by themselves.
fn without_daemon(file: &Path, paths: &Paths) -> anyhow::Result<Status> {
    // Only for names: a broken configuration leaves them out.
    let config = Config::load(file).ok();
    let (wanted, sites) = config.map_or((None, Vec::new()), |config| {
        let sites = config.live.sites.into_iter().map(|site| site.name);
        (Some(config.live.interfaces), sites.collect())
    });
    let reading = firewall::read(&paths.pins, wanted.as_ref())?;
    let mut status = from_firewall(reading.as_ref(), &sites);
    status.warnings.push(match reading {
        Some(_) => "no daemon runs: packets are still judged, and no origin pull is served".into(),
        None => "no daemon runs, and no firewall is loaded".into(),
    });
    Ok(status)
}
