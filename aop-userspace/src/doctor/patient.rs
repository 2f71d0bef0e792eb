//! What is known of the host before anything is tried.

use std::path::{Path, PathBuf};

use super::host::Sockets;
use crate::{
    config::{Config, ConfigError, Interfaces, Paths},
    control::{Checked, Status},
    firewall::{self, FirewallError, HostInterface, Reading},
};

/// The certificate that was uploaded to the CDN, and its key.
pub struct Pair {
    /// PEM, the leaf first.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// The host, as far as it can be read.
pub struct Patient {
    /// What `aop check` says.
    pub(super) checked: Checked,
    /// What `aop status` says, with a daemon or without one.
    pub(super) status: Status,
    pub(super) pair: Option<Pair>,
    /// `None` where it cannot be read; `checked` says why.
    pub(super) config: Option<Config>,
    pub(super) paths: Paths,
    /// What is pinned; `None` where nothing is.
    pub(super) reading: Option<Reading>,
    pub(super) interfaces: Vec<HostInterface>,
    pub(super) sockets: Sockets,
}

/// Why nothing can be looked at.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum ExamineError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Firewall(#[from] FirewallError),
}

impl Patient {
    /// The host that `file` is the configuration of, with what check and status say.
    ///
    /// # Errors
    /// `file` is no TOML, or what is pinned or the host's interfaces cannot be read.
    pub fn examine(
        file: &Path,
        checked: Checked,
        status: Status,
        pair: Option<Pair>,
    ) -> Result<Self, ExamineError> {
        let paths = Config::paths(file)?;
        let config = Config::load(file).ok();
        let wanted: Option<&Interfaces> = config.as_ref().map(|config| &config.live.interfaces);
        let reading = firewall::read(&paths.pins, wanted)?;
        let interfaces = firewall::host_interfaces()?;
        let sockets = Sockets::read();
        Ok(Self { checked, status, pair, config, paths, reading, interfaces, sockets })
    }

    /// Whether a port is guarded by what is in force, or else would be by the configuration.
    pub(super) fn guards(&self, port: u16) -> bool {
        match (&self.reading, &self.config) {
            (Some(reading), _) => reading.ports.contains(port),
            (None, Some(config)) => {
                config.fixed.firewall.is_some() && config.live.ports.contains(port)
            }
            (None, None) => false,
        }
    }

    /// The guarded ports.
    pub(super) fn guarded_ports(&self) -> Vec<u16> {
        (1..=u16::MAX).filter(|port| self.guards(*port)).collect()
    }

    /// Whether packets of this interface are judged: on itself, where it runs over another, or where
    /// it joins others.
    pub(super) fn is_guarded(&self, interface: &HostInterface) -> bool {
        let attached = |name: &str| {
            self.status.interfaces.iter().any(|guarded| guarded.attached && guarded.name == name)
        };
        bearers(interface, &self.interfaces).any(|bearer| attached(&bearer.name))
    }

    /// The addresses at which others reach `socket`'s port, with their interfaces: none for one that
    /// listens on the loopback alone.
    pub(super) fn reached_by(
        &self,
        local: std::net::SocketAddr,
    ) -> Vec<(&HostInterface, std::net::IpAddr)> {
        let takes = |address: &std::net::IpAddr| match local.ip().is_unspecified() {
            true => local.is_ipv6() || address.is_ipv4(),
            false => *address == local.ip(),
        };
        let up = self.interfaces.iter().filter(|it| it.up && !it.loopback);
        up.flat_map(|it| it.addresses.iter().filter(|at| takes(at)).map(move |at| (it, *at)))
            .collect()
    }

    pub(super) fn has_daemon(&self) -> bool {
        self.status.daemon.is_some()
    }
}

/// The interfaces at which frames of this one can be judged: itself, what it runs over, and what it
/// joins.
fn bearers<'a>(
    interface: &'a HostInterface,
    all: &'a [HostInterface],
) -> impl Iterator<Item = &'a HostInterface> {
    all.iter().filter(|other| {
        other.index == interface.index
            || Some(other.index) == interface.parent
            || other.controller == Some(interface.index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_is_judged_below_and_a_bridge_at_what_it_joins() {
        let interface = |name: &str, index, parent, controller| HostInterface {
            name: name.to_owned(),
            index,
            up: true,
            loopback: false,
            parent,
            controller,
            addresses: Vec::new(),
        };
        let all = [
            interface("eth0", 2, None, Some(4)),
            interface("eth0.7", 3, Some(2), None),
            interface("br0", 4, None, None),
            interface("eth1", 5, None, None),
        ];
        let names = |at: usize| bearers(&all[at], &all).map(|it| &*it.name).collect::<Vec<_>>();
        assert_eq!(names(1), ["eth0", "eth0.7"]);
        assert_eq!(names(2), ["eth0", "br0"]);
        assert_eq!(names(3), ["eth1"]);
    }
}
