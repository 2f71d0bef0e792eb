//! The addresses of a frame, for people and for the state of its source.

use std::net::IpAddr;

use aop_common::{Bytes, Segment};

/// The source, destination and destination port of a frame, as far as they are readable.
#[derive(Clone, Copy)]
pub(crate) struct FrameAddresses {
    pub(crate) source: Option<IpAddr>,
    pub(crate) destination: Option<IpAddr>,
    pub(crate) port: Option<u16>,
}

impl FrameAddresses {
    pub(crate) fn read(frame: &[u8]) -> Self {
        let segment = Segment::read(&Bytes(frame));
        let flow = segment.flow();
        Self {
            source: flow.map(|flow| flow.source.into()),
            destination: flow.map(|flow| flow.destination.into()),
            port: segment.port(),
        }
    }
}
