//! `aop fleet`: all hosts that report to one etcd. These verbs ask etcd and no daemon, so they also
//! work on the workstation of an operator, with `[fleet]` alone in a file.

mod forget;
mod giving;
mod identities;
mod key;
mod order;
mod order_page;
mod orderer;
mod orders;
mod page;
mod patience;
mod progress_line;
mod selection;
mod standing;
mod status;
mod table;

use std::{collections::BTreeMap, fmt, process::ExitCode};

use anyhow::{Context, bail};
use aop_config::{Config, FleetConfig};
use aop_fleet::{FleetAccess, FleetClient, HostFilter, NamePattern};
use aop_sandbox::{Account, Launcher, NameLookup};
use clap::{Args, Subcommand};

use crate::arguments::ConfigFile;

#[derive(Args)]
pub(crate) struct FleetCommand {
    #[command(subcommand)]
    verb: FleetVerb,
}

#[derive(Subcommand)]
enum FleetVerb {
    /// Show all hosts that report, the worst first, with sums
    Status(status::FleetStatusCommand),
    /// Serve status, certificates and orders as a live page for a browser on this host
    Page(page::FleetPageCommand),
    /// Show which client certificate arrives at which hosts, and where it does not
    Identities(identities::FleetIdentitiesCommand),
    /// Let hosts drop packets from strangers, or with --site refuse peers without a certificate
    Enforce(order::EnforceCommand),
    /// Let hosts pass everything, and count what enforce would drop or refuse
    Observe(order::ObserveCommand),
    /// Make the new mode permanent on the hosts on which it waits
    Confirm(order::ConfirmCommand),
    /// Let hosts admit a network for a time, or close such an opening
    Open(order::FleetOpenCommand),
    /// Let hosts fetch and apply their prefix list
    Refresh(order::RefreshCommand),
    /// Let hosts read their configuration again
    Reload(order::FleetReloadCommand),
    /// Show the orders that count now, and the hosts that took them
    Orders(orders::OrdersCommand),
    /// The key of an operator, which signs orders
    Key(key::KeyCommand),
    /// Forget a host that does not report any more
    Forget(forget::ForgetCommand),
}

#[derive(Args)]
struct HostSelection {
    /// Only hosts of this name; * stands for any characters, ? for one. May be repeated
    #[arg(long = "host", value_name = "NAME")]
    names: Vec<NamePattern>,
    /// Only hosts that report and have this label. May be repeated with other keys: a host must
    /// have all
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
}

impl HostSelection {
    fn filter(&self) -> anyhow::Result<HostFilter> {
        Ok(HostFilter { names: self.names.clone(), labels: self.labels()? })
    }

    /// The labels, by key.
    ///
    /// # Errors
    /// A key has two values: no host has both.
    fn labels(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut labels = BTreeMap::new();
        for (key, value) in &self.labels {
            if let Some(other) = labels.insert(key.clone(), value.clone())
                && other != *value
            {
                bail!(
                    "--label {key}={other} and --label {key}={value}: a host has one value for a \
                     key. Run the verb once for each"
                );
            }
        }
        Ok(labels)
    }
}

/// As on the command line; empty for all hosts.
impl fmt::Display for HostSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names.iter().map(|name| format!("--host {name}"));
        let labels = self.labels.iter().map(|(key, value)| format!("--label {key}={value}"));
        f.write_str(&names.chain(labels).collect::<Vec<_>>().join(" "))
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    pair.ok_or_else(|| "expected a label such as ring=canary".to_owned())
}

impl FleetCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.verb {
            FleetVerb::Status(verb) => verb.run(),
            FleetVerb::Page(verb) => verb.run(),
            FleetVerb::Identities(verb) => verb.run(),
            FleetVerb::Enforce(verb) => verb.run(),
            FleetVerb::Observe(verb) => verb.run(),
            FleetVerb::Confirm(verb) => verb.run(),
            FleetVerb::Open(verb) => verb.run(),
            FleetVerb::Refresh(verb) => verb.run(),
            FleetVerb::Reload(verb) => verb.run(),
            FleetVerb::Orders(verb) => verb.run(),
            FleetVerb::Key(verb) => verb.run(),
            FleetVerb::Forget(verb) => verb.run(),
        }
    }
}

/// Connects to the etcd of the fleet that `file` names.
fn connect(file: &ConfigFile) -> anyhow::Result<(FleetClient, FleetConfig)> {
    let config = Config::fleet(&file.config)?.with_context(|| {
        format!(
            "{}: there is no [fleet]: name the etcd of the fleet there, or another file with \
             --config (docs/fleet.md)",
            file.config.display()
        )
    })?;
    Ok((connect_to(&config)?, config))
}

/// Connects to the etcd of a fleet.
pub(super) fn connect_to(config: &FleetConfig) -> anyhow::Result<FleetClient> {
    let launcher = Launcher::new(Account::find(None)?, Vec::new());
    let access = FleetAccess::read(config)?;
    Ok(FleetClient::start(&launcher, access, NameLookup::AtStart, 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_label_has_one_value() {
        let selected = |labels: &[&str]| {
            let labels = labels.iter().map(|text| label(text).expect("a label")).collect();
            HostSelection { names: Vec::new(), labels }.filter()
        };
        for labels in [&["ring=canary", "region=eu"][..], &["ring=canary", "ring=canary"]] {
            assert_eq!(selected(labels).expect("a filter").labels["ring"], "canary");
        }
        let refused = selected(&["ring=canary", "ring=prod"]).expect_err("two rings").to_string();
        assert!(refused.contains("--label ring=canary and --label ring=prod"), "{refused}");
    }
}
