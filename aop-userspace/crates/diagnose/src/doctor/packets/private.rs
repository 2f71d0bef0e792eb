//! Addresses that are not reachable from the internet.

use std::net::IpAddr;

/// Whether an address is private, shared (RFC 6598), unique local, link-local or the loopback.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            let shared = a == 100 && (64..128).contains(&b);
            address.is_private() || address.is_link_local() || address.is_loopback() || shared
        }
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_the_internet_cannot_reach_are_private() {
        for (address, private) in [
            ("10.1.2.3", true),
            ("172.17.0.1", true),
            ("172.32.0.1", false),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("203.0.113.10", false),
            ("fd00::1", true),
            ("fe80::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(address.parse().unwrap()), private, "{address}");
        }
    }
}
