//! The PROXY protocol: who a connection is from, told by whoever passes it on.
//!
//! After <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>, versions 1 and 2, over TCP.
//! [`header`] is what upstreams get, [`receive`] what comes from the senders of a listener. Both
//! rest on `v1` and `v2`, which are pure; `tlv` is what version 2 says beside the addresses.
//!
//! A crate would be as long as this: those there are check no sum, and tell no header that is too
//! long from one that is wrong.

mod inbound;
#[cfg(test)]
mod tests;
mod tlv;
mod v1;
mod v2;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use aop_config::ProxyProtocol;
use aop_tls::Handshake;
pub(super) use inbound::receive;
pub use inbound::{Malformed, Reading, read};
use thiserror::Error;

/// From whom a connection is, and where it was made to. Never IPv6-mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The far end.
    pub source: SocketAddr,
    /// What it connected to.
    pub destination: SocketAddr,
}

/// More to say than a header has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a PROXY header has room for 65535 bytes, and this one would have {0} or more")]
pub(super) struct TooLong(usize);

/// The header for a connection with these `ends` and this `handshake`; empty where none is wanted.
///
/// # Errors
/// It would be too long.
pub(super) fn header(
    protocol: ProxyProtocol,
    ends: &Ends,
    handshake: &Handshake,
) -> Result<Vec<u8>, TooLong> {
    match protocol {
        ProxyProtocol::Off => Ok(Vec::new()),
        ProxyProtocol::V1 => Ok(v1::write(ends)),
        ProxyProtocol::V2(certificate) => {
            v2::write(ends, tlv::Told::of(handshake, certificate).write()?)
        }
    }
}

/// The two addresses in one family, which IPv6 can always be.
enum Pair {
    V4([[u8; 4]; 2]),
    V6([Ipv6Addr; 2]),
}

impl Ends {
    fn pair(&self) -> Pair {
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Pair::V4([source.octets(), destination.octets()])
            }
            (source, destination) => Pair::V6([source, destination].map(|address| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            })),
        }
    }

    /// What a header says: of an IPv4 address in IPv6 spelling, the address.
    fn new(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Self {
        let end = |(address, port): (IpAddr, u16)| SocketAddr::new(address.to_canonical(), port);
        Self { source: end(source), destination: end(destination) }
    }
}
