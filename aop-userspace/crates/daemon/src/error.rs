//! Why the daemon does not start, or keeps what it had.

use std::{io, path::PathBuf};

use aop_common::layout::Ports;
use aop_config::{ConfigError, Live};
use aop_control::ControlError;
use aop_firewall::FirewallError;
use aop_prefixes::PrefixError;
use aop_sandbox::AccountError;
use aop_storage::LockError;
use aop_tls::SitesError;
use ipnet::IpNet;

use super::{
    link::LinkError,
    monitor::MonitorError,
    sockets::SocketError,
    upgrade::{HandingOver, TakeOverError},
};

/// The first thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The prefix list.
    #[error(transparent)]
    Prefixes(#[from] PrefixError),
    /// A certificate, key or anchor of a site.
    #[error(transparent)]
    Sites(#[from] SitesError),
    /// A listening address.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The firewall.
    #[error("firewall: {0}")]
    Firewall(#[from] FirewallError),
    /// The user of the terminator.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The terminator process.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Another daemon.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The place where this host asks.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// The daemon that hands over.
    #[error(transparent)]
    TakeOver(#[from] TakeOverError),
    /// Another daemon is about to take over.
    #[error(transparent)]
    HandingOver(#[from] HandingOver),
    /// A reload wants what only a restart can do.
    #[error("{}: changes to {} need a restart (`systemctl restart aop`)", .file.display(), .keys.join(", "))]
    NeedsRestart {
        /// The configuration.
        file: PathBuf,
        /// The keys that differ.
        keys: Vec<&'static str>,
    },
    /// The end has begun.
    #[error("aop is stopping: nothing is loaded any more")]
    Stopping,
    /// The process itself.
    #[error("the system refuses what every process may: {0}")]
    Runtime(io::Error),
}

/// Why the list in force stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefreshError {
    /// The source.
    #[error("{0}; the list in force stays")]
    Source(#[from] PrefixError),
    /// The packet path.
    #[error("the list was good but cannot be applied: firewall: {0}; the list in force stays")]
    Firewall(#[from] FirewallError),
    /// Another refresh is under way.
    #[error("another refresh is under way; the list in force stays until that is done")]
    Busy,
    /// Another daemon is about to take over.
    #[error(transparent)]
    HandingOver(#[from] HandingOver),
    /// A reload or the end came in between.
    #[error("prefixes.source was changed or aop is stopping: what was read is not applied")]
    Overtaken,
}

/// Why the modes in force stay.
#[derive(Debug, thiserror::Error)]
pub(super) enum SwitchError {
    /// There is nothing to switch.
    #[error(
        "the firewall is off, so there is no mode to switch; set firewall.mode = \"observe\" and \
         restart aop"
    )]
    Off,
    /// No site is served.
    #[error(
        "aop serves no site, so there is none to switch, and no pull that would confirm anything"
    )]
    NothingServed,
    /// No site is called so.
    #[error("no site is called {name:?} or answers for it; there are {sites}")]
    Site {
        /// What was named.
        name: String,
        /// Those that there are.
        sites: String,
    },
    /// Both packets and pulls.
    #[error("--site is about pulls, --port and --interface about packets: say them one by one")]
    Mixed,
    /// A site that observes would share an upstream with one that does not.
    #[error(
        "{0}. Nothing is switched; several sites are switched at once by naming each with --site"
    )]
    Shared(String),
    /// It is not to be confirmed like that.
    #[error("{0}: nothing is switched")]
    Confirm(&'static str),
    /// It would cut real pulls.
    #[error("enforcing would cut real pulls, or may: {}. `--force` enforces all the same", .0.join("; "))]
    Misgivings(Vec<String>),
    /// There is nothing to confirm.
    #[error(
        "nothing waits to be confirmed: what was said lasts, or was taken back at its time; see \
         `aop mode`"
    )]
    NotPending,
    /// A port that is not guarded.
    #[error(
        "port {port} is not guarded; guarded are {guarded}. Add it to firewall.ports and reload"
    )]
    Port {
        /// The port.
        port: u16,
        /// Those that are.
        guarded: String,
    },
    /// The end has begun.
    #[error("aop is stopping: nothing is switched any more")]
    Stopping,
    /// Another daemon is about to take over.
    #[error(transparent)]
    HandingOver(#[from] HandingOver),
    /// The packet path.
    #[error("firewall: {0}; the modes in force stay")]
    Firewall(#[from] FirewallError),
    /// The list that is applied again with the modes.
    #[error("{0}; the modes in force stay")]
    Prefixes(#[from] PrefixError),
}

/// Why who is admitted stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// It is more than is opened.
    #[error("{0}: nothing is opened")]
    Refused(String),
    /// There is nothing to close.
    #[error("{0} is not open; see `aop open --list`")]
    NotOpen(IpNet),
    /// The end has begun.
    #[error("aop is stopping: nothing is opened or closed any more")]
    Stopping,
    /// Another daemon is about to take over.
    #[error(transparent)]
    HandingOver(#[from] HandingOver),
    /// The packet path.
    #[error("firewall: {0}; who is admitted stays")]
    Firewall(#[from] FirewallError),
    /// The list that is applied again with what is open.
    #[error("{0}; who is admitted stays")]
    Prefixes(#[from] PrefixError),
}

/// Why the peers on record cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeersError {
    /// The packet path, whose map has them.
    #[error("firewall: {0}")]
    Firewall(#[from] FirewallError),
    /// The terminator, whose memory has them.
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl SwitchError {
    pub(super) fn site(name: &str, live: &Live) -> Self {
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
