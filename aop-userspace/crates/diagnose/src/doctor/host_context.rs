//! The state of the host that every check starts from.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use aop_api::{CheckReport, Status};
use aop_config::{Config, ConfigError, Interfaces, Paths};
use aop_firewall::{FirewallError, FirewallSnapshot, HostInterface, LinkKind, PacketCounts};

use super::procfs::Sockets;

/// The certificate that was uploaded to the CDN, and its key.
pub struct CertificatePair {
    /// PEM, the leaf first.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// The state of the host, as far as it is readable.
pub struct HostContext {
    /// The result of `aop check`.
    pub(super) checked: CheckReport,
    /// The result of `aop status`, with a daemon or without one.
    pub(super) status: Status,
    pub(super) pair: Option<CertificatePair>,
    /// `None` if it cannot be read; `checked` says why.
    pub(super) config: Option<Config>,
    pub(super) paths: Paths,
    /// The pinned firewall; `None` if none is loaded.
    pub(super) reading: Option<FirewallSnapshot>,
    pub(super) interfaces: Vec<HostInterface>,
    /// The packets of each guarded interface before all other checks.
    pub(super) packet_counts: Vec<PacketCounts>,
    pub(super) sockets: Sockets,
}

/// Why the state of the host cannot be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum HostContextError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Firewall(#[from] FirewallError),
}

impl HostContext {
    /// Reads the state of this host, of which `file` is the configuration.
    ///
    /// # Errors
    /// `file` is not TOML, or the pinned firewall or the host's interfaces cannot be read.
    pub fn read(
        file: &Path,
        checked: CheckReport,
        status: Status,
        pair: Option<CertificatePair>,
    ) -> Result<Self, HostContextError> {
        let paths = Config::paths(file)?;
        let config = Config::load(file).ok();
        let wanted: Option<&Interfaces> = config.as_ref().map(|config| &config.live.interfaces);
        let reading = aop_firewall::read(&paths.pins, wanted)?;
        let interfaces = aop_firewall::host_interfaces()?;
        let packet_counts = aop_firewall::packet_counts(&paths.pins)?;
        let sockets = Sockets::read();
        Ok(Self {
            checked,
            status,
            pair,
            config,
            paths,
            reading,
            interfaces,
            packet_counts,
            sockets,
        })
    }

    /// Whether a port is guarded by the loaded firewall or, if none is loaded, by the
    /// configuration.
    pub(super) fn guards(&self, port: u16) -> bool {
        match (&self.reading, &self.config) {
            (Some(reading), _) => reading.ports.contains(port),
            (None, Some(config)) => {
                config.fixed.firewall.is_some() && config.live.ports.contains(port)
            }
            (None, None) => false,
        }
    }

    pub(super) fn guarded_ports(&self) -> Vec<u16> {
        (1..=u16::MAX).filter(|port| self.guards(*port)).collect()
    }

    /// Whether the packets of this interface are filtered: on itself, on its parent, or on all of
    /// its members.
    pub(super) fn is_guarded(&self, interface: &HostInterface) -> bool {
        let attached = |name: &str| {
            self.status.interfaces.iter().any(|guarded| guarded.attached && guarded.name == name)
        };
        is_filtered(interface, &self.interfaces, &attached)
    }

    /// Whether packets arrive on this interface from outside and are not filtered. Packets of a
    /// port of a bridge or bond arrive at that.
    pub(super) fn is_unfiltered(&self, interface: &HostInterface) -> bool {
        let is_port = self
            .interfaces
            .iter()
            .any(|it| interface.controller == Some(it.index) && it.kind != LinkKind::Internal);
        let receives = interface.up && interface.kind != LinkKind::Internal && !is_port;
        receives && !self.is_guarded(interface)
    }

    /// The interfaces and addresses at which other hosts reach a socket bound to `local`. Empty for
    /// a socket on the loopback.
    pub(super) fn reached_by(&self, local: SocketAddr) -> Vec<(&HostInterface, IpAddr)> {
        let takes = |address: &IpAddr| {
            if local.ip().is_unspecified() {
                local.is_ipv6() || address.is_ipv4()
            } else {
                *address == local.ip()
            }
        };
        let up = self.interfaces.iter().filter(|it| it.up && !it.loopback);
        up.flat_map(|it| it.addresses.iter().filter(|at| takes(at)).map(move |at| (it, *at)))
            .collect()
    }

    pub(super) fn has_daemon(&self) -> bool {
        self.status.daemon.is_some()
    }
}

/// Whether every frame of this interface is filtered if the interfaces in `attached` are guarded.
fn is_filtered(
    interface: &HostInterface,
    all: &[HostInterface],
    attached: &impl Fn(&str) -> bool,
) -> bool {
    let below = all.iter().find(|it| interface.parent == Some(it.index));
    let joins = |it: &&HostInterface| it.up && it.controller == Some(interface.index);
    let mut joined = all.iter().filter(joins).peekable();
    attached(&interface.name)
        || below.is_some_and(|below| is_filtered(below, all, attached))
        || (joined.peek().is_some() && joined.all(|it| attached(&it.name)))
}

#[cfg(test)]
mod tests {
    use aop_firewall::LinkKind;

    use super::*;

    #[test]
    fn a_vlan_is_guarded_by_its_parent_and_a_bridge_by_all_of_its_members() {
        let interface = |name: &str, index, parent, controller| HostInterface {
            name: name.to_owned(),
            index,
            up: true,
            ethernet: true,
            loopback: false,
            kind: LinkKind::Other,
            parent,
            controller,
            program: None,
            addresses: Vec::new(),
        };
        let all = [
            interface("eth0", 2, None, Some(4)),
            interface("eth0.7", 3, Some(2), None),
            interface("br0", 4, None, None),
            interface("eth1", 5, None, Some(4)),
            interface("br0.7", 6, Some(4), None),
        ];
        let filtered = |at: usize, guarded: &[&str]| {
            is_filtered(&all[at], &all, &|name: &str| guarded.contains(&name))
        };
        assert!(
            filtered(1, &["eth0"]) && filtered(1, &["eth0.7"]) && !filtered(1, &["eth1", "br0"])
        );
        assert!(filtered(2, &["eth0", "eth1"]) && filtered(2, &["br0"]));
        assert!(!filtered(2, &["eth0"]) && !filtered(2, &["eth1"]));
        assert!(filtered(4, &["eth0", "eth1"]) && !filtered(4, &["eth1"]));
        assert!(filtered(3, &["eth1"]) && !filtered(3, &["br0"]));
    }
}
