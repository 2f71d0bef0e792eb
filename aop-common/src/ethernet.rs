//! Ethernet and VLAN tags.

use crate::{
    DropReason, Frame,
    segment::{AddressFamily, Stop},
};

pub(crate) const ETHERTYPE: usize = 12;
/// Bytes of the header of an untagged frame.
pub(crate) const HEADER: usize = 14;
const TAG: usize = 4;
/// Tags that are read. The kernel strips any number of priority tags (VID 0), so a frame with more
/// tags is dropped and not passed unread.
const MAX_TAGS: usize = 4;

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
/// 802.1Q and 802.1ad: the two kinds of tag that Linux takes off by itself.
const TAGGED: [u16; 2] = [0x8100, 0x88a8];

/// The IP version of a frame, and where its IP header begins.
#[inline(always)]
pub(crate) fn read(frame: &impl Frame) -> Result<(AddressFamily, usize), Stop> {
    let mut at = ETHERTYPE;
    for _ in 0..=MAX_TAGS {
        // A frame without an EtherType reaches no listener.
        let kind = frame.u16(at).ok_or(Stop::Other)?;
        match kind {
            IPV4 => return Ok((AddressFamily::V4, at.wrapping_add(2))),
            IPV6 => return Ok((AddressFamily::V6, at.wrapping_add(2))),
            kind if TAGGED.contains(&kind) => at = frame.behind(at, TAG),
            _ => return Err(Stop::Other),
        }
    }
    Err(Stop::Unfit(DropReason::TooDeep))
}
