//! `aop peers`: everybody who has authenticated, and how each stands now.

use std::{cmp::Reverse, fmt::Write, path::Path, process::ExitCode};

use aop_api::{Judged, KnownPeer, Peers, Request};
use aop_config::Config;
use aop_control::AskError;
use aop_types::monotonic_seconds;
use clap::{Args, ValueEnum};
use ipnet::IpNet;

use super::{ConfigFile, json, print, screen};

#[derive(Args)]
pub(super) struct PeersCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Only peers whose last handshake was for this site
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// What comes first: seen last, seen first for the first time, or most handshakes
    #[arg(long, value_enum, default_value_t = Sort::Last)]
    sort: Sort,
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Sort {
    Last,
    First,
    Count,
}

impl PeersCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut peers = on_record(&self.file.config)?;
        if let Some(site) = &self.site {
            peers.peers.retain(|known| known.peer.site.as_ref() == Some(site));
        }
        match self.sort {
            Sort::Last => peers.peers.sort_by_key(|known| Reverse(known.peer.last_seen)),
            Sort::First => peers.peers.sort_by_key(|known| known.peer.first_seen),
            Sort::Count => peers.peers.sort_by_key(|known| Reverse(known.peer.handshakes)),
        }
        print(&match self.json {
            true => json(&peers)?,
            false => render(&peers)?,
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What the daemon says, or the pinned maps without one.
fn on_record(file: &Path) -> anyhow::Result<Peers> {
    let paths = Config::paths(file)?;
    match aop_control::ask(&paths.runtime, Request::Peers) {
        Err(AskError::NotRunning(_)) => {}
        answered => return Ok(answered?),
    }
    let Some(reading) = aop_firewall::read(&paths.pins, None)? else { return Ok(Peers::default()) };
    // Only for names and the operator's own prefixes: a broken configuration leaves them out.
    let live = Config::load(file).map(|config| config.live).ok();
    let (sites, extra) = live.map(|live| (live.site_names(), live.extra)).unwrap_or_default();
    let opened = aop_daemon::kept_openings(&paths.state).unwrap_or_default();
    let opened: Vec<IpNet> = opened.into_iter().map(|it| it.network).collect();
    let judged = Judged {
        admission: &reading.admission,
        extra: &extra,
        opened: &opened,
        trusting: reading.trusting,
        now: monotonic_seconds(),
    };
    Ok(Peers::of(&reading.peers, &sites, &judged))
}

fn render(peers: &Peers) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let Peers { peers: shown, total } = peers;
    writeln!(text, "{} of {total} authenticated peers", shown.len())?;
    let widest = shown.iter().map(|known| known.peer.address.to_string().len()).max();
    let widest = widest.unwrap_or_default();
    for known in shown {
        let peer = &known.peer;
        writeln!(
            text,
            "{:<widest$} {:>8} handshakes, last {} ago, first {} ago, site {}; {}",
            peer.address.to_string(),
            peer.handshakes,
            screen::since(peer.last_seen),
            screen::since(peer.first_seen),
            peer.site.as_deref().unwrap_or("no longer configured"),
            standing(known)
        )?;
    }
    Ok(text)
}

/// What admits it, in words.
fn standing(known: &KnownPeer) -> String {
    let Some(by) = &known.admitted_by else {
        return "NOT ADMITTED: enforcing drops it".to_owned();
    };
    let prefix = known.prefix.as_ref().map_or(String::new(), |prefix| format!(" {prefix}"));
    let left =
        known.ends_seconds.map_or(String::new(), |left| format!(", {} left", screen::span(left)));
    format!("admitted by {by}{prefix}{left}")
}
