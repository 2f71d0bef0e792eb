//! The policy's questions, answered from plain vectors.

use super::{Cidr, Rule};
use aop_common::{Address, Facts, Flow, Standing, TcpStep, Trust};

/// The content of maps and routes that the kernel reads, as vectors that are scanned.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// The guarded TCP ports.
    pub guarded: Vec<u16>,
    /// The IPv4 prefixes. Where several match, the longest one counts.
    pub v4: Vec<(Cidr<[u8; 4]>, Standing)>,
    /// The IPv6 prefixes.
    pub v6: Vec<(Cidr<[u8; 16]>, Standing)>,
    /// The addresses that have authenticated.
    pub peers: Vec<Address>,
    /// Destinations that the host only forwards to. All others are its own.
    pub transit: Vec<Address>,
    /// The optional rules that are on.
    pub rules: Vec<Rule>,
}

impl Facts for HostFacts {
    fn guarded(&self, port: u16) -> bool {
        self.guarded.contains(&port)
    }

    fn standing(&self, source: Address) -> Standing {
        match source {
            Address::V4(address) => longest(&self.v4, &address),
            Address::V6(address) => longest(&self.v6, &address),
        }
    }

    fn authenticated(&self, source: Address) -> bool {
        self.peers.contains(&source)
    }

    fn transit(&self, flow: Flow) -> bool {
        self.transit.contains(&flow.destination)
    }

    fn drops_udp(&self) -> bool {
        self.rules.contains(&Rule::Udp)
    }

    fn over_budget(&self, source: Address) -> bool {
        self.rules.contains(&Rule::Spent) && !self.authenticated(source)
    }

    fn trust(&self, source: Address, step: TcpStep) -> Trust {
        if self.rules.contains(&Rule::Trusted) && self.authenticated(source) {
            Trust::Authenticated
        } else if self.rules.contains(&Rule::Probation) && step == TcpStep::Opens {
            Trust::Probation
        } else {
            Trust::None
        }
    }
}

fn longest<const N: usize>(prefixes: &[(Cidr<[u8; N]>, Standing)], address: &[u8; N]) -> Standing {
    prefixes
        .iter()
        .filter(|(prefix, _)| prefix.contains(address))
        .max_by_key(|(prefix, _)| prefix.bits)
        .map_or(Standing::Unknown, |(_, standing)| *standing)
}

impl<const N: usize> Cidr<[u8; N]> {
    /// Whether `address` lies in this network, compared bit by bit.
    #[must_use]
    pub fn contains(&self, address: &[u8; N]) -> bool {
        let bit = |bytes: &[u8; N], at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
        (0..usize::from(self.bits)).all(|at| bit(&self.network, at) == bit(address, at))
    }

    /// The last address of this network.
    #[must_use]
    pub fn last(&self) -> [u8; N] {
        let mut last = self.network;
        for at in usize::from(self.bits)..8 * N {
            last[at / 8] |= 0x80 >> (at % 8);
        }
        last
    }

    /// The address after the last one. After the highest of all comes the lowest.
    #[must_use]
    pub fn above(&self) -> [u8; N] {
        let mut above = self.last();
        for byte in above.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        above
    }

    /// The address before the first one. Before the lowest of all comes the highest.
    #[must_use]
    pub fn below(&self) -> [u8; N] {
        let mut below = self.network;
        for byte in below.iter_mut().rev() {
            *byte = byte.wrapping_sub(1);
            if *byte != 0xff {
                break;
            }
        }
        below
    }
}
