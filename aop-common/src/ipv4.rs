//! IPv4 (RFC 791): options and fragments.

use crate::{
    Address, DropReason, Flow, Frame,
    segment::{Payload, Stop},
    tcp::{self, Header},
};

const MIN_HEADER: usize = 20;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;
const TCP: u8 = 6;
/// More fragments, and the fragment offset. "Don't fragment" and the evil bit are not among them.
const FRAGMENTED: u16 = 0x3fff;

/// Reads the IPv4 packet at `at`, down to TCP.
#[inline(always)]
pub(crate) fn read(frame: &impl Frame, at: usize) -> Result<Header, Stop> {
    tcp::read(frame, payload(frame, at)?)
}

/// The addresses of the IPv4 packet at `at`.
#[inline(always)]
pub(crate) fn flow(frame: &impl Frame, at: usize) -> Option<Flow> {
    let source = frame.load(at.wrapping_add(SOURCE))?;
    let destination = frame.load(at.wrapping_add(DESTINATION))?;
    Some(Flow { source: Address::V4(source), destination: Address::V4(destination) })
}

#[inline(always)]
fn payload(frame: &impl Frame, at: usize) -> Result<Payload, Stop> {
    const CUT: Stop = Stop::Undecidable(DropReason::Malformed);
    if frame.byte(at.wrapping_add(9)).ok_or(CUT)? != TCP {
        return Err(Stop::Other);
    }
    let version_ihl = frame.byte(at).ok_or(CUT)?;
    let header = usize::from(version_ihl & 0x0f).wrapping_mul(4);
    if version_ihl >> 4 != 4 || header < MIN_HEADER {
        return Err(CUT);
    }
    if frame.u16(at.wrapping_add(6)).ok_or(CUT)? & FRAGMENTED != 0 {
        return Err(Stop::Undecidable(DropReason::Fragment));
    }
    let length = frame.u16(at.wrapping_add(2)).ok_or(CUT)?;
    Ok(Payload { at: at.wrapping_add(header), end: at.wrapping_add(usize::from(length)) })
}
