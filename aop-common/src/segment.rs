//! The meaning of a frame for the TCP listener that it would reach.

use crate::{
    DropReason, Frame, ethernet, ipv4, ipv6,
    tcp::{self, Kind, TransportHeader},
    udp,
};

/// An IP address as the packet has it. The families never mix: an IPv6 address that spells an IPv4
/// address (::ffff:a.b.c.d, 6to4, v4-compatible) stays IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// IPv4, in network order.
    V4([u8; 4]),
    /// IPv6, in network order.
    V6([u8; 16]),
}

impl From<[u8; 4]> for Address {
    #[inline(always)]
    fn from(octets: [u8; 4]) -> Self {
        Self::V4(octets)
    }
}

impl From<[u8; 16]> for Address {
    #[inline(always)]
    fn from(octets: [u8; 16]) -> Self {
        Self::V6(octets)
    }
}

impl From<Address> for core::net::IpAddr {
    fn from(address: Address) -> Self {
        match address {
            Address::V4(octets) => octets.into(),
            Address::V6(octets) => octets.into(),
        }
    }
}

/// The family of an IP address, and of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AddressFamily {
    /// IPv4.
    V4 = 0,
    /// IPv6.
    V6 = 1,
}

impl AddressFamily {
    /// Both families.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family's name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

impl core::fmt::Display for AddressFamily {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// The source and destination of a packet. Both are of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The source address.
    pub source: Address,
    /// The destination address.
    pub destination: Address,
}

/// A frame, read as far as the kernel reads it for a TCP listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Neither TCP nor UDP: another protocol, another EtherType.
    Other,
    /// UDP to `port`.
    Udp {
        /// Source and destination.
        flow: Flow,
        /// The destination port.
        port: u16,
    },
    /// TCP to `port`.
    Tcp {
        /// Source and destination.
        flow: Flow,
        /// The destination port.
        port: u16,
        /// Why it is dropped, unless something admits it.
        why: DropReason,
    },
    /// It may be TCP to any port, because the destination port cannot be known.
    Undecidable {
        /// Source and destination.
        flow: Flow,
        /// Why the port is unknown.
        why: DropReason,
    },
    /// It may hide another packet, so its source says nothing.
    Unfit {
        /// Source and destination.
        flow: Flow,
        /// The kind of packet that may hide the other one.
        why: DropReason,
    },
    /// Its addresses cannot be known, for this reason.
    Unreadable(DropReason),
}

impl Segment {
    /// Reads the headers of `frame`, from Ethernet to TCP. Checksums, TTL, flags and padding are
    /// for the kernel to judge.
    #[must_use]
    pub fn read(frame: &impl Frame) -> Self {
        let (payload, flow) = match ethernet::read(frame) {
            Ok((AddressFamily::V4, at)) => (ipv4::payload(frame, at), ipv4::flow(frame, at)),
            Ok((AddressFamily::V6, at)) => (ipv6::payload(frame, at), ipv6::flow(frame, at)),
            Err(Stop::Other) => return Self::Other,
            Err(Stop::Undecidable(why) | Stop::Unfit(why)) => return Self::Unreadable(why),
        };
        let header = payload.and_then(|payload| match payload.protocol {
            Protocol::Tcp => tcp::read(frame, payload),
            Protocol::Udp => udp::read(frame, payload),
        });
        match (header, flow) {
            (Err(Stop::Other), _) => Self::Other,
            // It ends before its addresses, so the kernel does not accept it as UDP either.
            (
                Ok(TransportHeader { kind: Kind::Udp, .. })
                | Err(Stop::Undecidable(DropReason::Udp)),
                None,
            ) => Self::Other,
            (_, None) => Self::Unreadable(DropReason::Malformed),
            (Err(Stop::Unfit(why)), Some(flow)) => Self::Unfit { flow, why },
            (Ok(TransportHeader { port, kind: Kind::Udp, .. }), Some(flow)) => {
                Self::Udp { flow, port }
            }
            (Ok(header), Some(flow)) => {
                Self::Tcp { flow, port: header.port, why: header.if_unknown() }
            }
            (Err(Stop::Undecidable(why)), Some(flow)) => Self::Undecidable { flow, why },
        }
    }

