//! The address check in user space: a second check behind the firewall, and the only one where the
//! firewall is off. It uses the same admitted prefixes and the same peers.

use std::{net::IpAddr, sync::Arc};

use aop_common::Standing;
use aop_config::ReloadableConfig;
use aop_types::{AddressVerdict, Admission, Modes, PeerGate, PeerRecord, monotonic_seconds};
use arc_swap::ArcSwap;

use super::peer_store::PeerStore;

/// Decides which addresses may open an origin pull.
pub(crate) struct AddressGate {
    rules: ArcSwap<GateRules>,
    peers: PeerStore,
}

struct GateRules {
    admission: Admission,
    modes: Modes,
    probation: Probation,
}

/// Whether unknown addresses may try to authenticate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Probation {
    /// The packet path lets them try, within a budget.
    WithinBudget,
    Never,
}

impl AddressGate {
    pub(super) fn new(
        admission: Admission,
        live: &ReloadableConfig,
        modes: Modes,
        peers: PeerStore,
    ) -> Self {
        peers.trust_for(live.trust);
        Self { rules: ArcSwap::from_pointee(GateRules::new(admission, live, modes, &peers)), peers }
    }

    pub(super) fn replace(&self, admission: Admission, live: &ReloadableConfig, modes: Modes) {
        self.peers.trust_for(live.trust);
        self.rules.store(Arc::new(GateRules::new(admission, live, modes, &self.peers)));
    }

    pub(super) fn peers(&self) -> &PeerStore {
        &self.peers
    }
}

impl GateRules {
    fn new(admission: Admission, live: &ReloadableConfig, modes: Modes, peers: &PeerStore) -> Self {
        // Without a firewall no budget limits unknown addresses, so none may try.
        let probation = match peers {
            PeerStore::Pinned(_) if live.probation > 0 => Probation::WithinBudget,
            PeerStore::Pinned(_) | PeerStore::Memory(_) => Probation::Never,
        };
        Self { admission, modes, probation }
    }
}

impl PeerGate for AddressGate {
    fn check(&self, address: IpAddr, port: u16) -> AddressVerdict {
        let rules = self.rules.load();
        match rules.admission.standing(address, monotonic_seconds()) {
            Standing::Admitted => AddressVerdict::Admitted,
            Standing::Draining if self.peers.contains(address) => AddressVerdict::Admitted,
            // A connection that arrives here passed the budget of the packet path.
            Standing::Draining | Standing::Unknown
                if rules.probation == Probation::WithinBudget =>
            {
                AddressVerdict::Probation
            }
            Standing::Draining | Standing::Unknown if rules.modes.enforce_everywhere(port) => {
                AddressVerdict::Refused
            }
            Standing::Draining | Standing::Unknown => AddressVerdict::Observed,
        }
    }
}

impl PeerRecord for AddressGate {
    fn record(&self, address: IpAddr, site: &str) {
        self.peers.record(address, site);
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.peers.contains(address)
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use aop_common::Mode;
    use aop_config::Config;

    use super::*;

    fn live() -> ReloadableConfig {
        let text = "[firewall]\nports = [443]\n";
        Config::parse(Path::new("aop.toml"), text).expect("a configuration").live
    }

    fn admitted() -> Admission {
        let list = ["192.0.2.0/24".parse().expect("a CIDR")];
        Admission::default().followed_by(&list, Duration::ZERO, 0)
    }

    fn gate(modes: Modes) -> AddressGate {
        AddressGate::new(admitted(), &live(), modes, PeerStore::default())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_unknown_address_is_refused_in_enforce_mode_and_only_counted_in_observe_mode() {
        let stranger = address("198.51.100.1");
        let (enforcing, observing) = (gate(Mode::Enforce.into()), gate(Mode::Observe.into()));
        assert_eq!(enforcing.check(stranger, 443), AddressVerdict::Refused);
        assert_eq!(observing.check(stranger, 443), AddressVerdict::Observed);
        assert_eq!(enforcing.check(address("192.0.2.9"), 443), AddressVerdict::Admitted);
    }

    #[test]
    fn the_mode_of_a_port_decides_first_and_one_interface_that_observes_lets_addresses_in() {
        let stranger = address("198.51.100.1");
        let mut modes = Modes::from(Mode::Enforce);
        modes.ports.insert(443, Mode::Enforce);
        modes.ports.insert(8443, Mode::Observe);
        let entrances = |modes: &Modes| {
            let gate = gate(modes.clone());
            [443, 8443, 444].map(|port| gate.check(stranger, port))
        };
        assert_eq!(
            entrances(&modes),
            [AddressVerdict::Refused, AddressVerdict::Observed, AddressVerdict::Refused]
        );
        modes.interfaces.insert("eth1".to_owned(), Mode::Observe);
        assert_eq!(
            entrances(&modes),
            [AddressVerdict::Refused, AddressVerdict::Observed, AddressVerdict::Observed]
        );
    }

    #[test]
    fn a_draining_prefix_admits_only_its_authenticated_peers() {
        let gate = gate(Mode::Enforce.into());
        gate.record(address("192.0.2.9"), "example.com");
        let now = monotonic_seconds();
        let drained = admitted().followed_by(&[], Duration::from_secs(60), now);
        gate.replace(drained, &live(), Mode::Enforce.into());
        assert_eq!(gate.check(address("192.0.2.9"), 443), AddressVerdict::Admitted);
        assert_eq!(gate.check(address("192.0.2.10"), 443), AddressVerdict::Refused);
    }
}
