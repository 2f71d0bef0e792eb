//! The PROXY header: tells the upstream who connected, and where.
//!
//! After <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>, versions 1 and 2, command
//! PROXY over TCP, without type-length-value fields.

use std::net::{IpAddr, SocketAddr};

use crate::config::ProxyProtocol;

const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const V2_PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The header for a connection from `peer` to our address `local`; empty where none is wanted.
pub(super) fn header(protocol: ProxyProtocol, peer: SocketAddr, local: SocketAddr) -> Vec<u8> {
    match protocol {
        ProxyProtocol::Off => Vec::new(),
        ProxyProtocol::V1 => v1(peer, local),
        ProxyProtocol::V2 => v2(peer, local),
    }
}

fn v1(peer: SocketAddr, local: SocketAddr) -> Vec<u8> {
    let (family, source, destination) = match (peer.ip(), local.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            ("TCP4", source.to_string(), destination.to_string())
        }
        (source, destination) => ("TCP6", v6(source).to_string(), v6(destination).to_string()),
    };
    let (from, to) = (peer.port(), local.port());
    format!("PROXY {family} {source} {destination} {from} {to}\r\n").into_bytes()
}

fn v2(peer: SocketAddr, local: SocketAddr) -> Vec<u8> {
    let (family, addresses) = match (peer.ip(), local.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            (TCP_OVER_IPV4, [source.octets(), destination.octets()].concat())
        }
        (source, destination) => {
            (TCP_OVER_IPV6, [v6(source).octets(), v6(destination).octets()].concat())
        }
    };
    let length: u16 = if family == TCP_OVER_IPV4 { 12 } else { 36 };
    let mut header = V2_SIGNATURE.to_vec();
    header.extend([V2_PROXY, family]);
    header.extend(length.to_be_bytes());
    header.extend(addresses);
    header.extend(peer.port().to_be_bytes());
    header.extend(local.port().to_be_bytes());
    header
}

/// Both addresses are of one family in any connection; should they not be, IPv6 can say both.
fn v6(address: IpAddr) -> std::net::Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_of(protocol: ProxyProtocol, peer: &str, local: &str) -> Vec<u8> {
        header(protocol, peer.parse().unwrap(), local.parse().unwrap())
    }

    #[test]
    fn version_1_is_a_line_of_text() {
        let v4 = header_of(ProxyProtocol::V1, "192.0.2.7:4711", "198.51.100.1:443");
        assert_eq!(v4, b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n");
        let v6 = header_of(ProxyProtocol::V1, "[2001:db8::7]:4711", "[2001:db8::1]:443");
        assert_eq!(v6, b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n");
        assert_eq!(header_of(ProxyProtocol::Off, "192.0.2.7:1", "192.0.2.8:2"), b"");
    }

    #[test]
    fn version_2_is_the_bytes_of_the_specification() {
        let v4 = header_of(ProxyProtocol::V2, "192.0.2.7:4711", "198.51.100.1:443");
        let expected = [
            b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a".as_slice(),
            b"\x21\x11\x00\x0c",
            &[192, 0, 2, 7, 198, 51, 100, 1],
            &[0x12, 0x67, 0x01, 0xbb],
        ]
        .concat();
        assert_eq!(v4, expected);
        let v6 = header_of(ProxyProtocol::V2, "[2001:db8::7]:4711", "[2001:db8::1]:443");
        assert_eq!(&v6[12..16], b"\x21\x21\x00\x24");
        assert_eq!(v6.len(), 16 + 36);
        assert_eq!(v6[16..20], [0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!((v6[31], v6[47]), (7, 1));
    }
}
