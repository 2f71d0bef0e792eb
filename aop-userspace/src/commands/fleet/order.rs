//! The verbs that give an order to hosts of a fleet, in waves where the operator wants them.

use std::{process::ExitCode, time::Duration};

use aop_api::{ModeChange, ModeTarget, RefreshAction, Request};
use aop_fleet::WaveSizes;
use clap::Args;
use ipnet::IpNet;

use super::selection::Ordering;
use crate::{arguments::duration, commands::open::network};

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
