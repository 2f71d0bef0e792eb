//! Networks that no published list may overlap: the IANA special-purpose registries (RFC 6890 and
//! its updates), multicast, and all of IPv6 that is not global unicast.

use std::sync::LazyLock;

use ipnet::IpNet;

const V4: [(&str, &str); 15] = [
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    // Not to be confused with 172.64.0.0/13, which is Cloudflare's.
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relays"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
];

const V6: [(&str, &str); 12] = [
    ("::/8", "loopback, unspecified and IPv4 in disguise"),
    ("64:ff9b::/32", "IPv4 translation"),
    ("100::/16", "discard"),
    ("fc00::/7", "unique local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
    ("2001::/23", "protocol assignments"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing"),
];

/// The range of all public IPv6 addresses (RFC 4291, section 2.4; the registries assign no other).
const GLOBAL_UNICAST: &str = "2000::/3";

/// Parsed once, because a list may have many prefixes.
static NAMED: LazyLock<Vec<(IpNet, &str, &str)>> = LazyLock::new(|| {
    let parsed = |(network, purpose): &(&'static str, &'static str)| {
        Some((network.parse().ok()?, *network, *purpose))
    };
    V4.iter().chain(&V6).filter_map(parsed).collect()
});
static GLOBAL: LazyLock<Option<IpNet>> = LazyLock::new(|| GLOBAL_UNICAST.parse().ok());

/// The first such network that overlaps `prefix`, and its purpose.
pub(super) fn overlapping(prefix: &IpNet) -> Option<(&'static str, &'static str)> {
    let meets = |(net, ..): &&(IpNet, &'static str, &'static str)| {
        net.contains(prefix) || prefix.contains(net)
    };
    let named = NAMED.iter().find(meets).map(|(_, network, purpose)| (*network, *purpose));
    let outside = || {
        let global = GLOBAL.is_some_and(|global| global.contains(prefix));
        (prefix.addr().is_ipv6() && !global).then_some(("IPv6 outside 2000::/3", "not given out"))
    };
    named.or_else(outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose(text: &str) -> Option<&'static str> {
        overlapping(&text.parse().expect("a CIDR")).map(|(_, purpose)| purpose)
    }

    #[test]
    fn every_network_is_a_valid_prefix() {
        for (network, _) in V4.iter().chain(&V6).chain([&(GLOBAL_UNICAST, "")]) {
            let parsed: IpNet = network.parse().expect(network);
            assert_eq!(parsed, parsed.trunc(), "{network}");
        }
    }

    #[test]
    fn a_prefix_inside_or_around_such_a_network_overlaps_it() {
        assert_eq!(purpose("10.1.2.0/24"), Some("private"));
        assert_eq!(purpose("172.0.0.0/10"), Some("private"));
        assert_eq!(purpose("100.100.0.0/16"), Some("carrier-grade NAT"));
        assert_eq!(purpose("239.0.0.0/8"), Some("multicast"));
        assert_eq!(purpose("fd00::/32"), Some("unique local"));
        assert_eq!(purpose("4000::/32"), Some("not given out"));
    }

    #[test]
    fn cloudflares_prefix_next_to_a_private_network_is_public() {
        assert_eq!(purpose("172.64.0.0/13"), None);
        assert_eq!(purpose("198.41.128.0/17"), None);
        assert_eq!(purpose("2c0f:f248::/32"), None);
    }
}
