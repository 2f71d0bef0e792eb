//! The address check in user space: a second look behind the firewall, and the only one where
//! that is off. It judges by the same admission and the same peers.

use std::{net::IpAddr, sync::Arc};

use aop_common::Standing;
use aop_config::Live;
use aop_types::{Admission, Entrance, Gate, Modes, PeerBook, monotonic_seconds};
use arc_swap::ArcSwap;

use super::peers::Peers;

/// Who may open an origin pull.
pub(crate) struct AddressGate {
    rules: ArcSwap<Rules>,
    peers: Peers,
}

struct Rules {
    admission: Admission,
    modes: Modes,
    /// Whether the packet path lets strangers try to authenticate, within a budget.
    probation: bool,
}

impl AddressGate {
    pub(super) fn new(admission: Admission, live: &Live, modes: Modes, peers: Peers) -> Self {
        peers.trust_for(live.trust);
        Self { rules: ArcSwap::from_pointee(Rules::new(admission, live, modes, &peers)), peers }
    }

    pub(super) fn replace(&self, admission: Admission, live: &Live, modes: Modes) {
        self.peers.trust_for(live.trust);
        self.rules.store(Arc::new(Rules::new(admission, live, modes, &self.peers)));
    }

    pub(super) fn peers(&self) -> &Peers {
        &self.peers
    }
}

impl Rules {
    fn new(admission: Admission, live: &Live, modes: Modes, peers: &Peers) -> Self {
        // Without a firewall nothing bounds the strangers, so none may try.
        let probation = live.probation > 0 && matches!(peers, Peers::Pinned(_));
        Self { admission, modes, probation }
    }
}

impl Gate for AddressGate {
    fn entrance(&self, address: IpAddr, port: u16) -> Entrance {
        let rules = self.rules.load();
        match rules.admission.standing(address, monotonic_seconds()) {
            Standing::Admitted => Entrance::Open,
            Standing::Draining if self.peers.knows(address) => Entrance::Open,
            // Who gets here passed the packet path's budget.
            Standing::Draining | Standing::Unknown if rules.probation => Entrance::OnTrial,
            Standing::Draining | Standing::Unknown if rules.modes.enforce_everywhere(port) => {
                Entrance::Shut
            }
            Standing::Draining | Standing::Unknown => Entrance::Watched,
        }
    }
}

impl PeerBook for AddressGate {
    fn record(&self, address: IpAddr, site: &str) {
        self.peers.record(address, site);
    }

    fn knows(&self, address: IpAddr) -> bool {
        self.peers.knows(address)
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use aop_common::Mode;
    use aop_config::Config;

    use super::*;

    fn live() -> Live {
        let text = "[firewall]\nports = [443]\n";
        Config::parse(Path::new("aop.toml"), text).expect("a configuration").live
    }

    fn admitted() -> Admission {
        let list = ["192.0.2.0/24".parse().expect("a CIDR")];
        Admission::default().followed_by(&list, Duration::ZERO, 0)
    }

    fn gate(modes: Modes) -> AddressGate {
        AddressGate::new(admitted(), &live(), modes, Peers::default())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_stranger_is_shut_out_and_only_watched_in_observe_mode() {
        let stranger = address("198.51.100.1");
        let (enforcing, observing) = (gate(Mode::Enforce.into()), gate(Mode::Observe.into()));
        assert_eq!(enforcing.entrance(stranger, 443), Entrance::Shut);
        assert_eq!(observing.entrance(stranger, 443), Entrance::Watched);
        assert_eq!(enforcing.entrance(address("192.0.2.9"), 443), Entrance::Open);
    }

    #[test]
    fn a_port_s_own_mode_decides_at_its_listener_and_an_interface_that_observes_lets_in() {
        let stranger = address("198.51.100.1");
        let mut modes = Modes::from(Mode::Enforce);
        modes.ports.insert(443, Mode::Enforce);
        modes.ports.insert(8443, Mode::Observe);
        let strangers = |modes: &Modes| {
            let gate = gate(modes.clone());
            [443, 8443, 444].map(|port| gate.entrance(stranger, port))
        };
        assert_eq!(strangers(&modes), [Entrance::Shut, Entrance::Watched, Entrance::Shut]);
        modes.interfaces.insert("eth1".to_owned(), Mode::Observe);
        assert_eq!(strangers(&modes), [Entrance::Shut, Entrance::Watched, Entrance::Watched]);
    }

    #[test]
    fn a_draining_prefix_lets_in_its_authenticated_peers_alone() {
        let gate = gate(Mode::Enforce.into());
        gate.record(address("192.0.2.9"), "example.com");
        let now = monotonic_seconds();
        let drained = admitted().followed_by(&[], Duration::from_secs(60), now);
        gate.replace(drained, &live(), Mode::Enforce.into());
        assert_eq!(gate.entrance(address("192.0.2.9"), 443), Entrance::Open);
        assert_eq!(gate.entrance(address("192.0.2.10"), 443), Entrance::Shut);
    }
}
