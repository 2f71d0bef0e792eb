//! `aop status`: the status from the daemon or, without one, from the pinned maps.

use std::{path::Path, process::ExitCode};

use aop_api::{Request, Status, mode_name};
use aop_config::{Config, Paths};
use aop_control::{ClientError, from_firewall};
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

/// The status from the daemon or, without a daemon, from the pinned maps. `file` is the
/// configuration.
pub(super) fn now(file: &Path) -> anyhow::Result<Status> {
    let paths = Config::paths(file)?;
    match aop_control::ask(&paths.runtime, Request::Status) {
        Err(ClientError::NotRunning(_)) => without_daemon(file, &paths),
        answered => Ok(answered?),
    }
}

/// The status as far as the pinned maps hold it.
fn without_daemon(file: &Path, paths: &Paths) -> anyhow::Result<Status> {
    // Needed only for site names and the configured mode: without a readable configuration they are
    // left out.
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
        status.openings = aop_daemon::stored_openings(&paths.state).unwrap_or_default();
        let (set_at, pending) = aop_daemon::stored_overrides(&paths.state);
        status.modes.pending = pending;
        status.explain_modes(configured, set_at);
    } else {
        status.explain_modes(configured, None);
    }
    status.warnings.push(match reading {
        Some(_) => "aop is not running: packets are still filtered, but no origin pull is served. \
                    Start it: `systemctl start aop`"
            .into(),
        None => "aop is not running, and no firewall is loaded: every packet passes".into(),
    });
    Ok(status)
}
