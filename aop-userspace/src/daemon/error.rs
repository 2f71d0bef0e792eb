//! Why the daemon does not start, or keeps what it had.

use std::{io, path::PathBuf};

use super::link::LinkError;
use crate::{
    config::ConfigError,
    confined::AccountError,
    control::{ControlError, LockError},
    firewall::FirewallError,
    prefixes::PrefixError,
    terminator::BindError,
    tls::SitesError,
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
    Bind(#[from] BindError),
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
    /// A reload wants what only a restart can do.
    #[error("{}: changes to {} need a restart (`systemctl restart aop`)", .file.display(), .keys.join(", "))]
    NeedsRestart {
        /// The configuration.
        file: PathBuf,
        /// The keys that differ.
        keys: Vec<&'static str>,
    },
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
    /// A reload or the end came in between.
    #[error("prefixes.source was changed or aop is stopping: what was read is not applied")]
    Overtaken,
}
