//! TCP (RFC 9293): the destination port, and whether the header holds together.

use crate::{
    DropReason, Frame,
    segment::{Payload, Stop},
};

const MIN_HEADER: usize = 20;

/// What the policy needs of a TCP header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) port: u16,
    pub(crate) sound: bool,
}

#[inline(always)]
pub(crate) fn read(frame: &impl Frame, Payload { at, end }: Payload) -> Result<Header, Stop> {
    let port = frame.u16(at.wrapping_add(2));
    let port = port.ok_or(Stop::Undecidable(DropReason::Malformed))?;
    Ok(Header { port, sound: is_sound(frame, at, end) })
}

/// Whether the TCP header has its length, inside the IP packet and the frame.
#[inline(always)]
fn is_sound(frame: &impl Frame, at: usize, end: usize) -> bool {
    let Some(offset) = frame.byte(at.wrapping_add(12)) else { return false };
    let header = usize::from(offset >> 4).wrapping_mul(4);
    let data = at.wrapping_add(header);
    header >= MIN_HEADER && data <= end && frame.byte(data.wrapping_sub(1)).is_some()
}
