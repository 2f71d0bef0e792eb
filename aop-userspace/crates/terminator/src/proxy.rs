//! The PROXY protocol: a proxy passes on the addresses of a connection.
//!
//! Versions 1 and 2 over TCP, as in
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>.
//! [`header`] makes the header for an upstream; [`mod@receive`] reads one from a listener's
//! senders.
//! Both use `v1` and `v2`, which do no I/O; `tlv` holds the fields of version 2.
//!
//! No crate replaces this module: the existing ones verify no checksum and do not distinguish a
//! header that is too long from a malformed one.

mod receive;
#[cfg(test)]
mod tests;
mod tlv;
mod v1;
mod v2;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use aop_config::ProxyProtocol;
use aop_tls::HandshakeFacts;
pub(super) use receive::receive;
pub use receive::{MalformedProxyHeader, ParsedProxyHeader, parse};
use thiserror::Error;

/// The two addresses of a connection. IPv4 addresses are never IPv6-mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyAddresses {
    /// The client's address.
    pub source: SocketAddr,
    /// The address that the client connected to.
    pub destination: SocketAddr,
}

/// A header whose fields exceed its 16-bit length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a PROXY header holds 65535 bytes at most; this one needs {0} or more")]
pub(super) struct HeaderTooLong(usize);

/// The header for a connection with these addresses and this handshake; empty if `protocol` is off.
///
/// # Errors
/// The header would be too long.
pub(super) fn header(
    protocol: ProxyProtocol,
    addresses: &ProxyAddresses,
    handshake: &HandshakeFacts,
) -> Result<Vec<u8>, HeaderTooLong> {
    match protocol {
        ProxyProtocol::Off => Ok(Vec::new()),
        ProxyProtocol::V1 => Ok(v1::encode(addresses)),
        ProxyProtocol::V2(certificate) => {
            v2::encode(addresses, tlv::TlsFields::of(handshake, certificate).encode()?)
        }
    }
}

/// The two addresses in one family; mixed families become IPv6.
enum Pair {
    V4([[u8; 4]; 2]),
    V6([Ipv6Addr; 2]),
}

impl ProxyAddresses {
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

    /// The addresses in a header; an IPv6-mapped address becomes IPv4.
    fn new(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Self {
        let end = |(address, port): (IpAddr, u16)| SocketAddr::new(address.to_canonical(), port);
        Self { source: end(source), destination: end(destination) }
    }
}
