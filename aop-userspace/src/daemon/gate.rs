//! The address check in user space: a second look behind the firewall, and the only one where
//! that is off. It judges by the same admission and the same peers.

use std::{net::IpAddr, sync::Arc};

use aop_common::{Mode, Standing};
use arc_swap::ArcSwap;

use super::peers::Peers;
use crate::{
    edge::{Entrance, Gate, PeerBook},
    prefixes::{Admission, monotonic_seconds},
};

/// Who may open an origin pull.
pub(crate) struct AddressGate {
    rules: ArcSwap<(Admission, Mode)>,
    peers: Peers,
}

impl AddressGate {
    pub(super) fn new(admission: Admission, mode: Mode, peers: Peers) -> Self {
        Self { rules: ArcSwap::from_pointee((admission, mode)), peers }
    }

    pub(super) fn replace(&self, admission: Admission, mode: Mode) {
        self.rules.store(Arc::new((admission, mode)));
    }

    pub(super) fn admission(&self) -> Admission {
        self.rules.load().0.clone()
    }

    pub(super) fn peers(&self) -> &Peers {
        &self.peers
    }
}

impl Gate for AddressGate {
    fn entrance(&self, address: IpAddr) -> Entrance {
        let rules = self.rules.load();
        let (admission, mode) = &**rules;
        match (admission.standing(address, monotonic_seconds()), mode) {
            (Standing::Admitted, _) => Entrance::Open,
            (Standing::Draining, _) if self.peers.knows(address) => Entrance::Open,
            (Standing::Draining | Standing::Unknown, Mode::Observe) => Entrance::Watched,
            (Standing::Draining | Standing::Unknown, Mode::Enforce) => Entrance::Shut,
        }
    }
}

impl PeerBook for AddressGate {
    fn record(&self, address: IpAddr, site: &str) {
        self.peers.record(address, site);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn gate(mode: Mode) -> AddressGate {
        let list = ["192.0.2.0/24".parse().expect("a CIDR")];
        let admission = Admission::default().followed_by(&list, Duration::ZERO, 0);
        AddressGate::new(admission, mode, Peers::default())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_stranger_is_shut_out_and_only_watched_in_observe_mode() {
        let stranger = address("198.51.100.1");
        assert_eq!(gate(Mode::Enforce).entrance(stranger), Entrance::Shut);
        assert_eq!(gate(Mode::Observe).entrance(stranger), Entrance::Watched);
        assert_eq!(gate(Mode::Enforce).entrance(address("192.0.2.9")), Entrance::Open);
    }

    #[test]
    fn a_draining_prefix_lets_in_its_authenticated_peers_alone() {
        let gate = gate(Mode::Enforce);
        gate.record(address("192.0.2.9"), "example.com");
        let now = monotonic_seconds();
        let drained = gate.admission().followed_by(&[], Duration::from_secs(60), now);
        gate.replace(drained, Mode::Enforce);
        assert_eq!(gate.entrance(address("192.0.2.9")), Entrance::Open);
        assert_eq!(gate.entrance(address("192.0.2.10")), Entrance::Shut);
    }
}
