//! The bytes of the shared maps. Both sides use these types alone, and a change to any of them is
//! a new [`LAYOUT_VERSION`]: maps outlive the program that made them.

mod locals;
mod modes;

pub use locals::LocalAddresses;
pub use modes::PackedModes;

use crate::{Address, Standing, bucket::Bucket};

/// Stands in the name of the pin directory, so that no build reads another's maps.
pub const LAYOUT_VERSION: u32 = 4;

/// Interfaces that can be guarded at once. Each has a slot of counters.
pub const SLOTS: u32 = 32;
/// Prefixes that one set holds, of each family. The tries take memory for those that are there
/// alone.
pub const MAX_PREFIXES: usize = 131_072;
/// Authenticated peers that are remembered; the least recently used goes first.
pub const MAX_PEERS: usize = 65_536;
/// Networks, and strangers on probation, that are remembered; the least recently used goes first.
pub const MAX_BUDGETS: usize = 16_384;
/// Hints at each of the maps that have some.
pub const HINTS: usize = 65_536;
/// Bytes of the ring buffer of sampled drops.
pub const DROPS_BYTES: usize = 1 << 18;
/// Room for the beginning of a dropped frame in a [`DropEvent`].
pub const SNAPPED: usize = 128;

/// The one value of the settings map. One process writes it as a whole, the one that holds the
/// pins' lock: what anybody else may write has a map of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Which of the two prefix sets counts: its lowest bit. One write of this word swaps both
    /// families at once.
    pub generation: u32,
    /// New connections a second that strangers share to prove themselves; 0 for none.
    pub probation: u32,
    /// New connections a second for an admitted network in which nobody has authenticated lately;
    /// 0 for no limit.
    pub budget: u32,
    /// Whether UDP to a guarded port is dropped: 1, or 0.
    pub drop_udp: u32,
}

impl Settings {
    /// The prefix set that counts.
    #[inline(always)]
    #[must_use]
    pub const fn active_set(self) -> PrefixSet {
        if self.generation & 1 == 1 { PrefixSet::B } else { PrefixSet::A }
    }

    /// Whether UDP to a guarded port is dropped.
    #[inline(always)]
    #[must_use]
    pub const fn drops_udp(self) -> bool {
        self.drop_udp == 1
    }
}

/// One of the two prefix sets: one is active while the other is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixSet {
    /// The set of even generations.
    A = 0,
    /// The set of odd generations.
    B = 1,
}

impl PrefixSet {
    /// Both sets.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// 0 or 1: where the set stands in maps that have a value for each.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        self as u32
    }

    /// The other set.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// The one value of the guarded map: a bit for each TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ports(pub [u64; 1024]);

impl Ports {
    /// No port at all.
    pub const NONE: Self = Self([0; 1024]);

    /// Adds `port`.
    pub fn insert(&mut self, port: u16) {
        if let Some(word) = self.0.get_mut(usize::from(port >> 6)) {
            *word |= 1 << (port & 63);
        }
    }

    /// Whether `port` is among them.
    #[inline(always)]
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.0.get(usize::from(port >> 6)).is_some_and(|word| word >> (port & 63) & 1 == 1)
    }
}

/// What a prefix map holds for one CIDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Prefix {
    /// Until when the prefix counts, in seconds of the monotonic clock; [`Prefix::ADMITTED`] for
    /// ever, and then it admits everybody in it.
    pub drains_until: u32,
}

impl Prefix {
    /// Admits every address in it.
    pub const ADMITTED: Self = Self { drains_until: u32::MAX };

    /// How a source in this prefix stands. `now` gives seconds of the monotonic clock and is asked
    /// only where it matters.
    #[inline(always)]
    #[must_use]
    pub fn standing(self, now: impl FnOnce() -> u64) -> Standing {
        if self == Self::ADMITTED {
            Standing::Admitted
        } else if now() < self.drains_until as u64 {
            Standing::Draining
        } else {
            Standing::Unknown
        }
    }
}

/// A key of the peers map. An IPv4 address stands in the first four bytes, and the family keeps it
/// apart from the IPv6 address of the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PeerKey {
    /// 4 or 6.
    pub family: u32,
    /// The address in network order, then zeros.
    pub address: [u8; 16],
}

impl PeerKey {
    /// The key of `address`.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Address) -> Self {
        match address {
            Address::V4([a, b, c, d]) => {
                Self { family: 4, address: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] }
            }
            Address::V6(address) => Self { family: 6, address },
        }
    }
}

