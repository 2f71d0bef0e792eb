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
