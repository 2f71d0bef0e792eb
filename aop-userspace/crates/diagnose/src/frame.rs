//! The addresses of a frame, for people and for the state of its source.

use std::net::IpAddr;

use aop_common::{Bytes, Flow, Segment};

/// The source, destination and destination port of a frame, as far as they are readable.
#[derive(Clone, Copy, Default)]
pub(crate) struct FrameAddresses {
    pub(crate) source: Option<IpAddr>,
    pub(crate) destination: Option<IpAddr>,
    pub(crate) port: Option<u16>,
}

impl FrameAddresses {
    pub(crate) fn read(frame: &[u8]) -> Self {
        let of = |flow: Flow, port| Self {
            source: Some(flow.source.into()),
            destination: Some(flow.destination.into()),
            port,
        };
        match Segment::read(&Bytes(frame)) {
            Segment::Tcp { flow, port, .. } | Segment::Udp { flow, port } => of(flow, Some(port)),
            Segment::Undecidable { flow, .. } | Segment::Unfit { flow, .. } => of(flow, None),
            Segment::Other | Segment::Unreadable(_) => Self::default(),
        }
    }
}
