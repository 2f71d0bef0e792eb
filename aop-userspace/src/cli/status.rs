//! `aop status`

use std::{path::Path, process::ExitCode};

use clap::Args;

use super::{ConfigFile, print, screen};
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
            print(&format!("{}\n", serde_json::to_string_pretty(&status)?))?;
        } else {
            print(&screen::render(&status, screen::Paint::of_stdout()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What the pinned maps tell by themselves.
fn without_daemon(file: &Path, paths: &Paths) -> anyhow::Result<Status> {
    // Only for names: a broken configuration leaves them out.
    let sites = Config::load(file).map_or(Vec::new(), |config| config.live.sites);
    let sites: Vec<String> = sites.into_iter().map(|site| site.name).collect();
    let reading = firewall::read(&paths.pins)?;
    let mut status = from_firewall(reading.as_ref(), &sites);
    status.warnings.push(match reading {
        Some(_) => "no daemon runs: packets are still judged, and no origin pull is served".into(),
        None => "no daemon runs, and no firewall is loaded".into(),
    });
    Ok(status)
}
