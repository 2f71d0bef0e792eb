//! `aop peers`: every authenticated peer, and what admits it now.

use std::{cmp::Reverse, fmt::Write, path::Path, process::ExitCode};

use aop_api::{AdmissionContext, KnownPeer, PeersReport, Request};
use aop_config::Config;
use aop_control::ClientError;
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
    /// Sort by time of the last handshake, time of the first one, or number of handshakes
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

/// The peers as the daemon knows them or, without a daemon, from the pinned maps.
fn on_record(file: &Path) -> anyhow::Result<PeersReport> {
    let paths = Config::paths(file)?;
    match aop_control::ask(&paths.runtime, Request::Peers) {
        Err(ClientError::NotRunning(_)) => {}
        answered => return Ok(answered?),
    }
    let Some(reading) = aop_firewall::read(&paths.pins, None)? else {
        return Ok(PeersReport::default());
    };
    // Needed only for site names and the operator's own prefixes: without a readable configuration
    // they are left out.
    let live = Config::load(file).map(|config| config.live).ok();
    let (sites, extra) = live.map(|live| (live.site_names(), live.extra)).unwrap_or_default();
    let opened = aop_daemon::stored_openings(&paths.state).unwrap_or_default();
    let opened: Vec<IpNet> = opened.into_iter().map(|it| it.network).collect();
    let judged = AdmissionContext {
        admission: &reading.admission,
        extra: &extra,
        opened: &opened,
        trusting: reading.trusting,
        now: monotonic_seconds(),
    };
    Ok(PeersReport::of(&reading.peers, &sites, &judged))
}

fn render(peers: &PeersReport) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let PeersReport { peers: shown, total } = peers;
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

/// What admits the peer, for people.
fn standing(known: &KnownPeer) -> String {
    let Some(by) = &known.admitted_by else {
        return "NOT ADMITTED: enforce drops its packets".to_owned();
    };
    let prefix = known.prefix.as_ref().map_or(String::new(), |prefix| format!(" {prefix}"));
    let left =
        known.ends_seconds.map_or(String::new(), |left| format!(", {} left", screen::span(left)));
    format!("admitted by {by}{prefix}{left}")
}
