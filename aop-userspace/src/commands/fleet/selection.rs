//! The hosts that an order is for, and who signs it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, bail};
use aop_api::{OrderedHosts, OriginReport};
use aop_config::FleetName;
use aop_fleet::{
    StoredFleet,
    orders::{MAX_LIFE, OperatorSecret, hosts_include},
};
use clap::Args;

use super::HostSelection;
use crate::{
    arguments::{ConfigFile, Output, duration},
    commands::ca::PassphraseFile,
};

/// The arguments of every order.
#[derive(Args)]
pub(super) struct Ordering {
    #[command(flatten)]
    pub(super) file: ConfigFile,
    #[command(flatten)]
    hosts: HostSelection,
    /// Order every host of the fleet
    #[arg(long, conflicts_with_all = ["names", "labels"])]
    all: bool,
    /// The private key of an operator, which signs the order (`aop fleet key create`)
    #[arg(long, value_name = "FILE", required_unless_present = "dry_run")]
    key: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseFile,
    /// The time in which a host may take the order, 24h at most
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = life)]
    pub(super) valid: Duration,
    /// Only show which hosts are meant, and the orders
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) output: Output,
}

fn life(text: &str) -> Result<Duration, String> {
    let life = duration(text)?;
    let bounds = Duration::from_secs(30)..=MAX_LIFE;
    if bounds.contains(&life) { Ok(life) } else { Err("the time is from 30s to 24h".to_owned()) }
}

/// The hosts that are meant.
#[derive(Default)]
pub(super) struct MeantHosts {
    /// Those that report.
    pub(super) reporting: BTreeMap<FleetName, OriginReport>,
    /// Those of them whose report may not be theirs.
    pub(super) doubtful: BTreeSet<FleetName>,
    /// Those that do not, or whose report cannot be read or is that of another host.
    pub(super) silent: Vec<FleetName>,
}

impl Ordering {
    /// The hosts, as the order names them.
    ///
    /// # Errors
    /// No host is named: that means nobody.
    pub(super) fn ordered(&self) -> anyhow::Result<OrderedHosts> {
        let HostSelection { names, labels } = &self.hosts;
        if names.is_empty() && labels.is_empty() && !self.all {
            bail!("no host is named: give --host, --label or --all");
        }
        let names = if names.is_empty() { vec!["*".to_owned()] } else { names.clone() };
        Ok(OrderedHosts { names, labels: labels.iter().cloned().collect(), wave: None })
    }

    /// The key that signs.
    pub(super) fn secret(&self) -> anyhow::Result<Option<OperatorSecret>> {
        match (&self.key, self.dry_run) {
            (_, true) => Ok(None),
            (Some(file), false) => self.passphrase.open_operator(file).map(Some),
            (None, false) => None.context("--key is missing"),
        }
    }
}

/// The hosts of `stored` that `ordered` means.
pub(super) fn meant(ordered: &OrderedHosts, stored: &StoredFleet) -> MeantHosts {
    let mut meant = MeantHosts::default();
    // A host without a report shows no labels; it may have those of the order.
    let by_name = OrderedHosts { labels: BTreeMap::new(), ..ordered.clone() };
    let names: BTreeSet<_> = stored.reports().keys().chain(stored.seen.keys()).collect();
    for name in names {
        match stored.reports().get(name) {
            Some(Ok(report)) if hosts_include(ordered, name, &report.labels) => {
                meant.doubtful.extend(stored.doubt(name).map(|_| name.clone()));
                meant.reporting.insert(name.clone(), report.clone());
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None if hosts_include(&by_name, name, &BTreeMap::new()) => {
                meant.silent.push(name.clone());
            }
            Some(Err(_)) | None => {}
        }
    }
    meant
}
