//! SETTINGS (RFC 9113, 6.5): what this side announces, and what the peer's values mean.

use super::{
    ConnectionConfig, ErrorCode, ExtendedConnect, StreamId,
    connection::Role,
    error::ConnectionError,
    frame::{self, Kind},
    window,
};
use crate::hpack::Encoder;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// The bytes of one setting.
const LENGTH: usize = 6;
/// Streams that a client opens before it knows the server's limit.
const STREAMS_AT_FIRST: u32 = 100;

/// The peer's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PeerSettings {
    pub(super) initial_window: u32,
    /// `None` until the first SETTINGS arrive.
    max_streams: Option<u32>,
    pub(super) extended_connect: ExtendedConnect,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            initial_window: window::INITIAL,
            max_streams: None,
            extended_connect: ExtendedConnect::Refused,
        }
    }
}

/// Writes this side's SETTINGS.
pub(super) fn announce(output: &mut Vec<u8>, role: Role, config: &ConnectionConfig) {
    let extended = u32::from(config.extended_connect == ExtendedConnect::Accepted);
    let own: [(u16, u32); 2] = match role {
        Role::Server => {
            [(MAX_CONCURRENT_STREAMS, config.max_streams), (ENABLE_CONNECT_PROTOCOL, extended)]
        }
        Role::Client => [(MAX_CONCURRENT_STREAMS, 0), (ENABLE_PUSH, 0)],
    };
    let both =
        [(INITIAL_WINDOW_SIZE, config.stream_window), (MAX_HEADER_LIST_SIZE, config.max_head)];
    let length = (own.len() + both.len()) * LENGTH;
    frame::write_header(output, length, Kind::Settings, 0, StreamId::CONNECTION);
    for (name, value) in own.into_iter().chain(both) {
        output.extend_from_slice(&name.to_be_bytes());
        output.extend_from_slice(&value.to_be_bytes());
    }
}

impl PeerSettings {
    /// Whether the peer's first SETTINGS have arrived.
    pub(super) fn has_arrived(&self) -> bool {
        self.max_streams.is_some()
    }

    /// The largest number of streams that this side may have open. Without a value of the peer
    /// there is no limit (RFC 9113, 6.5.2).
    pub(super) fn max_streams(&self) -> u32 {
        self.max_streams.unwrap_or(STREAMS_AT_FIRST)
    }

    /// Applies the payload of a SETTINGS frame.
    pub(super) fn apply(
        &mut self,
        payload: &[u8],
        role: Role,
        encoder: &mut Encoder,
    ) -> Result<(), ConnectionError> {
        let (settings, []) = payload.as_chunks::<LENGTH>() else {
            return Err(ErrorCode::FrameSize.because("SETTINGS have a wrong length"));
        };
        self.max_streams.get_or_insert(u32::MAX);
        for &[n0, n1, v0, v1, v2, v3] in settings {
            let value = u32::from_be_bytes([v0, v1, v2, v3]);
            match (u16::from_be_bytes([n0, n1]), value) {
                (HEADER_TABLE_SIZE, bytes) => encoder.set_max_table(bytes),
                (ENABLE_PUSH, 0) => {}
                (ENABLE_PUSH, 1) if role == Role::Server => {}
                (MAX_CONCURRENT_STREAMS, streams) => self.max_streams = Some(streams),
                (INITIAL_WINDOW_SIZE, bytes @ 0..=window::LARGEST) => self.initial_window = bytes,
                (INITIAL_WINDOW_SIZE, _) => {
                    return Err(ErrorCode::FlowControl.because("the initial window is too large"));
                }
                // Frames are sent with at most 16,384 bytes, which every peer takes.
                (MAX_FRAME_SIZE, 0x4000..=0xff_ffff) => {}
                (ENABLE_CONNECT_PROTOCOL, 0)
                    if self.extended_connect == ExtendedConnect::Refused => {}
                (ENABLE_CONNECT_PROTOCOL, 1) => {
                    self.extended_connect = ExtendedConnect::Accepted;
                }
                (ENABLE_PUSH | MAX_FRAME_SIZE | ENABLE_CONNECT_PROTOCOL, _) => {
                    return Err(ErrorCode::ProtocolError.because("a setting has a wrong value"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
