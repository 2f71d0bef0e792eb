//! The bytes of the shared maps.
//!
//! Both sides use these types and no others. Maps outlive the program that made them, so a change
//! to one of these types takes a new [`LAYOUT_VERSION`]. A new reason takes none: see
//! [`Tally`](crate::Tally).

mod local_addresses;
mod packed_modes;
mod peers;
mod strangers;

pub use local_addresses::LocalAddresses;
pub use packed_modes::PackedModes;
pub use peers::{HINTS, PeerKey, PeerValue, hint, site_id};
pub use strangers::{MAX_STRANGERS, StrangerKey, StrangerValue, TURNS, turn};

use crate::{Standing, bucket::Bucket};

/// The version of the layout. The pin directory has it in its name, so that no build reads the maps
/// of another layout. A newer build takes over the maps of the version before.
pub const LAYOUT_VERSION: u32 = if cfg!(feature = "next-layout") { 7 } else { 6 };

/// Interfaces that can be guarded at once. Each has a slot of counters.
pub const SLOTS: u32 = 32;
/// Prefixes of each family that one set has room for. A trie takes memory only for the prefixes
/// that it holds.
pub const MAX_PREFIXES: usize = 131_072;
/// Authenticated peers that are remembered; the least recently used is forgotten first.
pub const MAX_PEERS: usize = 65_536;
/// Networks, and strangers on probation, that are remembered; the least recently used is forgotten
/// first.
pub const MAX_BUDGETS: usize = 16_384;
/// Bytes of the ring buffer of sampled drops.
pub const DROPS_BYTES: usize = 1 << 18;
/// Room for the beginning of a dropped frame in a [`DropEvent`].
pub const SNAPPED: usize = 128;

/// The one value of the map SETTINGS. Only the process that holds the lock of the pins writes it,
/// as a whole: a figure that another process may write has a map of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Counts the policies. Its lowest bit chooses the active prefix set, so one write of this word
    /// swaps both families at once.
    pub generation: u32,
    /// New connections a second that strangers share, to authenticate; 0 for none.
    pub probation: u32,
    /// New connections a second for an admitted network in which nobody has authenticated recently;
    /// 0 for no limit.
    pub budget: u32,
    /// 1 if UDP to a guarded port is dropped, else 0.
    pub drop_udp: u32,
}

impl Settings {
    /// The active prefix set.
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

/// The one value of the map GUARDED: a bit for each TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ports(pub [u64; 1024]);

impl Ports {
    /// No ports.
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

/// The value of the prefix maps for one CIDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Prefix {
    /// The end of draining, in seconds of the monotonic clock; the value of [`Prefix::ADMITTED`]
    /// for a prefix that does not drain.
    pub drains_until: u32,
}

impl Prefix {
    /// A prefix that admits every address in it.
    pub const ADMITTED: Self = Self { drains_until: u32::MAX };

    /// How a source in this prefix stands. `now` gives seconds of the monotonic clock; it is called
    /// only where the answer depends on it.
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

/// An IPv6 address as two words, in the byte order of memory.
#[inline(always)]
const fn words(address: [u8; 16]) -> [u64; 2] {
    // No pattern of bytes: with one, the packet program takes the address apart for each packet.
    let all = u128::from_le_bytes(address);
    [u64::from_le(all as u64), u64::from_le((all >> 64) as u64)]
}

/// An IPv6 address as four words, in the byte order of memory.
#[inline(always)]
#[must_use]
pub const fn quarters(address: [u8; 16]) -> [u32; 4] {
    let all = u128::from_le_bytes(address);
    [
        u32::from_le(all as u32),
        u32::from_le((all >> 32) as u32),
        u32::from_le((all >> 64) as u32),
        u32::from_le((all >> 96) as u32),
    ]
}

/// One sampled drop, in the ring buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct DropEvent {
    /// The time, in nanoseconds of the monotonic clock.
    pub at: u64,
    /// The slot of the interface.
    pub slot: u32,
    /// The counter that moved: the index of a [`Tally`](crate::Tally).
    pub tally: u32,
    /// Bytes of the whole frame.
    pub length: u32,
    /// Bytes of the frame that follow.
    pub snapped: u32,
    /// The beginning of the frame, then zeros.
    pub frame: [u8; SNAPPED],
}

/// The value of the map VERDICTS for each CPU, under `slot × Tally::COUNT + tally`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes of whole frames, with their Ethernet headers. Of a frame whose padding fills further
    /// buffers, only the bytes of the first buffer count.
    pub bytes: u64,
}

/// The value of the map INTERFACES for a slot: the name of the interface, padded with zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct InterfaceName(pub [u8; 16]);

// Both compilers must agree on these sizes: the pins carry the values from build to build.
const _: () = {
    assert!(size_of::<Settings>() == 16 && align_of::<Settings>() == 4);
    assert!(size_of::<Ports>() == 8192);
    assert!(size_of::<PackedModes>() == 2 * 8192 + 4 * SLOTS as usize + 8);
    assert!(size_of::<LocalAddresses>() == 80);
    assert!(size_of::<Prefix>() == 4 && align_of::<Prefix>() == 4);
    assert!(size_of::<PeerKey>() == 20);
    assert!(size_of::<PeerValue>() == if cfg!(feature = "next-layout") { 48 } else { 40 });
    assert!(size_of::<StrangerKey>() == 24);
    assert!(size_of::<StrangerValue>() == 48);
    assert!(size_of::<DropEvent>() == 24 + SNAPPED);
    assert!(size_of::<Bucket>() == 16);
    assert!(size_of::<Counter>() == 16);
    assert!(size_of::<InterfaceName>() == 16);
    assert!(TURNS.is_power_of_two() && HINTS.is_power_of_two());
    // The kernel takes only rings whose bytes are whole pages and a power of two. 64 KiB is the
    // largest page.
    assert!(DROPS_BYTES.is_power_of_two() && DROPS_BYTES.is_multiple_of(0x1_0000));
};

#[cfg(test)]
mod tests {
    use super::*;

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
    fn each_generation_makes_the_other_set_the_active_one() {
        for (generation, set) in
            [PrefixSet::A, PrefixSet::B].into_iter().cycle().take(8).enumerate()
        {
            let settings = Settings { generation: generation as u32, ..Settings::default() };
            assert_eq!(settings.active_set(), set, "generation {generation}");
        }
        assert_eq!(PrefixSet::BOTH.map(PrefixSet::other), [PrefixSet::B, PrefixSet::A]);
        assert_eq!(PrefixSet::BOTH.map(PrefixSet::index), [0, 1]);
    }

    #[test]
    fn settings_that_nobody_wrote_let_udp_pass() {
        assert!(!Settings::default().drops_udp());
        assert!(Settings { drop_udp: 1, ..Settings::default() }.drops_udp());
    }

    #[test]
    fn a_prefix_drains_until_its_second_and_an_admitted_one_asks_no_clock() {
        let draining = Prefix { drains_until: 100 };
        assert_eq!(draining.standing(|| 99), Standing::Draining);
        assert_eq!(draining.standing(|| 100), Standing::Unknown);
        assert_eq!(Prefix::ADMITTED.standing(|| panic!("the clock was asked")), Standing::Admitted);
    }
}
