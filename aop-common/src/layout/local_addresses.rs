//! Some addresses of this host.

use super::words;
use crate::Address;

/// The one value of the map LOCALS: some addresses of this host. For a packet to one of them, the
/// routes are not asked. They are whole words, because they are compared for every drop; zeros
/// stand for no address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LocalAddresses {
    v6: [[u64; 2]; 4],
    v4: [u32; 4],
}

impl LocalAddresses {
    /// The first of these addresses: as many of each family as there is room for.
    pub fn of(addresses: impl IntoIterator<Item = Address>) -> Self {
        let mut locals = Self::default();
        let (mut v4, mut v6) = (locals.v4.iter_mut(), locals.v6.iter_mut());
        for address in addresses {
            match address {
                Address::V4(address) => v4.next().map(|room| *room = u32::from_ne_bytes(address)),
                Address::V6(address) => v6.next().map(|room| *room = words(address)),
            };
        }
        locals
    }

    /// Whether `address` is among them.
    #[inline(always)]
    #[must_use]
    pub fn contains(&self, address: Address) -> bool {
        match address {
            Address::V4(address) => {
                let [a, b, c, d] = &self.v4;
                let address = u32::from_ne_bytes(address);
                *a == address || *b == address || *c == address || *d == address
            }
            Address::V6(address) => {
                let [a, b, c, d] = &self.v6;
                let [high, low] = words(address);
                let is = |local: &[u64; 2]| local[0] == high && local[1] == low;
                is(a) || is(b) || is(c) || is(d)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many addresses of each family as there is room for. Each half of an IPv6 address is used
    /// twice.
    const V4: [[u8; 4]; 4] = [[192, 0, 2, 1], [192, 0, 2, 2], [192, 0, 2, 3], [192, 0, 2, 4]];
    const V6: [[u8; 16]; 4] = [v6(1, 1), v6(1, 2), v6(2, 1), v6(2, 2)];

    const fn v6(network: u8, host: u8) -> [u8; 16] {
        [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, network, 0, 0, 0, 0, 0, 0, 0, host]
    }

    fn both() -> impl Iterator<Item = Address> {
        V4.map(Address::V4).into_iter().chain(V6.map(Address::V6))
    }

    #[test]
    fn each_address_is_found_in_every_place() {
        let locals = LocalAddresses::of(both());
        assert!(both().all(|address| locals.contains(address)));
        for only in both() {
            let locals = LocalAddresses::of([only]);
            assert!(both().all(|address| locals.contains(address) == (address == only)));
        }
    }

    #[test]
    fn an_address_of_another_host_is_not_found() {
        let locals = LocalAddresses::of(both());
        for other in [v6(1, 3), v6(3, 1), v6(2, 3), v6(3, 2), v6(3, 3)] {
            assert!(!locals.contains(Address::V6(other)), "{other:?}");
        }
        assert!(!locals.contains(Address::V4([192, 0, 2, 5])));
    }

    #[test]
    fn the_first_addresses_are_kept_where_there_are_too_many() {
        let more = [Address::V4([192, 0, 2, 5]), Address::V6(v6(3, 3))];
        let locals = LocalAddresses::of(both().chain(more));
        assert_eq!(locals, LocalAddresses::of(both()));
    }
}
