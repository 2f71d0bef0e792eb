//! Frames (RFC 9113, 4.1 and 6): their headers, and how they are written.

use super::{ErrorCode, StreamId, error::ConnectionError};

/// The length of a frame's header.
pub(super) const HEADER: usize = 9;
/// The longest payload, in both directions: the initial SETTINGS_MAX_FRAME_SIZE.
pub(super) const LONGEST: usize = 16_384;
/// Longer data is split into payloads of this length: with its header, each fills one TLS record.
pub(super) const DATA_PART: usize = LONGEST - HEADER;

pub(super) const ACK: u8 = 0x1;
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

/// The type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    Unknown,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) length: usize,
    pub(super) kind: Kind,
    flags: u8,
    pub(super) stream: StreamId,
}

impl FrameHeader {
    /// The header at the front of `input`, if all of it is there.
    pub(super) fn read(input: &[u8]) -> Option<Self> {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3, ..] = *input else { return None };
        Some(Self {
            length: u32::from_be_bytes([0, l0, l1, l2]) as usize,
            kind: match kind {
                0 => Kind::Data,
                1 => Kind::Headers,
                2 => Kind::Priority,
                3 => Kind::RstStream,
                4 => Kind::Settings,
                5 => Kind::PushPromise,
                6 => Kind::Ping,
                7 => Kind::GoAway,
                8 => Kind::WindowUpdate,
                9 => Kind::Continuation,
                _ => Kind::Unknown,
            },
            flags,
            // The reserved bit is ignored.
            stream: StreamId::new(u32::from_be_bytes([s0, s1, s2, s3])),
        })
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload as `N` bytes.
    pub(super) fn exactly<const N: usize>(
        &self,
        payload: &[u8],
    ) -> Result<[u8; N], ConnectionError> {
        payload.try_into().map_err(|_| ErrorCode::FrameSize.because("a frame has a wrong length"))
    }

    /// The frame must concern one stream.
    pub(super) fn of_stream(&self) -> Result<StreamId, ConnectionError> {
        match self.stream {
            StreamId::CONNECTION => {
                Err(ErrorCode::ProtocolError.because("a frame needs a stream and has none"))
            }
            stream => Ok(stream),
        }
    }

    /// The frame must concern the connection.
    pub(super) fn of_connection(&self) -> Result<(), ConnectionError> {
        match self.stream {
            StreamId::CONNECTION => Ok(()),
            _ => Err(ErrorCode::ProtocolError.because("a frame of the connection has a stream")),
        }
    }
}

/// The number of 31 bits at the front of a payload.
pub(super) fn number(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes) & 0x7fff_ffff
}

/// Writes the header of a frame.
pub(super) fn write_header(
    output: &mut Vec<u8>,
    length: usize,
    kind: Kind,
    flags: u8,
    stream: StreamId,
) {
    output.extend_from_slice(&header(length, kind, flags, stream));
}

/// The header of a frame with a payload of at most [`LONGEST`] bytes.
pub(super) fn header(length: usize, kind: Kind, flags: u8, stream: StreamId) -> [u8; HEADER] {
    let [_, l0, l1, l2] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let [s0, s1, s2, s3] = stream.get().to_be_bytes();
    [l0, l1, l2, kind as u8, flags, s0, s1, s2, s3]
}

pub(super) fn write_rst_stream(output: &mut Vec<u8>, stream: StreamId, code: ErrorCode) {
    write_header(output, 4, Kind::RstStream, 0, stream);
    output.extend_from_slice(&code.get().to_be_bytes());
}

pub(super) fn write_window_update(output: &mut Vec<u8>, stream: StreamId, by: u32) {
    write_header(output, 4, Kind::WindowUpdate, 0, stream);
    output.extend_from_slice(&by.to_be_bytes());
}

pub(super) fn write_ping(output: &mut Vec<u8>, flags: u8, payload: [u8; 8]) {
    write_header(output, payload.len(), Kind::Ping, flags, StreamId::CONNECTION);
    output.extend_from_slice(&payload);
}

pub(super) fn write_go_away(output: &mut Vec<u8>, last: StreamId, code: ErrorCode) {
    write_header(output, 8, Kind::GoAway, 0, StreamId::CONNECTION);
    output.extend_from_slice(&last.get().to_be_bytes());
    output.extend_from_slice(&code.get().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let mut output = Vec::new();
        write_header(&mut output, 0x01_02_03, Kind::Headers, PADDED, StreamId::new(0x0102_0304));
        assert_eq!(output, [1, 2, 3, 1, 8, 1, 2, 3, 4]);
        assert_eq!(FrameHeader::read(&output[..8]), None);
        output[5] |= 0x80;
        let header = FrameHeader::read(&output).unwrap();
        assert_eq!((header.length, header.kind), (0x01_02_03, Kind::Headers));
        assert_eq!(header.stream, StreamId::new(0x0102_0304));
        assert!(header.has(PADDED) && !header.has(END_STREAM));
    }
}
