//! UDP (RFC 768): the destination port.

use crate::{
    DropReason, Frame,
    segment::{Payload, Stop},
    tcp::{Kind, TcpStep, TransportHeader},
};

#[inline(always)]
pub(crate) fn read(frame: &impl Frame, payload: Payload) -> Result<TransportHeader, Stop> {
    let port = frame.u16(payload.at.wrapping_add(2));
    let port = port.ok_or(Stop::Undecidable(DropReason::Udp))?;
    Ok(TransportHeader { port, kind: Kind::Udp, step: TcpStep::Other })
}
