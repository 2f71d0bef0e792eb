//! The addresses, prefixes and ports that fixtures are made of and judged under.

use super::{HostFacts, Rule};
use aop_common::{Address, Standing};

/// The addresses, prefixes and ports of one run of the table.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// The one guarded TCP port.
    pub guarded: u16,
    /// A port that the firewall does not cover.
    pub unguarded: u16,
    /// The addresses and prefixes of IPv4.
    pub v4: Endpoints<[u8; 4]>,
    /// The addresses and prefixes of IPv6.
    pub v6: Endpoints<[u8; 16]>,
}

/// The addresses and prefixes of one family.
#[derive(Clone, Copy, Debug)]
pub struct Endpoints<A> {
    /// The guarded host itself.
    pub origin: A,
    /// A host that the guarded one only forwards to, where it forwards at all.
    pub beyond: A,
    /// A source that nothing admits.
    pub stranger: A,
    /// The admitted prefix.
    pub admitting: Cidr<A>,
    /// A source in the admitted prefix. It has never authenticated.
    pub admitted: A,
    /// A prefix that has recently left the list.
    pub draining: Cidr<A>,
    /// A source in the draining prefix that has authenticated.
    pub peer: A,
    /// A source in the draining prefix that has not.
    pub neighbour: A,
    /// A source that has authenticated, and whose prefix left the list long ago.
    pub departed: A,
}

/// A network and the length of its prefix in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr<A> {
    /// The network, its host bits zero.
    pub network: A,
    /// How many leading bits count.
    pub bits: u8,
}

impl Scene {
    /// The scene of [`fixtures`](super::fixtures()).
    pub const FIXED: Self = Self {
        guarded: 443,
        unguarded: 8080,
        v4: Endpoints {
            origin: [203, 0, 113, 10],
            beyond: [192, 0, 2, 20],
            stranger: [198, 51, 100, 66],
            admitting: Cidr { network: [173, 245, 48, 0], bits: 20 },
            admitted: [173, 245, 48, 7],
            draining: Cidr { network: [104, 28, 0, 0], bits: 14 },
            peer: [104, 28, 1, 7],
            neighbour: [104, 28, 1, 8],
            departed: [198, 51, 100, 77],
        },
        v6: Endpoints {
            origin: v6([0x2001, 0xdb8, 0, 0x10, 0, 0, 0, 0x10]),
            beyond: v6([0x2001, 0xdb8, 0, 0x20, 0, 0, 0, 0x20]),
            stranger: v6([0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0x66]),
            admitting: Cidr { network: v6([0x2400, 0xcb00, 0, 0, 0, 0, 0, 0]), bits: 32 },
            admitted: v6([0x2400, 0xcb00, 0, 1, 0, 0, 0, 7]),
            draining: Cidr { network: v6([0x2a06, 0x98c0, 0, 0, 0, 0, 0, 0]), bits: 29 },
            peer: v6([0x2a06, 0x98c0, 1, 0, 0, 0, 0, 7]),
            neighbour: v6([0x2a06, 0x98c0, 1, 0, 0, 0, 0, 8]),
            departed: v6([0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0x77]),
        },
    };

    /// The facts of the scene for the policy. Every optional rule is off; the host does not
    /// forward.
    #[must_use]
    pub fn facts(&self) -> HostFacts {
        HostFacts {
            guarded: vec![self.guarded],
            v4: vec![
                (self.v4.admitting, Standing::Admitted),
                (self.v4.draining, Standing::Draining),
            ],
            v6: vec![
                (self.v6.admitting, Standing::Admitted),
                (self.v6.draining, Standing::Draining),
            ],
            peers: vec![
                Address::V4(self.v4.peer),
                Address::V4(self.v4.departed),
                Address::V6(self.v6.peer),
                Address::V6(self.v6.departed),
            ],
            transit: vec![],
            rules: vec![],
        }
    }

    /// The facts where these rules hold. [`Rule::Listed`] needs another list, and changes nothing.
    #[must_use]
    pub fn facts_under(&self, rules: &[Rule]) -> HostFacts {
        let forwarding = rules.contains(&Rule::Forwarding);
        let facts = if forwarding { self.forwarding_facts() } else { self.facts() };
        HostFacts { rules: rules.to_vec(), ..facts }
    }

    /// The facts on a host that forwards to `beyond`.
    #[must_use]
    pub fn forwarding_facts(&self) -> HostFacts {
        let transit = vec![Address::V4(self.v4.beyond), Address::V6(self.v6.beyond)];
        HostFacts { transit, ..self.facts() }
    }
}

/// An IPv6 address from its eight 16-bit groups.
const fn v6(groups: [u16; 8]) -> [u8; 16] {
    let mut address = [0; 16];
    let mut at = 0;
    while at < 8 {
        let [high, low] = groups[at].to_be_bytes();
        address[2 * at] = high;
        address[2 * at + 1] = low;
        at += 1;
    }
    address
}
