//! Which addresses stand for a network: those at which the verdict may change.

use std::net::IpAddr;

use aop_firewall::DryRun;
use ipnet::IpNet;

/// The most admitted prefixes within a network that are looked at.
const MAX_INNER: usize = 32;

/// The first and the last address of `network`, and the first one of each admitted prefix within
/// it.
#[must_use]
pub fn addresses_of(live: &DryRun, network: IpNet) -> Vec<IpAddr> {
    let prefixes = live.admission().entries().iter().map(|(prefix, _)| *prefix);
    representatives(prefixes, network)
}

fn representatives(prefixes: impl Iterator<Item = IpNet>, network: IpNet) -> Vec<IpAddr> {
    let inner = prefixes.filter(|prefix| network.contains(prefix)).map(|prefix| prefix.network());
    let ends = [network.network(), network.broadcast()];
    let mut addresses: Vec<IpAddr> = ends.into_iter().chain(inner.take(MAX_INNER)).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_and_each_prefix_within_stand_for_a_network() {
        let net = |text: &str| text.parse::<IpNet>().expect("a network");
        let list = ["192.0.2.64/26", "198.51.100.0/24", "192.0.0.0/16"].map(net);
        let shown = |network: &str| {
            let found = representatives(list.into_iter(), net(network));
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(shown("192.0.2.0/24"), ["192.0.2.0", "192.0.2.64", "192.0.2.255"]);
        assert_eq!(shown("203.0.113.0/24"), ["203.0.113.0", "203.0.113.255"]);
        assert_eq!(shown("192.0.2.1/32"), ["192.0.2.1"]);
    }
}
