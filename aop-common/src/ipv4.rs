//! IPv4 (RFC 791): options and fragments.

use crate::{
    Address, DropReason, Flow, Frame, ethernet,
    frame::Head,
    segment::{Payload, Protocol, Stop},
};

const MIN_HEADER: usize = 20;
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

/// The destination port of an ordinary IPv4 packet: TCP, untagged, no fragment, without options. It
/// is always the port that [`payload`] leads to.
#[inline(always)]
pub(crate) fn plain_port(frame: &impl Frame) -> Option<u16> {
    let head = frame.head::<38>()?;
    let plain = head.u16::<{ ethernet::ETHERTYPE }>() == ethernet::IPV4
        && head.byte::<14>() == 0x45
        && head.byte::<23>() == TCP
        && head.u16::<20>() & FRAGMENTED == 0;
    plain.then(|| head.u16::<36>())
}

/// Where the IPv4 packet at `at` carries TCP or UDP.
#[inline(always)]
pub(crate) fn payload(frame: &impl Frame, at: usize) -> Result<Payload, Stop> {
    const CUT: Stop = Stop::Undecidable(DropReason::Malformed);
    let protocol = match frame.byte(at.wrapping_add(9)).ok_or(CUT)? {
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
    let fragment = frame.u16(at.wrapping_add(6)).ok_or(CUT)?;
    match protocol {
        Protocol::Tcp if fragment & FRAGMENTED != 0 => {
            return Err(Stop::Undecidable(DropReason::Fragment));
        }
        // The first fragment has the port, and the others are useless without it.
        Protocol::Udp if fragment & OFFSET != 0 => return Err(Stop::Other),
        Protocol::Tcp | Protocol::Udp => {}
    }
    let length = frame.u16(at.wrapping_add(2)).ok_or(CUT)?;
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

    /// Ethernet, IPv4 and the ports of TCP.
    const READ: usize = 38;

    fn header() -> Ipv4 {
        Ipv4::between(Scene::FIXED.v4.stranger, Scene::FIXED.v4.origin)
    }

    #[test]
    fn the_port_of_an_ordinary_packet_is_read_at_once() {
        let tcp = Tcp::syn(8443);
        let may_be_fragmented = header().flags(0);
        for packet in [header(), header().flags(0x8000), may_be_fragmented, header().hops(1)] {
            let frame = packet.tcp(&tcp);
            assert_eq!(plain_port(&Bytes(&frame)), Some(8443), "{packet:?}");
            assert_eq!(plain_port(&Bytes(&frame[..READ])), Some(8443), "{packet:?}");
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
            assert_eq!(plain_port(&Bytes(frame)), None, "{frame:02x?}");
        }
    }
}
