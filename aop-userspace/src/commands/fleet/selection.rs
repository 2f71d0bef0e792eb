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
    HostFilter, StoredFleet,
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
    /// No host is named: that means nobody. Or no host can have the labels.
    pub(super) fn ordered(&self) -> anyhow::Result<OrderedHosts> {
        let HostFilter { names, labels } = self.hosts.filter()?;
        if names.is_empty() && labels.is_empty() && !self.all {
            bail!("no host is named: give --host, --label or --all");
        }
        let names = match names.is_empty() {
            true => vec!["*".to_owned()],
            false => names.iter().map(ToString::to_string).collect(),
        };
        Ok(OrderedHosts { names, labels, wave: None })
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
    let names: BTreeSet<_> = stored.reports().keys().chain(stored.seen.keys()).collect();
    for name in names {
        match stored.reports().get(name) {
            Some(Ok(report)) if hosts_include(ordered, name, &report.labels) => {
                meant.doubtful.extend(stored.doubt(name).map(|_| name.clone()));
                meant.reporting.insert(name.clone(), report.clone());
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None if may_include(ordered, name) => meant.silent.push(name.clone()),
            Some(Err(_)) | None => {}
        }
    }
    meant
}

/// Whether `ordered` may include the host of this name, which shows no labels.
pub(super) fn may_include(ordered: &OrderedHosts, name: &FleetName) -> bool {
    let by_name = OrderedHosts { labels: BTreeMap::new(), ..ordered.clone() };
    hosts_include(&by_name, name, &BTreeMap::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_shows_no_labels_is_listed_where_its_name_is_meant() {
        let name = |text: &str| text.parse::<FleetName>().expect("a name");
        let mut stored = StoredFleet::default();
        stored.add_report(name("web-1"), None);
        stored.add_report(name("db-1"), None);
        stored.seen.insert(name("web-2"), "2026-11-30T12:00:00Z".parse().expect("a time"));
        let labels: BTreeMap<_, _> = [("ring".to_owned(), "canary".to_owned())].into();
        let silent = |names: &str| {
            let names = vec![names.to_owned()];
            let ordered = OrderedHosts { names, labels: labels.clone(), wave: None };
            meant(&ordered, &stored).silent
        };
        assert_eq!(silent("web-*"), [name("web-1"), name("web-2")]);
        assert_eq!(silent("db-*"), [name("db-1")]);
        assert_eq!(silent("app-*"), []);
    }
}