impl PeerKey {
    /// The network whose budget `address` spends: its /24 or /48.
    #[inline(always)]
    #[must_use]
    pub const fn network(address: Address) -> Self {
        match address {
            Address::V4([a, b, c, _]) => Self::new(Address::V4([a, b, c, 0])),
            Address::V6([a, b, c, d, e, f, ..]) => {
                Self::new(Address::V6([a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
            }
        }
    }
}

/// An IPv6 address as two words, as they lie in memory.
#[inline(always)]
const fn words([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]: [u8; 16]) -> [u64; 2] {
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
}

/// Where the hints of an address stand, below [`HINTS`]. A hint tells until when, in seconds of the
/// monotonic clock, some address with this place is in the map that it hints at: most strangers are
/// in none, and a map of hints is looked up in a fifth of the time. It is never too early; where
/// two addresses share a place it may be too late, and then the map itself decides.
#[inline(always)]
#[must_use]
pub const fn hint(address: Address) -> u32 {
    // Multiplying by an odd number close to 2^n divided by the golden ratio spreads well (Knuth).
    match address {
        Address::V4(address) => u32::from_ne_bytes(address).wrapping_mul(0x9e37_79b1) >> 16,
        Address::V6(address) => {
            let [high, low] = words(address);
            ((high ^ low.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u32
        }
    }
}

/// One sampled drop, in the ring buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct DropEvent {
    /// When, in nanoseconds of the monotonic clock.
    pub at: u64,
    /// The interface's slot.
    pub slot: u32,
    /// The counter that moved: a [`Tally`](crate::Tally)'s index.
    pub tally: u32,
    /// Bytes of the whole frame.
    pub length: u32,
    /// Bytes of it that follow.
    pub snapped: u32,
    /// The beginning of the frame, then zeros.
    pub frame: [u8; SNAPPED],
}

/// What the peers map holds for an address that has authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PeerRecord {
    /// Unix seconds of the first authenticated handshake.
    pub first_seen: u64,
    /// Unix seconds of the last one.
    pub last_seen: u64,
    /// How many there were.
    pub handshakes: u64,
    /// The [`site_id`] of the last one.
    pub site: u64,
    /// Until when it is trusted outside of any prefix, in seconds of the monotonic clock.
    pub trusted_until: u64,
}

impl PeerRecord {
    /// The entry after another authenticated handshake at `now`, for `site`; `known` is the entry
    /// before it.
    #[must_use]
    pub const fn seen(known: Option<Self>, now: u64, site: &str, trusted_until: u64) -> Self {
        let (first_seen, handshakes) = match known {
            Some(known) => (known.first_seen, known.handshakes),
            None => (now, 0),
        };
        let handshakes = handshakes.saturating_add(1);
        Self { first_seen, last_seen: now, handshakes, site: site_id(site), trusted_until }
    }
}

/// A site's mark in the peers map: the 64-bit FNV-1a hash of its name. It outlives a change of the
/// configuration, which a site's number would not.
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

/// What the verdicts map holds, for each CPU, under `slot × Tally::COUNT + tally`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes of whole frames, Ethernet header included; of a frame that is padded beyond its IP
    /// packet over several buffers, those of the first.
    pub bytes: u64,
}

/// What the interfaces map holds for a slot: the interface's name, padded with zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct InterfaceName(pub [u8; 16]);

// Both compilers must agree on these; the pins carry them across builds.
const _: () = {
    assert!(size_of::<Settings>() == 16 && align_of::<Settings>() == 4);
    assert!(size_of::<Ports>() == 8192);
    assert!(size_of::<PackedModes>() == 2 * 8192 + 4 * SLOTS as usize + 8);
    assert!(size_of::<LocalAddresses>() == 80);
    assert!(size_of::<Prefix>() == 4 && align_of::<Prefix>() == 4);
    assert!(size_of::<PeerKey>() == 20);
    assert!(size_of::<PeerRecord>() == 40);
    assert!(size_of::<DropEvent>() == 24 + SNAPPED);
    assert!(size_of::<Bucket>() == 16);
    assert!(size_of::<Counter>() == 16);
    assert!(size_of::<InterfaceName>() == 16);
};

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
    fn ports_hold_exactly_what_was_inserted() {
        let mut ports = Ports::NONE;
        for port in [0, 63, 64, 443, 65_535] {
            ports.insert(port);
        }
        let held = (0..=u16::MAX).filter(|port| ports.contains(*port));
        assert!(held.eq([0, 63, 64, 443, 65_535]));
    }

    #[test]
    fn an_ipv4_peer_is_not_the_ipv6_peer_of_the_same_bytes() {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&[192, 0, 2, 1]);
        assert_ne!(PeerKey::new(Address::V4([192, 0, 2, 1])), PeerKey::new(Address::V6(bytes)));
    }

    #[test]
    fn a_draining_prefix_counts_until_its_second_and_asks_no_clock_when_admitted() {
        let draining = Prefix { drains_until: 100 };
        assert_eq!(draining.standing(|| 99), Standing::Draining);
        assert_eq!(draining.standing(|| 100), Standing::Unknown);
        assert_eq!(Prefix::ADMITTED.standing(|| panic!("the clock was asked")), Standing::Admitted);
    }
}
