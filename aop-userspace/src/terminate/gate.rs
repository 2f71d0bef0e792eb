//! The address check in user space: a second look behind the firewall, and the only one where
//! that is off. It judges by the same admission and the same peers.

use std::{net::IpAddr, sync::Arc};

use aop_common::{Mode, Standing};
use arc_swap::ArcSwap;

use super::peers::Peers;
use crate::{
    config::Live,
    edge::{Entrance, Gate, PeerBook},
    prefixes::{Admission, monotonic_seconds},
};

/// Who may open an origin pull.
pub(crate) struct AddressGate {
    rules: ArcSwap<Rules>,
    peers: Peers,
}

struct Rules {
    admission: Admission,
    mode: Mode,
    /// Whether the packet path lets strangers try to authenticate, within a budget.
    probation: bool,
}

impl AddressGate {
    pub(super) fn new(admission: Admission, live: &Live, peers: Peers) -> Self {
        peers.trust_for(live.trust);
        Self { rules: ArcSwap::from_pointee(Rules::new(admission, live, &peers)), peers }
    }

    pub(super) fn replace(&self, admission: Admission, live: &Live) {
        self.peers.trust_for(live.trust);
        self.rules.store(Arc::new(Rules::new(admission, live, &self.peers)));
    }

    pub(super) fn peers(&self) -> &Peers {
        &self.peers
    }
}

impl Rules {
    fn new(admission: Admission, live: &Live, peers: &Peers) -> Self {
        // Without a firewall nothing bounds the strangers, so none may try.
        let probation = live.probation > 0 && matches!(peers, Peers::Pinned(_));
        Self { admission, mode: live.mode, probation }
    }
}

impl Gate for AddressGate {
    fn entrance(&self, address: IpAddr) -> Entrance {
        let rules = self.rules.load();
        match (rules.admission.standing(address, monotonic_seconds()), rules.mode) {
            (Standing::Admitted, _) => Entrance::Open,
            (Standing::Draining, _) if self.peers.knows(address) => Entrance::Open,
            // Who gets here passed the packet path's budget.
            (Standing::Draining | Standing::Unknown, _) if rules.probation => Entrance::Open,
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
    use std::{path::Path, time::Duration};

    use super::*;
    use crate::config::Config;

    fn live(mode: &str) -> Live {
        let text = format!("[firewall]\nmode = {mode:?}\nports = [443]\n");
        Config::parse(Path::new("aop.toml"), &text).expect("a configuration").live
    }

    fn admitted() -> Admission {
        let list = ["192.0.2.0/24".parse().expect("a CIDR")];
        Admission::default().followed_by(&list, Duration::ZERO, 0)
    }

    fn gate(mode: &str) -> AddressGate {
        AddressGate::new(admitted(), &live(mode), Peers::default())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_stranger_is_shut_out_and_only_watched_in_observe_mode() {
        let stranger = address("198.51.100.1");
        assert_eq!(gate("enforce").entrance(stranger), Entrance::Shut);
        assert_eq!(gate("observe").entrance(stranger), Entrance::Watched);
        assert_eq!(gate("enforce").entrance(address("192.0.2.9")), Entrance::Open);
    }

    #[test]
    fn a_draining_prefix_lets_in_its_authenticated_peers_alone() {
        let gate = gate("enforce");
        gate.record(address("192.0.2.9"), "example.com");
        let now = monotonic_seconds();
        let drained = admitted().followed_by(&[], Duration::from_secs(60), now);
        gate.replace(drained, &live("enforce"));
        assert_eq!(gate.entrance(address("192.0.2.9")), Entrance::Open);
        assert_eq!(gate.entrance(address("192.0.2.10")), Entrance::Shut);
    }
}