    /// Source and destination, if they can be read.
    #[must_use]
    pub const fn flow(self) -> Option<Flow> {
        match self {
            Self::Tcp { flow, .. }
            | Self::Udp { flow, .. }
            | Self::Undecidable { flow, .. }
            | Self::Unfit { flow, .. } => Some(flow),
            Self::Other | Self::Unreadable(_) => None,
        }
    }

    /// The destination port, if it can be read.
    #[must_use]
    pub const fn port(self) -> Option<u16> {
        match self {
            Self::Tcp { port, .. } | Self::Udp { port, .. } => Some(port),
            Self::Undecidable { .. } | Self::Unfit { .. } | Self::Other | Self::Unreadable(_) => {
                None
            }
        }
    }
}

/// Why reading ends before a TCP header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Neither a TCP nor a UDP socket would answer the packet.
    Other,
    /// It may be TCP to any port.
    Undecidable(DropReason),
    /// It is dropped whatever its source is.
    Unfit(DropReason),
}

/// The protocols with ports.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

/// Where an IP packet carries TCP or UDP: from `at` to before `end`, in bytes from the frame's
/// start.
#[derive(Clone, Copy)]
pub(crate) struct Payload {
    pub(crate) protocol: Protocol,
    pub(crate) at: usize,
    pub(crate) end: usize,
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use aop_packets::{
        Scene,
        build::{ARP, CUSTOMER_TAG, Extension, Ip, Ipv4, Ipv6, Tcp, ethernet, tags},
    };

    use super::*;
    use crate::Bytes;

    const V4: ([u8; 4], [u8; 4]) = (Scene::FIXED.v4.stranger, Scene::FIXED.v4.origin);
    const V6: ([u8; 16], [u8; 16]) = (Scene::FIXED.v6.stranger, Scene::FIXED.v6.origin);

    fn v4() -> Ipv4 {
        Ipv4::between(V4.0, V4.1)
    }

    fn v6() -> Ipv6 {
        Ipv6::between(V6.0, V6.1)
    }

    fn flow_of<A: Into<Address>>((source, destination): (A, A)) -> Flow {
        Flow { source: source.into(), destination: destination.into() }
    }

    #[test]
    fn source_destination_and_port_of_tcp_and_udp_are_read_in_both_families() {
        let tcp = Tcp::syn(8443);
        for (frame, flow) in [
            (v4().tcp(&tcp), flow_of(V4)),
            (v4().udp(8443), flow_of(V4)),
            (v6().tcp(&tcp), flow_of(V6)),
            (v6().udp(8443), flow_of(V6)),
        ] {
            let segment = Segment::read(&Bytes(&frame));
            assert_eq!((segment.flow(), segment.port()), (Some(flow), Some(8443)), "{frame:02x?}");
        }
    }

    #[test]
    fn a_frame_without_a_port_still_shows_its_addresses() {
        let tcp = Tcp::syn(8443);
        for (frame, flow) in [
            (v4().fragment(1, false).tcp(&tcp), flow_of(V4)),
            (v6().with(Extension::fragment(1, false)).tcp(&tcp), flow_of(V6)),
            (v6().chain([(); 9].map(|()| Extension::destination(0))).tcp(&tcp), flow_of(V6)),
        ] {
            let segment = Segment::read(&Bytes(&frame));
            assert_eq!((segment.flow(), segment.port()), (Some(flow), None), "{frame:02x?}");
        }
    }

    #[test]
    fn a_frame_that_is_not_read_to_its_addresses_shows_neither_addresses_nor_port() {
        let frame = v4().tcp(&Tcp::syn(8443));
        let too_deep = tags(frame.clone(), 5, CUSTOMER_TAG, 1);
        for frame in [&ethernet(ARP, &frame[14..]), &too_deep, &frame[..30], &frame[..13]] {
            let segment = Segment::read(&Bytes(frame));
            assert_eq!((segment.flow(), segment.port()), (None, None), "{frame:02x?}");
        }
    }

    #[test]
    fn people_read_the_usual_names_of_families() {
        assert_eq!(AddressFamily::BOTH.map(AddressFamily::name), ["IPv4", "IPv6"]);
        assert_eq!(AddressFamily::V6.to_string(), "IPv6");
    }
}
