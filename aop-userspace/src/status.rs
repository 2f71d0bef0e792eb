//! `aop status`

use std::{path::Path, process::ExitCode};

use aop_api::{Request, Status, mode_name};
use aop_config::{Config, Paths};
use aop_control::{AskError, from_firewall};
use clap::Args;

use super::{ConfigFile, json, print, screen};

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
        let status = now(&self.file.config)?;
        if self.json {
            print(&json(&status)?)?;
        } else {
            print(&screen::render(&status, screen::Paint::of_stdout()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What the daemon says, or the pinned maps without one. `file` is the configuration.
pub(super) fn now(file: &Path) -> anyhow::Result<Status> {
    let paths = Config::paths(file)?;
    match aop_control::ask(&paths.runtime, Request::Status) {
        Err(AskError::NotRunning(_)) => without_daemon(file, &paths),
        answered => Ok(answered?),
    }
}

/// What the pinned maps tell by themselves.
fn without_daemon(file: &Path, paths: &Paths) -> anyhow::Result<Status> {
    // Only for names and its mode: a broken configuration leaves them out.
    let config = Config::load(file).ok();
    let mode = |it: &Config| it.fixed.firewall.as_ref().map_or("off", |_| mode_name(it.live.mode));
    let configured = config.as_ref().map(mode);
    let (wanted, sites) = config.map_or((None, Vec::new()), |config| {
        let sites = config.live.sites.into_iter().map(|site| site.name);
        (Some(config.live.interfaces), sites.collect())
    });
    let reading = aop_firewall::read(&paths.pins, wanted.as_ref())?;
    let mut status = from_firewall(reading.as_ref(), &sites);
    if reading.is_some() {
        status.openings = aop_daemon::kept_openings(&paths.state).unwrap_or_default();
        let (set_at, pending) = aop_daemon::switched(&paths.state);
        status.modes.pending = pending;
        status.explain_modes(configured, set_at);
    } else {
        status.explain_modes(configured, None);
    }
    status.warnings.push(match reading {
        Some(_) => "no daemon runs: packets are still judged, and no origin pull is served".into(),
        None => "no daemon runs, and no firewall is loaded".into(),
    });
    Ok(status)
}
