//! TCP (RFC 9293): the destination port, and whether the header is sound.

use crate::{
    DropReason, Flow, Frame,
    segment::{Payload, Stop},
};

pub(crate) const MIN_HEADER: usize = 20;
/// The places of the destination port, and of the header's length with the flags.
pub(crate) const PORT: usize = 2;
pub(crate) const LENGTH_AND_FLAGS: usize = 12;

const SYN: u8 = 0x02;
/// SYN, and the flags with which a SYN does not open a connection: FIN (1), RST (4), ACK (0x10).
const OPENING: u8 = 0x17;

/// The part of a TCP or UDP header that the policy needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransportHeader {
    pub(crate) port: u16,
    pub(crate) kind: Kind,
    pub(crate) step: TcpStep,
}

/// The effect of a TCP segment on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpStep {
    /// It is a SYN that asks for a new connection.
    Opens,
    /// Anything else.
    Other,
}

/// The kind of a header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// TCP whose header fits its own length, the IP length and the frame.
    Tcp,
    /// TCP whose header does not.
    BrokenTcp,
    /// UDP.
    Udp,
}

impl TransportHeader {
    /// Why the packet is dropped, unless something admits it.
    #[inline(always)]
    pub(crate) fn if_unknown(self) -> DropReason {
        match self.kind {
            Kind::Tcp => DropReason::UnknownSource,
            Kind::BrokenTcp => DropReason::Malformed,
            Kind::Udp => DropReason::Udp,
        }
    }
}

/// A packet in its most frequent form: TCP, untagged, no fragment, without IP options or extension
/// headers, up to a whole TCP header in the first buffer. Everything stands at a fixed place, so
/// that one check of bounds is enough. The whole reading gives the same.
pub(crate) trait Plain {
    /// The destination port.
    fn port(&self) -> u16;
    /// Source and destination.
    fn flow(&self) -> Flow;
    /// The TCP header.
    fn header(&self, frame: &impl Frame) -> TransportHeader;
}

#[inline(always)]
pub(crate) fn read(frame: &impl Frame, payload: Payload) -> Result<TransportHeader, Stop> {
    let at = payload.at;
    let port = frame.u16(at.wrapping_add(PORT));
    let port = port.ok_or(Stop::Undecidable(DropReason::Malformed))?;
    Ok(match frame.load::<2>(at.wrapping_add(LENGTH_AND_FLAGS)) {
        Some(bytes) => header(frame, payload, port, bytes),
        None => TransportHeader { port, kind: Kind::BrokenTcp, step: TcpStep::Other },
    })
}

/// The header with this port, and with these bytes of length and flags.
#[inline(always)]
pub(crate) fn header(
    frame: &impl Frame,
    payload: Payload,
    port: u16,
    [offset, flags]: [u8; 2],
) -> TransportHeader {
    if !is_sound(frame, payload, offset) {
        return TransportHeader { port, kind: Kind::BrokenTcp, step: TcpStep::Other };
    }
    let step = if flags & OPENING == SYN { TcpStep::Opens } else { TcpStep::Other };
    TransportHeader { port, kind: Kind::Tcp, step }
}

/// Whether the whole TCP header lies inside the IP packet and the frame.
#[inline(always)]
fn is_sound(frame: &impl Frame, Payload { at, end, .. }: Payload, offset: u8) -> bool {
    let header = usize::from(offset >> 4).wrapping_mul(4);
    let data = at.wrapping_add(header);
    header >= MIN_HEADER && data <= end && frame.byte(data.wrapping_sub(1)).is_some()
}
