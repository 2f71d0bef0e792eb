//! Authenticated peers, and the keys of maps by address.

use super::{quarters, words};
use crate::Address;

/// Hints at each of the maps that have them.
pub const HINTS: usize = 65_536;

/// A key of the map PEERS, and of the others by address or network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PeerKey {
    /// 4 or 6. It distinguishes an IPv4 address from the IPv6 address of the same bytes.
    family: u32,
    /// The address in network order, then zeros. Whole words: of bytes, the packet program would
    /// take an address apart for each packet, even where it needs no key.
    address: [u32; 4],
}

impl PeerKey {
    /// The key of `address`.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Address) -> Self {
        match address {
            Address::V4(address) => Self::of_v4(u32::from_ne_bytes(address)),
            Address::V6(address) => Self { family: 6, address: quarters(address) },
        }
    }

    /// The key of the network whose budget `address` spends from: its /24 or /48.
    #[inline(always)]
    #[must_use]
    pub const fn network(address: Address) -> Self {
        const V4_NETWORK: u32 = u32::from_ne_bytes([0xff, 0xff, 0xff, 0]);
        const HALF: u32 = u32::from_ne_bytes([0xff, 0xff, 0, 0]);
        match address {
            Address::V4(address) => Self::of_v4(u32::from_ne_bytes(address) & V4_NETWORK),
            Address::V6(address) => {
                let [first, second, ..] = quarters(address);
                Self { family: 6, address: [first, second & HALF, 0, 0] }
            }
        }
    }

    #[inline(always)]
    const fn of_v4(address: u32) -> Self {
        Self { family: 4, address: [address, 0, 0, 0] }
    }

    /// The address, or the first one of the network.
    #[must_use]
    pub const fn address(&self) -> Address {
        let [first, second, third, fourth] = self.address;
        let [a, b, c, d] = first.to_ne_bytes();
        if self.family == 4 {
            return Address::V4([a, b, c, d]);
        }
        let [e, f, g, h] = second.to_ne_bytes();
        let [i, j, k, l] = third.to_ne_bytes();
        let [m, n, o, p] = fourth.to_ne_bytes();
        Address::V6([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }
}

/// The place of the hints of an address, below [`HINTS`].
///
/// A hint is a time in seconds of the monotonic clock: until then, some address with this place is
/// in the map that the hint belongs to. Most strangers are in no such map, and a hint is looked up
/// in a fifth of the time. A hint is never too early. Where two addresses share a place it may be
/// too late, and then the map itself decides.
#[inline(always)]
#[must_use]
pub const fn hint(address: Address) -> u32 {
    // Multiplying by an odd number close to 2^n divided by the golden ratio spreads well (Knuth).
    match address {
        Address::V4(address) => u32::from_ne_bytes(address).wrapping_mul(0x9e37_79b1) >> 16,
        Address::V6(address) => {
            let [high, low] = words(address);
            hint_of_words(high, low)
        }
    }
}

#[inline(always)]
pub(super) const fn hint_of_words(high: u64, low: u64) -> u32 {
    ((high ^ low.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u32
}

/// The value of the map PEERS for an address that has authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PeerValue {
    /// Unix seconds of the first authenticated handshake.
    pub first_seen: u64,
    /// Unix seconds of the last authenticated handshake.
    pub last_seen: u64,
    /// The number of authenticated handshakes.
    pub handshakes: u64,
    /// The [`site_id`] of the last handshake.
    pub site: u64,
    /// The end of its trust outside of any prefix, in seconds of the monotonic clock.
    pub trusted_until: u64,
    /// Room.
    #[cfg(feature = "next-layout")]
    pub spare: u64,
}

impl PeerValue {
    /// The record after an authenticated handshake at `now` (Unix seconds) for `site`; `known` is
    /// the record before it.
    #[must_use]
    pub const fn seen(known: Option<Self>, now: u64, site: &str, trusted_until: u64) -> Self {
        let (first_seen, handshakes) = match known {
            Some(known) => (known.first_seen, known.handshakes),
            None => (now, 0),
        };
        let handshakes = handshakes.saturating_add(1);
        Self {
            first_seen,
            last_seen: now,
            handshakes,
            site: site_id(site),
            trusted_until,
            #[cfg(feature = "next-layout")]
            spare: 0,
        }
    }
}

/// The number of a site in the map PEERS: the 64-bit FNV-1a hash of its name. A change of the
/// configuration does not change it, as it would change the place of the site in the file.
#[must_use]
pub const fn site_id(name: &str) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut rest = name.as_bytes();
    while let [byte, tail @ ..] = rest {
        hash = (hash ^ *byte as u64).wrapping_mul(0x0000_0100_0000_01b3);
        rest = tail;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_id_is_the_published_fnv_1a_hash() {
        // Vectors of the FNV reference page: the empty string, "a" and "foobar".
        assert_eq!(site_id(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(site_id("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(site_id("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn an_ipv4_peer_is_not_the_ipv6_peer_of_the_same_bytes() {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&[192, 0, 2, 1]);
        assert_ne!(PeerKey::new(Address::V4([192, 0, 2, 1])), PeerKey::new(Address::V6(bytes)));
    }

    #[test]
    fn a_budget_is_shared_by_a_24_of_ipv4_and_a_48_of_ipv6() {
        let network = |address: [u8; 4]| PeerKey::network(address.into());
        assert_eq!(network([192, 0, 2, 1]), network([192, 0, 2, 255]));
        assert_ne!(network([192, 0, 2, 1]), network([192, 0, 3, 1]));
        let network = |at: usize| {
            let mut address = [0xff; 16];
            address[at] = 0;
            PeerKey::network(address.into())
        };
        assert!((7..16).all(|at| network(at) == network(6)));
        assert!((0..6).all(|at| network(at) != network(6)));
    }

    #[test]
    fn addresses_that_differ_in_two_bytes_spread_over_the_hints() {
        assert_spread(|[c, d]| Address::V4([10, 0, c, d]));
        assert_spread(|[a, b]| Address::V4([a, b, 0, 1]));
        for at in 0..15 {
            assert_spread(|bytes| {
                let mut address = [0x2a, 0x06, 0x98, 0xc0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
                address[at..at + 2].copy_from_slice(&bytes);
                Address::V6(address)
            });
        }
    }

    /// As many addresses as there are places use at least a tenth of them.
    fn assert_spread(address: impl Fn([u8; 2]) -> Address) {
        let mut used = [false; HINTS];
        for bytes in 0..=u16::MAX {
            let place = hint(address(bytes.to_be_bytes())) as usize;
            *used.get_mut(place).expect("the place is below HINTS") = true;
        }
        let used = used.iter().filter(|used| **used).count();
        assert!(used > HINTS / 10, "{used} places are used");
    }

    #[test]
    fn each_handshake_is_counted_and_the_first_one_stays_the_first() {
        let first = PeerValue::seen(None, 100, "a", 7);
        let site = site_id("a");
        let expected =
            PeerValue { first_seen: 100, last_seen: 100, handshakes: 1, site, trusted_until: 7 };
        assert_eq!(first, expected);
        let second = PeerValue::seen(Some(first), 200, "b", 9);
        let site = site_id("b");
        let expected =
            PeerValue { first_seen: 100, last_seen: 200, handshakes: 2, site, trusted_until: 9 };
        assert_eq!(second, expected);
    }
}
