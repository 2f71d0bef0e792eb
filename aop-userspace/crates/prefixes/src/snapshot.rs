//! Cloudflare's list at the time of the build, for the first start.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;

use crate::{CurrentList, ListOrigin, PrefixList};

const ETAG: &str = "38f79d050aa027e3be3865e495dcc9bc";

/// When this list was compared with the published one: 2026-08-01, in seconds since 1970.
const COMPARED_AT: i64 = 1_785_542_400;

/// The published IPv4 prefixes (<https://api.cloudflare.com/client/v4/ips>), unchanged from 2024-01
/// to 2026-08.
const V4: [([u8; 4], u8); 15] = [
    ([103, 21, 244, 0], 22),
    ([103, 22, 200, 0], 22),
    ([103, 31, 4, 0], 22),
    ([104, 16, 0, 0], 13),
    ([104, 24, 0, 0], 14),
    ([108, 162, 192, 0], 18),
    ([131, 0, 72, 0], 22),
    ([141, 101, 64, 0], 18),
    ([162, 158, 0, 0], 15),
    ([172, 64, 0, 0], 13),
    ([173, 245, 48, 0], 20),
    ([188, 114, 96, 0], 20),
    ([190, 93, 240, 0], 20),
    ([197, 234, 240, 0], 22),
    ([198, 41, 128, 0], 17),
];

/// The published IPv6 prefixes: the first 32 bits of each, and its length.
const V6: [(u32, u8); 7] = [
    (0x2a06_98c0, 29),
    (0x2c0f_f248, 32),
    (0x2400_cb00, 32),
    (0x2405_8100, 32),
    (0x2405_b500, 32),
    (0x2606_4700, 32),
    (0x2803_f800, 32),
];

/// The snapshot. Its age counts from the day of the comparison with the published list.
#[must_use]
pub fn snapshot() -> CurrentList {
    let v4 = V4.map(|(octets, length)| {
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), length))
    });
    let v6 = V6.map(|(high, length)| {
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(u128::from(high) << 96), length))
    });
    CurrentList {
        list: PrefixList::new(v4.into_iter().chain(v6).collect(), Some(ETAG.to_owned())),
        origin: ListOrigin::Snapshot,
        confirmed: Timestamp::from_second(COMPARED_AT).ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::PathBuf};

    use super::*;

    #[test]
    fn the_snapshot_has_the_canaries_and_no_host_bits() {
        let snapshot = snapshot();
        assert_eq!(
            snapshot.confirmed.map(|at| at.to_string()),
            Some("2026-08-01T00:00:00Z".into())
        );
        let snapshot = snapshot.list.prefixes();
        assert_eq!(snapshot.len(), V4.len() + V6.len());
        assert!(snapshot.iter().all(|prefix| *prefix == prefix.trunc()));
        for canary in ["104.16.0.0/13", "173.245.48.0/20", "2400:cb00::/32", "2a06:98c0::/29"] {
            assert!(snapshot.contains(&canary.parse().expect("a CIDR")), "{canary}");
        }
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "says why nothing was compared")]
    fn shared_data_the_snapshot_is_the_published_list() {
        let Some(dir) = std::env::var_os("AOP_SHARED_DATA").map(PathBuf::from) else {
            eprintln!("skipped: AOP_SHARED_DATA names no folder of published data");
            return;
        };
        let published: BTreeSet<IpNet> = ["ips-v4", "ips-v6"]
            .iter()
            .flat_map(|name| {
                let text = fs::read_to_string(dir.join(name)).expect("the published list");
                text.lines().map(|line| line.parse().expect("a CIDR")).collect::<Vec<IpNet>>()
            })
            .collect();
        let snapshot = snapshot();
        assert_eq!(snapshot.list.prefixes().iter().copied().collect::<BTreeSet<_>>(), published);
    }
}
