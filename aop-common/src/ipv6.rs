//! IPv6 (RFC 8200): extension headers and fragments.

use crate::{
    Address, DropReason, Flow, Frame, ethernet,
    frame::Head,
    segment::{Payload, Protocol, Stop},
    tcp::{self, Plain, TransportHeader},
};

const HEADER: usize = 40;
/// The places of the payload length and the next header.
const LENGTH: usize = 4;
const NEXT_HEADER: usize = 6;
const SOURCE: usize = 8;
const DESTINATION: usize = 24;
/// Extension headers that are read; the kernel reads more than a hundred.
const MAX_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const IPV4_INSIDE: u8 = 4;
const TCP: u8 = 6;
const UDP: u8 = 17;
const IPV6_INSIDE: u8 = 41;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// The fragment offset and the more-fragments flag of a fragment header's 16 bits.
const FRAGMENTED: u16 = 0xfff9;
const OFFSET: u16 = 0xfff8;

/// The addresses of the IPv6 packet at `at`.
#[inline(always)]
pub(crate) fn flow(frame: &impl Frame, at: usize) -> Option<Flow> {
    let source = frame.load(at.wrapping_add(SOURCE))?;
    let destination = frame.load(at.wrapping_add(DESTINATION))?;
    Some(Flow { source: Address::V6(source), destination: Address::V6(destination) })
}

/// The beginning of the headers of a plain packet.
const AT: usize = ethernet::HEADER;
const TCP_AT: usize = AT + HEADER;

/// The packet, if it is plain.
#[inline(always)]
pub(crate) fn plain(frame: &impl Frame) -> Option<impl Plain> {
    let head = frame.head::<{ TCP_AT + tcp::MIN_HEADER }>()?;
    let plain = head.u16::<{ ethernet::ETHERTYPE }>() == ethernet::IPV6
        && head.byte::<AT>() >> 4 == 6
        && head.byte::<{ AT + NEXT_HEADER }>() == TCP;
    plain.then_some(PlainIpv6(head))
}

struct PlainIpv6<H>(H);

impl<H: Head> Plain for PlainIpv6<H> {
    #[inline(always)]
    fn port(&self) -> u16 {
        self.0.u16::<{ TCP_AT + tcp::PORT }>()
    }

    #[inline(always)]
    fn flow(&self) -> Flow {
        let source = self.0.bytes::<{ AT + SOURCE }, 16>();
        let destination = self.0.bytes::<{ AT + DESTINATION }, 16>();
        Flow { source: Address::V6(source), destination: Address::V6(destination) }
    }

    #[inline(always)]
    fn header(&self, frame: &impl Frame) -> TransportHeader {
        let length = self.0.u16::<{ AT + LENGTH }>();
        let end = TCP_AT.wrapping_add(usize::from(length));
        let payload = Payload { protocol: Protocol::Tcp, at: TCP_AT, end };
        let length_and_flags = self.0.bytes::<{ TCP_AT + tcp::LENGTH_AND_FLAGS }, 2>();
        tcp::header(frame, payload, self.port(), length_and_flags)
    }
}

/// Where the IPv6 packet at `at` carries TCP or UDP.
#[inline(always)]
pub(crate) fn payload(frame: &impl Frame, at: usize) -> Result<Payload, Stop> {
    const CUT: Stop = Stop::Undecidable(DropReason::Malformed);
    if frame.byte(at).ok_or(CUT)? >> 4 != 6 {
        return Err(CUT);
    }
    let length = frame.u16(at.wrapping_add(LENGTH)).ok_or(CUT)?;
    let mut next = frame.byte(at.wrapping_add(NEXT_HEADER)).ok_or(CUT)?;
    let body = at.wrapping_add(HEADER);
    let mut offset = body;
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(next) {
            break;
        }
        let [following, length, high, low] = frame.load::<4>(offset).ok_or(CUT)?;
        let size = match next {
            FRAGMENT => {
                let pieces = u16::from_be_bytes([high, low]);
                if pieces & FRAGMENTED != 0 && (following != UDP || pieces & OFFSET != 0) {
                    return Err(fragment(following));
                }
                // An atomic fragment is a whole packet (RFC 6946). The first fragment of UDP has
                // the port.
                8
            }
            // RFC 4302: in 4-byte units, less two.
            AUTHENTICATION => usize::from(length).wrapping_add(2).wrapping_mul(4),
            // RFC 8200: in 8-byte units, less one.
            _ => usize::from(length).wrapping_add(1).wrapping_mul(8),
        };
        if next == ROUTING && matches!(following, IPV4_INSIDE | IPV6_INSIDE) {
            // Segment routing (RFC 8754) unwraps the inner packet without any tunnel device, and
            // the outer source says nothing about the inner one.
            return Err(Stop::Unfit(DropReason::TooDeep));
        }
        next = following;
        offset = frame.behind(offset, size);
    }
    if is_extension(next) {
        // Another packet may follow, by segment routing.
        return Err(Stop::Unfit(DropReason::TooDeep));
    }
    let protocol = match next {
        TCP => Protocol::Tcp,
        UDP => Protocol::Udp,
        _ => return Err(Stop::Other),
    };
    Ok(Payload { protocol, at: offset, end: body.wrapping_add(usize::from(length)) })
}

/// Why reading ends at a fragment of a larger packet, which goes on with a header of kind `next`.
#[inline(always)]
fn fragment(next: u8) -> Stop {
    match next {
        TCP => Stop::Undecidable(DropReason::Fragment),
        // The reassembled packet may hold another one, by segment routing.
        next if is_extension(next) => Stop::Unfit(DropReason::Fragment),
        _ => Stop::Other,
    }
}

/// Whether the kernel looks behind a header of this kind for TCP.
#[inline(always)]
fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}

#[cfg(test)]
mod tests {
    use aop_packets::{
        Scene,
        build::{ARP, CUSTOMER_TAG, Extension, Ip, Ipv6, Tcp, ethernet, tagged},
    };

    use super::*;
    use crate::Bytes;

    /// Ethernet, IPv6 and TCP without options.
    const READ: usize = TCP_AT + tcp::MIN_HEADER;

    fn plain_port(frame: &[u8]) -> Option<u16> {
        plain(&Bytes(frame)).map(|plain| plain.port())
    }

    fn header() -> Ipv6 {
        Ipv6::between(Scene::FIXED.v6.stranger, Scene::FIXED.v6.origin)
    }

    #[test]
    fn the_port_of_an_ordinary_packet_is_read_at_once() {
        let frame = header().tcp(&Tcp::syn(8443));
        assert_eq!(plain_port(&frame), Some(8443));
        assert_eq!(plain_port(&frame[..READ]), Some(8443));
        let mut labelled = frame;
        // A traffic class and a flow label.
        labelled[14..18].copy_from_slice(&[0x6f, 0xff, 0xff, 0xff]);
        assert_eq!(plain_port(&labelled), Some(8443));
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
            &header().with(Extension::destination(0)).tcp(&tcp),
            &header().udp(8443),
        ] {
            assert_eq!(plain_port(frame), None, "{frame:02x?}");
        }
    }
}
