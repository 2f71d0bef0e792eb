//! The verbs that give an order to hosts of a fleet, in waves where the operator wants them.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use aop_api::{
    FleetOrdered, ModeChange, ModeName, ModeTarget, OrderedHosts, OriginReport, RefreshAction,
    Request, StoppedHost,
};
use aop_config::FleetName;
use aop_fleet::{PlannedWave, WaveSizes};
use clap::Args;
use ipnet::IpNet;

use super::{
    selection::{MeantHosts, Ordering, meant},
    wave_watch::Orderer,
};
use crate::{
    arguments::duration,
    commands::open::network,
    output::{count, hanging, lines, print, terminal_columns},
};

/// The most names of hosts in a line.
const MAX_NAMES: usize = 12;

#[derive(Args)]
pub(super) struct EnforceCommand {
    #[command(flatten)]
    ordering: Ordering,
    #[command(flatten)]
    scope: Scope,
    /// Give the order in waves: numbers of hosts or percentages, each with those before it. The
    /// next wave begins when the one before lasts
    #[arg(long, value_name = "SIZES")]
    waves: Option<WaveSizes>,
    /// Enforce for this time (10s to 1h); then each host returns to the mode before, unless it was
    /// confirmed
    #[arg(long, value_name = "TIME", value_parser = duration)]
    confirm: Option<Duration>,
    /// Each host also confirms by itself, once it has served this many pulls with the right
    /// certificate
    #[arg(long, value_name = "N", requires = "confirm")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pulls: Option<u64>,
}

#[derive(Args)]
pub(super) struct ObserveCommand {
    #[command(flatten)]
    ordering: Ordering,
    #[command(flatten)]
    scope: Scope,
}

#[derive(Args)]
struct Scope {
    /// Only for this guarded port; may be given several times
    #[arg(long = "port", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,
    /// Only for pulls of this site, not for packets; may be given several times
    #[arg(long = "site", value_name = "HOST", conflicts_with = "ports")]
    sites: Vec<String>,
}

#[derive(Args)]
pub(super) struct ConfirmCommand {
    #[command(flatten)]
    ordering: Ordering,
}

#[derive(Args)]
pub(super) struct FleetOpenCommand {
    #[command(flatten)]
    ordering: Ordering,
    /// Admit this address or network, no wider than /8 (IPv6: /32)
    #[arg(long, value_name = "CIDR", value_parser = network, requires = "for")]
    #[arg(required_unless_present = "close", conflicts_with = "close")]
    from: Option<IpNet>,
    /// The duration, 24h at most
    #[arg(long, value_name = "TIME", value_parser = duration)]
    r#for: Option<Duration>,
    /// Close the opening for this address or network
    #[arg(long, value_name = "CIDR", value_parser = network, conflicts_with = "for")]
    close: Option<IpNet>,
}

#[derive(Args)]
pub(super) struct RefreshCommand {
    #[command(flatten)]
    ordering: Ordering,
}

#[derive(Args)]
pub(super) struct FleetReloadCommand {
    #[command(flatten)]
    ordering: Ordering,
}

impl EnforceCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let change = ModeChange {
            confirm_seconds: self.confirm.map(|time| time.as_secs()),
            confirm_pulls: self.pulls,
            ..self.scope.change(ModeTarget::Enforce)
        };
        self.ordering.give(Request::Mode(change), self.waves.as_ref())
    }
}

impl ObserveCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.ordering.give(Request::Mode(self.scope.change(ModeTarget::Observe)), None)
    }
}

impl Scope {
    fn change(&self, to: ModeTarget) -> ModeChange {
        ModeChange { ports: self.ports.clone(), sites: self.sites.clone(), ..ModeChange::to(to) }
    }
}

impl ConfirmCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.ordering.give(Request::Confirm, None)
    }
}

impl FleetOpenCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let seconds = self.r#for.unwrap_or_default().as_secs();
        let request = match (self.from, self.close) {
            (Some(network), _) => Request::Open { network, seconds },
            (None, Some(network)) => Request::Close { network },
            (None, None) => anyhow::bail!("give --from or --close"),
        };
        self.ordering.give(request, None)
    }
}

impl RefreshCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.ordering.give(Request::RefreshPrefixes { then: RefreshAction::Apply }, None)
    }
}

impl FleetReloadCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.ordering.give(Request::Reload, None)
    }
}

