//! `aop peers`: every authenticated peer, and what admits it now.

use std::{cmp::Reverse, path::Path, process::ExitCode};

use aop_api::{AdmissionContext, KnownPeer, OutsideTrust, PeersReport, Request, duration_text};
use aop_types::monotonic_seconds;
use clap::{Args, ValueEnum};

use crate::{
    arguments::{ConfigFile, Output},
    daemon::{self, OfflineState},
    output::{age, lines},
};

#[derive(Args)]
pub(crate) struct PeersCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Only peers whose last handshake was for this site
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Sort by time of the last handshake, time of the first one, or number of handshakes
    #[arg(long, value_enum, default_value_t = Sort::Last)]
    sort: Sort,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Sort {
    Last,
    First,
    Count,
}

impl PeersCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut peers = known_peers(&self.file.config)?;
        if let Some(site) = &self.site {
            peers.peers.retain(|known| known.peer.site.as_ref() == Some(site));
        }
        match self.sort {
            Sort::Last => peers.peers.sort_by_key(|known| Reverse(known.peer.last_seen)),
            Sort::First => peers.peers.sort_by_key(|known| known.peer.first_seen),
            Sort::Count => peers.peers.sort_by_key(|known| Reverse(known.peer.handshakes)),
        }
        self.output.print(&peers, render)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The peers as the daemon knows them or, without a daemon, from the pinned maps.
fn known_peers(file: &Path) -> anyhow::Result<PeersReport> {
    daemon::ask_or(file, Request::Peers, |paths| {
        let state = OfflineState::read(file, paths)?;
        let Some(reading) = &state.reading else { return Ok(PeersReport::default()) };
        let (extra, opened) = (state.extra(), state.opened_networks());
        let context =
            AdmissionContext::new(&reading.admission, extra, &opened, monotonic_seconds());
        let trust = match reading.trusting {
            true => OutsideTrust::ForATime,
            false => OutsideTrust::Never,
        };
        Ok(PeersReport::of(&reading.peers, &state.site_names(), &context, trust))
    })
}

fn render(peers: &PeersReport) -> String {
    let PeersReport { peers: shown, total } = peers;
    let widest = shown.iter().map(|known| known.peer.address.to_string().len()).max();
    let widest = widest.unwrap_or_default();
    let row = |known: &KnownPeer| {
        let peer = &known.peer;
        format!(
            "{:<widest$} {:>8} handshakes, last {} ago, first {} ago, site {}; {}",
            peer.address.to_string(),
            peer.handshakes,
            age(peer.last_seen),
            age(peer.first_seen),
            peer.site.as_deref().unwrap_or("no longer configured"),
            admission_text(known)
        )
    };
    let head = match total {
        0 => "no peer has authenticated yet".to_owned(),
        _ => format!("{} of {total} authenticated peers", shown.len()),
    };
    lines([head].into_iter().chain(shown.iter().map(row)))
}

/// The grounds on which the peer is admitted, for people.
fn admission_text(known: &KnownPeer) -> String {
    let Some(by) = &known.admitted_by else {
        return "NOT ADMITTED: enforce drops its packets".to_owned();
    };
    let mut text = format!("admitted by {by}");
    if let Some(prefix) = &known.prefix {
        text += &format!(" {prefix}");
    }
    if let Some(left) = known.ends_seconds {
        text += &format!(", {} left", duration_text(left));
    }
    text
}
