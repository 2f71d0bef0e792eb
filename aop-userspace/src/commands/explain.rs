//! `aop explain`: prints the verdict on an address, a host name, a network or a capture. Needs no
//! daemon.

use std::{
    net::{IpAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use aop_api::{CaptureExplanation, Explanation};
use aop_config::Config;
use aop_diagnose::explain::{self, ConnectionAttempt, PrefixOwners};
use aop_firewall::DryRun;
use clap::Args;
use ipnet::IpNet;

use crate::{
    arguments::{ConfigFile, Output},
    output::lines,
};

#[derive(Args)]
pub(crate) struct ExplainCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// The source of a packet: an address, a host name, or a network (CIDR). Or a capture file
    /// (pcap, Ethernet)
    #[arg(value_name = "SOURCE|FILE.pcap")]
    subject: String,
    /// The destination TCP port [default: the lowest guarded port]
    port: Option<u16>,
    /// The destination address [default: an address of the interface]
    #[arg(long, value_name = "DESTINATION")]
    to: Option<IpAddr>,
    /// The guarded interface on which the packet arrives [default: the first one]
    #[arg(long, value_name = "IF")]
    interface: Option<String>,
    #[command(flatten)]
    output: Output,
}

enum Subject {
    Source(IpAddr),
    /// The addresses of a host.
    Name(Vec<IpAddr>),
    Network(IpNet),
    Capture(PathBuf),
}

impl ExplainCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let subject = self.subject()?;
        let paths = Config::paths(&self.file.config)?;
        let mut live = DryRun::open(&paths.pins, self.interface.as_deref())?;
        // Without them the list is taken for what admits a prefix.
        let extra = Config::load(&self.file.config).map_or(Vec::new(), |config| config.live.extra);
        let openings = aop_daemon::stored_openings(&paths.state).unwrap_or_default();
        let opened: Vec<IpNet> = openings.iter().map(|opening| opening.network).collect();
        let owners = PrefixOwners { extra: &extra, opened: &opened };
        match subject {
            Subject::Source(source) => {
                let explanation = self.source(&mut live, source, owners)?;
                self.output.print(&explanation, |it| lines(source_lines(it)))?;
            }
            Subject::Name(sources) => {
                let all = self.sources(&mut live, sources, owners)?;
                self.output.print(&all, |all| lines(all.iter().flat_map(source_lines)))?;
            }
            Subject::Network(network) => {
                let sources = explain::addresses_of(&live, network);
                let all = self.sources(&mut live, sources, owners)?;
                self.output.print(&all, |all| lines(network_lines(network, all)))?;
            }
            Subject::Capture(path) => {
                let explanation = explain::capture(&mut live, &path, owners)?;
                self.output.print(&explanation, render_capture)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn source(
        &self,
        live: &mut DryRun,
        source: IpAddr,
        owners: PrefixOwners<'_>,
    ) -> anyhow::Result<Explanation> {
        let attempt = ConnectionAttempt { source, port: self.port, destination: self.to };
        Ok(explain::source(live, attempt, owners)?)
    }

    fn sources(
        &self,
        live: &mut DryRun,
        sources: Vec<IpAddr>,
        owners: PrefixOwners<'_>,
    ) -> anyhow::Result<Vec<Explanation>> {
        // With --to, only addresses of its family can send there.
        let fits = |source: &IpAddr| self.to.is_none_or(|to| to.is_ipv4() == source.is_ipv4());
        sources.into_iter().filter(fits).map(|it| self.source(live, it, owners)).collect()
    }

    fn subject(&self) -> anyhow::Result<Subject> {
        if let Ok(source) = self.subject.parse() {
            return Ok(Subject::Source(source));
        }
        if let Ok(network) = self.subject.parse::<IpNet>() {
            return Ok(Subject::Network(network.trunc()));
        }
        let path = Path::new(&self.subject);
        if path.exists() {
            if self.port.is_some() || self.to.is_some() {
                bail!("a capture holds its own ports and destinations: give neither PORT nor --to");
            }
            return Ok(Subject::Capture(path.into()));
        }
        if self.subject.contains('/') || path.extension().is_some_and(|end| end == "pcap") {
            bail!("{:?} is no file that exists, and no network (CIDR)", self.subject);
        }
        let neither = || {
            format!(
                "{:?} is no address, no network (CIDR), no file, and no host name that can be \
                 resolved",
                self.subject
            )
        };
        let found = (self.subject.as_str(), 0).to_socket_addrs().with_context(neither)?;
        let mut addresses: Vec<IpAddr> = found.map(|at| at.ip()).collect();
        addresses.sort();
        addresses.dedup();
        Ok(Subject::Name(addresses))
    }
}

fn source_lines(explanation: &Explanation) -> Vec<String> {
    let Explanation { action, reason, detail, source, destination, port, interface, .. } =
        explanation;
    let mut text = vec![
        format!("{action} ({reason}): {source} to {destination} port {port} on {interface}"),
        detail.clone(),
    ];
    text.extend(explanation.now.clone());
    text.extend(explanation.netfilter.as_ref().map(|fate| format!("But {fate}.")));
    text
}

/// The verdicts on the addresses that stand for `network`: one for all, or each that differs.
fn network_lines(network: IpNet, all: &[Explanation]) -> Vec<String> {
    let key = |it: &Explanation| (it.action.clone(), it.reason.clone(), it.prefix.clone());
    let mut seen = Vec::new();
    let different: Vec<&Explanation> = all
        .iter()
        .filter(|it| {
            let fresh = !seen.contains(&key(it));
            seen.push(key(it));
            fresh
        })
        .collect();
    let head = match different.len() {
        1 => format!("all of {network}, as its first address:"),
        more => format!("{more} parts of {network} differ; of each the first address:"),
    };
    let verdicts = different.into_iter().flat_map(source_lines);
    [head].into_iter().chain(verdicts).collect()
}

fn render_capture(explanation: &CaptureExplanation) -> String {
    let CaptureExplanation { file, interface, frames, too_short, ends_early, .. } = explanation;
    let mut text = Vec::new();
    for verdict in &explanation.verdicts {
        let source = verdict.source.map_or("-".to_owned(), |source| source.to_string());
        let port = verdict.port.map_or("-".to_owned(), |port| port.to_string());
        text.push(format!(
            "{:>8} frames {:<10} {:<15} {source:<39} port {port:<5}  {}",
            verdict.frames, verdict.action, verdict.reason, verdict.detail
        ));
    }
    text.push(format!("{frames} frames of {file}, judged on {interface}"));
    if *too_short > 0 {
        text.push(format!("{too_short} frames were not judged: shorter than an Ethernet header"));
    }
    if *ends_early {
        text.push(format!("{file} ends within a frame: only the complete frames were judged"));
    }
    lines(text)
}
