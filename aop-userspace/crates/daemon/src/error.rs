//! Why the daemon does not start, or refuses a change and keeps what is in force.

use std::{io, path::PathBuf};

use aop_common::layout::Ports;
use aop_config::{ConfigError, ReloadableConfig};
use aop_control::ControlError;
use aop_firewall::FirewallError;
use aop_prefixes::PrefixError;
use aop_sandbox::AccountError;
use aop_storage::LockError;
use aop_tls::SitesError;
use ipnet::IpNet;

use super::{
    monitor::MonitorError,
    sockets::SocketError,
    terminator_handle::TerminatorError,
    upgrade::{TakeOverError, UpgradeInProgress},
};

/// The first error of a start or a reload.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration is bad.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The prefix list cannot be used.
    #[error(transparent)]
    Prefixes(#[from] PrefixError),
    /// A certificate, key or client CA of a site cannot be used.
    #[error(transparent)]
    Sites(#[from] SitesError),
    /// A listening address cannot be used.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The firewall cannot be started or changed.
    #[error("firewall: {0}")]
    Firewall(#[from] FirewallError),
    /// The user of the terminator process cannot be used.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The terminator process does not start, or refuses.
    #[error(transparent)]
    TerminatorHandle(#[from] TerminatorError),
    /// Another daemon runs.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The control socket cannot be opened.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// `monitor.listen` cannot be used.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// The handover from the old daemon failed.
    #[error(transparent)]
    TakeOver(#[from] TakeOverError),
    /// An upgrade is under way.
    #[error(transparent)]
    HandingOver(#[from] UpgradeInProgress),
    /// Only a restart can apply this change.
    #[error(
        "{}: changes to {} need a restart (`systemctl restart aop`)",
        .file.display(),
        .keys.join(", ")
    )]
    NeedsRestart {
        /// The configuration file.
        file: PathBuf,
        /// The keys that differ.
        keys: Vec<&'static str>,
    },
    /// The daemon is stopping.
    #[error("aop is stopping and loads nothing any more")]
    Stopping,
    /// The process cannot get threads, signals or descriptors.
    #[error("the system refuses a basic resource (threads, signals, descriptors): {0}")]
    Runtime(io::Error),
}

/// Why a refresh was refused, and the list in force stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefreshError {
    /// The source failed, or its list was not accepted.
    #[error("{0}; the list in force stays")]
    Source(#[from] PrefixError),
    /// The firewall refused the list.
    #[error("the new list is valid but cannot be applied: firewall: {0}; the list in force stays")]
    Firewall(#[from] FirewallError),
    /// Another refresh is under way.
    #[error("another refresh is under way; the list in force stays until it is finished")]
    Busy,
    /// An upgrade is under way.
    #[error(transparent)]
    HandingOver(#[from] UpgradeInProgress),
    /// A reload changed the source, or the daemon began to stop, while the list was fetched.
    #[error("prefixes.source was changed or aop is stopping: the fetched list is not applied")]
    Overtaken,
}

/// Why a change of modes was refused, and the modes in force stay.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetModeError {
    /// The firewall is off.
    #[error(
        "the firewall is off, so it has no mode to change; set firewall.mode = \"observe\" and \
         restart aop"
    )]
    Off,
    /// The daemon serves no site.
    #[error(
        "aop serves no site, so there is no site mode to change, and no pull can confirm a change"
    )]
    NothingServed,
    /// The site does not exist.
    #[error("no site has the name or host {name:?}; the sites are {sites}")]
    Site {
        /// The name in the request.
        name: String,
        /// The sites of the configuration.
        sites: String,
    },
    /// The request mixes packets and sites.
    #[error("--site changes sites, --port and --interface change packets: use two commands")]
    Mixed,
    /// A site that observes would share an upstream with a site that does not.
    #[error("{0}. No mode is changed. To change several sites at once, name each with --site")]
    Shared(String),
    /// `--confirm` or `--pulls` cannot be used like that.
    #[error("{0}: no mode is changed")]
    Confirm(&'static str),
    /// The preflight found that real pulls would be refused.
    #[error(
        "enforcing would or may refuse real pulls: {}. To enforce anyway, use `--force`",
        .0.join("; ")
    )]
    Misgivings(Vec<String>),
    /// No override waits for a confirmation.
    #[error(
        "there is nothing to confirm: no override waits for it; `aop mode` shows the modes in force"
    )]
    NotPending,
    /// The port is not guarded.
    #[error(
        "port {port} is not guarded; the guarded ports are {guarded}. Add it to firewall.ports and \
         reload"
    )]
    Port {
        /// The port.
        port: u16,
        /// The guarded ports.
        guarded: String,
    },
    /// The daemon is stopping.
    #[error("aop is stopping and changes no modes any more")]
    Stopping,
    /// An upgrade is under way.
    #[error(transparent)]
    HandingOver(#[from] UpgradeInProgress),
    /// The firewall refused the modes.
    #[error("firewall: {0}; the modes in force stay")]
    Firewall(#[from] FirewallError),
    /// The prefixes, which are applied together with the modes, cannot be used.
    #[error("{0}; the modes in force stay")]
    Prefixes(#[from] PrefixError),
}

/// Why an opening was not made or closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// The network is too large, the time too long, or there are too many openings.
    #[error("{0}: no opening is made")]
    Refused(String),
    /// There is no such opening.
    #[error("{0} is not open; see `aop open --list`")]
    NotOpen(IpNet),
    /// The daemon is stopping.
    #[error("aop is stopping and opens or closes nothing any more")]
    Stopping,
    /// An upgrade is under way.
    #[error(transparent)]
    HandingOver(#[from] UpgradeInProgress),
    /// The firewall refused the admitted prefixes.
    #[error("firewall: {0}; the admitted prefixes stay as they were")]
    Firewall(#[from] FirewallError),
    /// The prefixes, which are applied together with the openings, cannot be used.
    #[error("{0}; the admitted prefixes stay as they were")]
    Prefixes(#[from] PrefixError),
}

/// Why the authenticated peers cannot be listed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeersError {
    /// Their map cannot be read.
    #[error("firewall: {0}")]
    Firewall(#[from] FirewallError),
    /// The terminator, which keeps them without a firewall, does not answer.
    #[error(transparent)]
    TerminatorHandle(#[from] TerminatorError),
}

impl SetModeError {
    pub(super) fn site(name: &str, live: &ReloadableConfig) -> Self {
        const SHOWN: usize = 20;
        let more = live.sites.get(SHOWN).map(|_| "more".to_owned());
        let shown = live.site_names().into_iter().take(SHOWN).chain(more);
        Self::Site { name: name.to_owned(), sites: shown.collect::<Vec<_>>().join(", ") }
    }

    pub(super) fn port(port: u16, guarded: &Ports) -> Self {
        const SHOWN: usize = 20;
        let mut all = (1..=u16::MAX).filter(|port| guarded.contains(*port));
        let mut shown: Vec<String> = all.by_ref().take(SHOWN).map(|it| it.to_string()).collect();
        shown.extend(all.next().map(|_| "more".to_owned()));
        Self::Port { port, guarded: shown.join(", ") }
    }
}
