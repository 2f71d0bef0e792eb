//! Makes single frames: sound ones, or broken ones on purpose.
//!
//! Lengths and checksums are right unless a setter spoils them. So a kernel without aop answers
//! each frame that a listener must be protected from.

mod ethernet;
mod ipv4;
mod ipv6;
mod tcp;

pub use ethernet::{ARP, CUSTOMER_TAG, IPV4, IPV6, SERVICE_TAG, ethernet, padded, tagged, tags};
pub use ipv4::Ipv4;
pub use ipv6::{Extension, Ipv6};
pub use tcp::Tcp;

/// An IP header of either family, and the frames that begin with it.
pub trait Ip {
    /// Source and destination: what the checksums of TCP and UDP cover of the IP header.
    fn addresses(&self) -> Vec<u8>;

    /// The frame that carries `payload` of the given protocol.
    #[must_use]
    fn carrying(&self, protocol: u8, payload: &[u8]) -> Vec<u8>;

    /// The frame that carries `segment`.
    #[must_use]
    fn tcp(&self, segment: &Tcp) -> Vec<u8> {
        self.carrying(protocol::TCP, &segment.bytes(&self.addresses()))
    }

    /// The frame that carries an empty UDP datagram to `port`.
    #[must_use]
    fn udp(&self, port: u16) -> Vec<u8> {
        let mut datagram = [0x9c, 0x40, 0, 0, 0, 8, 0, 0];
        datagram[2..4].copy_from_slice(&port.to_be_bytes());
        let sum = transport_checksum(&self.addresses(), protocol::UDP, &datagram);
        datagram[6..8].copy_from_slice(&sum.to_be_bytes());
        self.carrying(protocol::UDP, &datagram)
    }
}

/// IP protocol numbers.
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// The encrypted payload of IPsec.
    pub const ESP: u8 = 50;
    /// The authentication header of IPsec.
    pub const AUTHENTICATION: u8 = 51;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// IPv6's "no next header".
    pub const NONE: u8 = 59;
}

/// The internet checksum (RFC 1071).
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| [pair[0], *pair.get(1).unwrap_or(&0)]);
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(word))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// The checksum with the pseudo-header. Its words have the same sum in both families.
pub(super) fn transport_checksum(addresses: &[u8], protocol: u8, segment: &[u8]) -> u16 {
    let mut all = addresses.to_vec();
    all.extend([0, protocol]);
    all.extend((segment.len() as u16).to_be_bytes());
    all.extend(segment);
    checksum(&all)
}
