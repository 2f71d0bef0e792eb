//! Why the daemon does not start, or refuses a change and keeps what is in force.

use std::{io, path::PathBuf};

use aop_common::layout::Ports;
use aop_config::{ConfigError, ReloadableConfig};
use aop_control::ControlError;
use aop_firewall::FirewallError;
use aop_monitor::MonitorError;
use aop_prefixes::PrefixError;
use aop_sandbox::{AccountError, channel};
use aop_storage::LockError;
use aop_tls::SitesError;
use ipnet::IpNet;

use super::{
    lifecycle::NotNow, mode_overrides::OverrideFileError, sockets::SocketError,
    terminator_handle::TerminatorError, turn::ApplyError, upgrade::TakeOverError,
};

const MIB: usize = 1024 * 1024;

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
    /// The files of the sites do not fit into a message to the terminator process.
    #[error(
        "{}: this file and those of its sites take {} MiB, and the terminator process is sent at \
         most {} MiB. The largest is {}. Files of the same content count once, and a DER file counts \
         about twice: write long revocation lists as PEM, and name one list for all sites of a CA",
        file.display(),
        size.div_ceil(MIB),
        channel::MAX_LENGTH / MIB,
        largest.display()
    )]
    FilesTooLarge {
        /// The configuration file.
        file: PathBuf,
        /// The size in bytes.
        size: usize,
        /// The largest file.
        largest: PathBuf,
    },
    /// A changed revocation list would revoke less, or refuse everybody.
    #[error("{0}; the list in force stays, and `aop reload` takes up the new one")]
    Declined(String),
    /// A listening address cannot be used.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A policy cannot be applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The firewall cannot be started.
    #[error("firewall: {0}")]
    Firewall(#[from] FirewallError),
    /// The user of the terminator process cannot be used.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The terminator process does not start, or refuses.
    #[error(transparent)]
    Terminator(#[from] TerminatorError),
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
    /// Nothing may be changed now.
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// A reload cannot apply this change.
    #[error(
        "{}: changes to {} need {}",
        .file.display(),
        .keys.join(", "),
        new_process(.keys)
    )]
    NeedsRestart {
        /// The configuration file.
        file: PathBuf,
        /// The keys that differ.
        keys: Vec<&'static str>,
    },
    /// The process cannot get threads, signals or descriptors.
    #[error("the system refuses a basic resource (threads, signals, descriptors): {0}")]
    Runtime(io::Error),
}

/// Keys that a successor cannot change: it takes over what they name.
const OF_BOTH_PROCESSES: [&str; 5] = [
    "paths",
    "firewall.mode (to or from off)",
    "firewall.mode (to off)",
    "firewall.attach",
    "control.readers",
];

/// How changes to these keys are applied.
fn new_process(keys: &[&str]) -> &'static str {
    match keys.iter().any(|key| OF_BOTH_PROCESSES.contains(key)) {
        true => "a restart (`systemctl restart aop`)",
        false => "a new process: `aop upgrade` (no connection is cut), or `systemctl restart aop`",
    }
}

/// Why a refresh was refused, and the list in force stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefreshError {
    /// The source failed, or its list was not accepted.
    #[error("{0}; the list in force stays")]
    Source(#[from] PrefixError),
    /// The list cannot be applied.
    #[error("the new list is valid but cannot be applied: {0}; the list in force stays")]
    Apply(#[from] ApplyError),
    /// Another refresh is under way.
    #[error("another refresh is under way; the list in force stays until it is finished")]
    Busy,
    /// Nothing may be changed now.
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// A reload changed the source while the list was fetched.
    #[error("prefixes.source was changed: the fetched list is not applied")]
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
    /// The preflight found that real pulls would be refused, or known sources dropped.
    #[error(
        "enforcing would or may cut off real pulls or sources of yours: {}. To enforce anyway, use `--force`",
        .0.join("; ")
    )]
    PreflightFailed(Vec<String>),
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
    /// Nothing may be changed now.
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// The interface is not guarded.
    #[error("firewall: {0}; the modes in force stay")]
    Interface(FirewallError),
    /// The modes cannot be applied.
    #[error("{0}; the modes in force stay")]
    Apply(#[from] ApplyError),
    /// The overrides cannot be stored.
    #[error("no mode is changed, because a restart would undo the change: {0}")]
    NotStored(OverrideFileError),
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
    /// Nothing may be changed now.
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// The prefixes cannot be applied.
    #[error("{0}; the admitted prefixes stay as they were")]
    Apply(#[from] ApplyError),
}

/// Why the authenticated peers cannot be listed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeersError {
    /// Their map cannot be read.
    #[error("firewall: {0}")]
    Firewall(#[from] FirewallError),
    /// The terminator, which keeps them without a firewall, does not answer.
    #[error(transparent)]
    Terminator(#[from] TerminatorError),
}

/// How many names an error lists.
const SHOWN: usize = 20;

impl SetModeError {
    pub(super) fn unknown_site(name: &str, live: &ReloadableConfig) -> Self {
        Self::Site { name: name.to_owned(), sites: first(live.site_names().into_iter()) }
    }

    pub(super) fn unguarded_port(port: u16, guarded: &Ports) -> Self {
        let guarded = (1..=u16::MAX).filter(|port| guarded.contains(*port));
        Self::Port { port, guarded: first(guarded.map(|port| port.to_string())) }
    }
}

/// The first names of a list, and whether there are more.
fn first(mut names: impl Iterator<Item = String>) -> String {
    let mut shown: Vec<String> = names.by_ref().take(SHOWN).collect();
    shown.extend(names.next().map(|_| "more".to_owned()));
    shown.join(", ")
}
