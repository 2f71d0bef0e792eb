//! IPv4 (RFC 791): options and fragments.

use crate::{
    Address, DropReason, Flow, Frame, ethernet,
    frame::Head,
    segment::{Payload, Protocol, Stop},
    tcp::{self, Plain, TransportHeader},
};

const MIN_HEADER: usize = 20;
/// The places of the total length, the fragment offset with its flags, and the protocol.
const LENGTH: usize = 2;
const FRAGMENT: usize = 6;
const PROTOCOL: usize = 9;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// The flag "more fragments" and the fragment offset; neither "don't fragment" nor the evil bit
/// (RFC 3514).
const FRAGMENTED: u16 = 0x3fff;
const OFFSET: u16 = 0x1fff;

/// The addresses of the IPv4 packet at `at`.
#[inline(always)]
pub(crate) fn flow(frame: &impl Frame, at: usize) -> Option<Flow> {
    let source = frame.load(at.wrapping_add(SOURCE))?;
    let destination = frame.load(at.wrapping_add(DESTINATION))?;
    Some(Flow { source: Address::V4(source), destination: Address::V4(destination) })
}

/// The beginning of the headers of a plain packet.
const AT: usize = ethernet::HEADER;
const TCP_AT: usize = AT + MIN_HEADER;

/// The packet, if it is plain.
#[inline(always)]
pub(crate) fn plain(frame: &impl Frame) -> Option<impl Plain> {
    let head = frame.head::<{ TCP_AT + tcp::MIN_HEADER }>()?;
    let plain = head.u16::<{ ethernet::ETHERTYPE }>() == ethernet::IPV4
        && head.byte::<AT>() == 0x45
        && head.byte::<{ AT + PROTOCOL }>() == TCP
        && head.u16::<{ AT + FRAGMENT }>() & FRAGMENTED == 0;
    plain.then_some(PlainIpv4(head))
}

struct PlainIpv4<H>(H);

impl<H: Head> Plain for PlainIpv4<H> {
    #[inline(always)]
    fn port(&self) -> u16 {
        self.0.u16::<{ TCP_AT + tcp::PORT }>()
    }

    #[inline(always)]
    fn flow(&self) -> Flow {
        let source = self.0.bytes::<{ AT + SOURCE }, 4>();
        let destination = self.0.bytes::<{ AT + DESTINATION }, 4>();
        Flow { source: Address::V4(source), destination: Address::V4(destination) }
    }

    #[inline(always)]
    fn header(&self, frame: &impl Frame) -> TransportHeader {
        let length = self.0.u16::<{ AT + LENGTH }>();
        let end = AT.wrapping_add(usize::from(length));
        let payload = Payload { protocol: Protocol::Tcp, at: TCP_AT, end };
        let length_and_flags = self.0.bytes::<{ TCP_AT + tcp::LENGTH_AND_FLAGS }, 2>();
        tcp::header(frame, payload, self.port(), length_and_flags)
    }
}

/// Where the IPv4 packet at `at` carries TCP or UDP.
#[inline(always)]
pub(crate) fn payload(frame: &impl Frame, at: usize) -> Result<Payload, Stop> {
    const CUT: Stop = Stop::Undecidable(DropReason::Malformed);
    let protocol = match frame.byte(at.wrapping_add(PROTOCOL)).ok_or(CUT)? {
        TCP => Protocol::Tcp,
        UDP => Protocol::Udp,
        _ => return Err(Stop::Other),
    };
    let version_ihl = frame.byte(at).ok_or(CUT)?;
    let header = usize::from(version_ihl & 0x0f).wrapping_mul(4);
    if version_ihl >> 4 != 4 || header < MIN_HEADER {
        // The kernel does not accept this as UDP, and UDP passes by default.
        return Err(if protocol == Protocol::Tcp { CUT } else { Stop::Other });
    }
    let fragment = frame.u16(at.wrapping_add(FRAGMENT)).ok_or(CUT)?;
    match protocol {
        Protocol::Tcp if fragment & FRAGMENTED != 0 => {
            return Err(Stop::Undecidable(DropReason::Fragment));
        }
        // The first fragment has the port, and the others are useless without it.
        Protocol::Udp if fragment & OFFSET != 0 => return Err(Stop::Other),
        Protocol::Tcp | Protocol::Udp => {}
    }
    let length = frame.u16(at.wrapping_add(LENGTH)).ok_or(CUT)?;
    Ok(Payload { protocol, at: at.wrapping_add(header), end: at.wrapping_add(usize::from(length)) })
}

#[cfg(test)]
mod tests {
    use aop_packets::{
        Scene,
        build::{ARP, CUSTOMER_TAG, Ip, Ipv4, Tcp, ethernet, tagged},
    };

    use super::*;
    use crate::Bytes;

    /// Ethernet, IPv4 and TCP without options.
    const READ: usize = TCP_AT + tcp::MIN_HEADER;

    fn plain_port(frame: &[u8]) -> Option<u16> {
        plain(&Bytes(frame)).map(|plain| plain.port())
    }

    fn header() -> Ipv4 {
        Ipv4::between(Scene::FIXED.v4.stranger, Scene::FIXED.v4.origin)
    }

    #[test]
    fn the_port_of_an_ordinary_packet_is_read_at_once() {
        let tcp = Tcp::syn(8443);
        let may_be_fragmented = header().flags(0);
        for packet in [header(), header().flags(0x8000), may_be_fragmented, header().hops(1)] {
            let frame = packet.tcp(&tcp);
            assert_eq!(plain_port(&frame), Some(8443), "{packet:?}");
            assert_eq!(plain_port(&frame[..READ]), Some(8443), "{packet:?}");
        }
    }

    #[test]
    fn a_packet_that_is_not_ordinary_is_left_to_the_whole_reading() {
        let tcp = Tcp::syn(8443);
        let ordinary = header().tcp(&tcp);
        for frame in [
            &ordinary[..READ - 1],
            &ethernet(ARP, &ordinary[14..]),
            &tagged(ordinary.clone(), CUSTOMER_TAG, 1),
            &header().version(5).tcp(&tcp),
            &header().ihl(4).tcp(&tcp),
            &header().no_operations(1).tcp(&tcp),
            &header().fragment(0, true).tcp(&tcp),
            &header().fragment(1, false).tcp(&tcp),
            &header().udp(8443),
        ] {
            assert_eq!(plain_port(frame), None, "{frame:02x?}");
        }
    }
}