impl Ordering {
    /// Gives `request` to the hosts, wave by wave, and follows it. Exit code 1: a host stopped it.
    fn give(self, request: Request, sizes: Option<&WaveSizes>) -> anyhow::Result<ExitCode> {
        let ordered = self.ordered()?;
        let (client, config) = super::connect(&self.file)?;
        let stored = client.hosts()?;
        for warning in &stored.warnings {
            eprintln!("aop: warning: {warning}");
        }
        let MeantHosts { mut reporting, doubtful, silent } = meant(&ordered, &stored);
        let all = reporting.len();
        if sizes.is_some() {
            reporting
                .retain(|name, report| doubtful.contains(name) || !is_as_ordered(report, &request));
        }
        let orders = reporting.values().flat_map(|report| &report.orders);
        let taken = orders.map(|order| order.serial).max().unwrap_or_default();
        let as_ordered = all - reporting.len();
        let waves = match sizes {
            Some(sizes) => sizes.plan(reporting.keys().cloned()),
            None => vec![PlannedWave { places: None, hosts: reporting.keys().cloned().collect() }],
        };
        let mut result = FleetOrdered {
            silent: silent.iter().map(ToString::to_string).collect(),
            as_ordered,
            ..FleetOrdered::default()
        };
        let quiet = self.output.json;
        let preview = preview(&waves, &result);
        if !quiet {
            print(&preview)?;
        }
        if reporting.is_empty() && !self.dry_run {
            self.output.print(&result, |_| {
                if as_ordered > 0 {
                    "nothing was ordered: all are as ordered already\n".to_owned()
                } else {
                    "no host that reports is meant: nothing was ordered\n".to_owned()
                }
            })?;
            return Ok(ExitCode::from(u8::from(as_ordered == 0)));
        }
        let Some(secret) = self.secret()? else {
            self.output.print(&result, |_| "--dry-run: nothing was ordered\n".to_owned())?;
            return Ok(ExitCode::SUCCESS);
        };
        let mut orderer = Orderer { client, file: self.file, config, secret, valid: self.valid };
        let total = waves.len();
        for (number, PlannedWave { places, hosts }) in (1..).zip(waves) {
            let hosts_of = OrderedHosts { wave: places, ..ordered.clone() };
            let order = orderer.give(hosts_of, request.clone(), taken)?;
            if !quiet {
                let of =
                    if total > 1 { format!(", wave {number} of {total}") } else { String::new() };
                print(&format!("order {}{of}\n", order.serial))?;
            }
            let named: BTreeMap<FleetName, OriginReport> =
                hosts.iter().filter_map(|it| reporting.remove_entry(it)).collect();
            let wave = orderer.follow(order, &named, quiet)?;
            let stops = !wave.stopped.is_empty();
            result.waves.push(wave);
            if stops {
                result.waves_left = total - number;
                break;
            }
        }
        self.output.print(&result, summary)?;
        let stopped = result.waves.iter().any(|wave| !wave.stopped.is_empty());
        Ok(ExitCode::from(u8::from(stopped)))
    }
}

/// Whether a host has the mode that `request` asks for, and nothing waits there.
fn is_as_ordered(report: &OriginReport, request: &Request) -> bool {
    let Request::Mode(ModeChange { to, ports, sites, .. }) = request else { return false };
    let wanted = match to {
        ModeTarget::Enforce => ModeName::Enforce,
        ModeTarget::Observe => ModeName::Observe,
        ModeTarget::Default => return false,
    };
    let general = sites.is_empty() && ports.is_empty() && report.overrides.is_empty();
    let of_sites = !sites.is_empty()
        && sites
            .iter()
            .all(|site| report.sites.iter().any(|it| it.site == *site && it.mode == wanted));
    report.pending.is_none() && ((general && report.mode == wanted) || of_sites)
}

fn preview(waves: &[PlannedWave], result: &FleetOrdered) -> String {
    let mut text = Vec::new();
    if result.as_ordered > 0 {
        text.push(format!("{} as ordered already", has(result.as_ordered)));
    }
    for (number, wave) in (1..).zip(waves).filter(|(_, wave)| !wave.hosts.is_empty()) {
        let of = if waves.len() > 1 { format!("wave {number}: ") } else { String::new() };
        let (hosts, names) = (count(wave.hosts.len(), "host"), names(&wave.hosts));
        text.extend(hanging("", "  ", &format!("{of}{hosts}: {names}"), terminal_columns()));
    }
    if !result.silent.is_empty() {
        let what = match result.silent.len() {
            1 => "1 host does not report, or not clearly, and obeys if it returns".to_owned(),
            number => {
                format!("{number} hosts do not report, or not clearly, and obey if they return")
            }
        };
        text.push(format!("{what} in time: {}", names(&result.silent)));
    }
    lines(text)
}

fn has(hosts: usize) -> String {
    if hosts == 1 { "1 host is".to_owned() } else { format!("{hosts} hosts are") }
}

fn names(hosts: &[impl ToString]) -> String {
    let mut names: Vec<_> = hosts.iter().take(MAX_NAMES).map(ToString::to_string).collect();
    if hosts.len() > MAX_NAMES {
        names.push(format!("{} more", hosts.len() - MAX_NAMES));
    }
    names.join(", ")
}

fn summary(result: &FleetOrdered) -> String {
    let done: usize = result.waves.iter().map(|wave| wave.lasting).sum();
    let stopped: Vec<_> = result.waves.iter().flat_map(|wave| &wave.stopped).collect();
    if stopped.is_empty() {
        return lines([format!("OK: it holds on {}", count(done, "host"))]);
    }
    let mut text = vec![format!(
        "STOPPED: it holds on {}, and {} stopped it",
        count(done, "host"),
        count(stopped.len(), "host")
    )];
    for StoppedHost { host, why } in stopped {
        text.extend(hanging("  ", "    ", &format!("{host}: {why}"), terminal_columns()));
    }
    if result.waves_left > 0 {
        let waves = count(result.waves_left, "further wave");
        text.push(format!("{waves} not ordered; the same command goes on where this one stopped"));
    }
    lines(text)
}
