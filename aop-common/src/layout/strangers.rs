//! Sources that no prefix admits, as the packet path records them.

use super::{HINTS, peers::hint_of_words, words};
use crate::{Address, Tally, TcpStep};

/// Strangers that the map SEEN_STRANGERS has room for. It forgets none by itself: user space takes
/// them out.
pub const MAX_STRANGERS: usize = 8192;
/// Places of turns: see [`turn`].
pub const TURNS: usize = 32;

/// A key of the map SEEN_STRANGERS: an address, and the guarded port that it sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct StrangerKey {
    /// 4 or 6.
    pub family: u16,
    /// The port; 0 where it cannot be known.
    pub port: u16,
    /// Zero.
    pub padding: u32,
    /// The address in network order, then zeros. Whole words: the packet path writes a key for each
    /// drop, and the compiler would write bytes one by one.
    address: [u64; 2],
}

impl StrangerKey {
    /// The key of no packet.
    pub const NONE: Self = Self { family: 0, port: 0, padding: 0, address: [0; 2] };

    /// The key of packets from `address` to `port`.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Address, port: Option<u16>) -> Self {
        let port = match port {
            Some(port) => port,
            None => 0,
        };
        match address {
            Address::V4(address) => {
                let address = [u32::from_ne_bytes(address) as u64, 0];
                Self { family: 4, port, padding: 0, address }
            }
            Address::V6(address) => Self { family: 6, port, padding: 0, address: words(address) },
        }
    }

    /// The address; `None` in [`StrangerKey::NONE`].
    #[must_use]
    pub const fn source(&self) -> Option<Address> {
        let [high, low] = self.address;
        match self.family {
            4 => Some(Address::V4((high as u32).to_ne_bytes())),
            6 => Some(Address::V6(bytes(high, low))),
            _ => None,
        }
    }

    /// The port, where it is known.
    #[must_use]
    pub const fn known_port(&self) -> Option<u16> {
        match self.port {
            0 => None,
            port => Some(port),
        }
    }
}

const fn bytes(high: u64, low: u64) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h] = high.to_ne_bytes();
    let [i, j, k, l, m, n, o, p] = low.to_ne_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// The value of the map SEEN_STRANGERS. Times are milliseconds of the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct StrangerValue {
    /// Packets since user space last read the entry.
    pub packets: u64,
    /// Connections that it began to open since then.
    pub opens: u64,
    /// The time of the first packet.
    pub first: u64,
    /// The time of the last packet.
    pub last: u64,
    /// The time of the last packet that opens a connection; 0 for none.
    pub last_open: u64,
    /// The counter that the last packet moved: the index of a [`Tally`].
    pub tally: u32,
    /// Zero.
    pub padding: u32,
}

impl StrangerValue {
    /// The entry of a source that sends its first packet at `now`.
    #[inline(always)]
    #[must_use]
    pub const fn first(now: u64, step: TcpStep, tally: Tally) -> Self {
        let (opens, last_open) = match step {
            TcpStep::Opens => (1, now),
            TcpStep::Other => (0, 0),
        };
        let tally = tally.index();
        Self { packets: 1, opens, first: now, last: now, last_open, tally, padding: 0 }
    }

    /// The entry after one more packet at `now`.
    #[inline(always)]
    #[must_use]
    pub const fn and(self, now: u64, step: TcpStep, tally: Tally) -> Self {
        let one = Self::first(now, step, tally);
        let last_open = if one.opens == 1 { now } else { self.last_open };
        Self {
            packets: self.packets.wrapping_add(1),
            opens: self.opens.wrapping_add(one.opens),
            first: self.first,
            last_open,
            ..one
        }
    }

    /// The entry after it was read: the same source, of which nothing is counted yet.
    #[must_use]
    pub const fn read(self) -> Self {
        Self { packets: 0, opens: 0, ..self }
    }
}

/// The place of a key among the turns, below [`TURNS`].
///
/// At most one packet of each place is recorded in a tick of the kernel's clock. So a flood costs
/// the packet path little, and a source that floods delays only the sources of its own place.
#[inline(always)]
#[must_use]
pub const fn turn(key: StrangerKey) -> u32 {
    // The high bits, which every byte of the address moves.
    let [high, low] = key.address;
    hint_of_words(high, low) >> (HINTS / TURNS).trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DropReason, Mode, Verdict};

    const SEEN: Tally = Tally::of(Verdict::Drop(DropReason::UnknownSource), Mode::Observe);
    const OTHER: Tally = Tally::of(Verdict::Drop(DropReason::Fragment), Mode::Enforce);

    #[test]
    fn a_key_gives_back_its_address_and_port() {
        let v4 = Address::V4([192, 0, 2, 7]);
        let v6 = Address::V6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        for (address, port) in [(v4, Some(443)), (v6, Some(8443)), (v4, None)] {
            let key = StrangerKey::new(address, port);
            assert_eq!((key.source(), key.known_port()), (Some(address), port));
        }
        assert_eq!(StrangerKey::NONE.source(), None);
    }

    #[test]
    fn each_packet_is_counted_and_only_those_that_open_a_connection_move_its_time() {
        let first = StrangerValue::first(10, TcpStep::Opens, SEEN);
        assert_eq!((first.packets, first.opens, first.first, first.last_open), (1, 1, 10, 10));
        let second = first.and(20, TcpStep::Other, OTHER);
        assert_eq!((second.packets, second.opens, second.last_open), (2, 1, 10));
        assert_eq!((second.first, second.last, second.tally), (10, 20, OTHER.index()));
        let third = second.and(30, TcpStep::Opens, SEEN);
        assert_eq!((third.packets, third.opens, third.last_open), (3, 2, 30));
        let read = third.read();
        assert_eq!((read.packets, read.opens, read.first, read.last), (0, 0, 10, 30));
    }

    #[test]
    fn addresses_spread_over_the_turns() {
        let mut used = [0; TURNS];
        let mut count = |address| used[turn(StrangerKey::new(address, None)) as usize] += 1;
        for last in 0..=u8::MAX {
            count(Address::V4([198, 51, 100, last]));
            count(Address::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]));
        }
        assert!(used.iter().all(|used| (1..=64).contains(used)), "{used:?}");
    }
}
