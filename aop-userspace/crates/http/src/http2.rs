//! HTTP/2 (RFC 9113), as a server and as a client, with extended CONNECT (RFC 8441).
//!
//! - [`Connection`] takes the peer's bytes and gives [`StreamEvent`]s; bytes for the peer are
//!   appended to [`Connection::output`].
//! - A malformed message ends its own stream alone (RFC 9113, 8.1.1). A [`ConnectionError`] is left
//!   for the faults after which the two sides no longer agree about the connection.
//! - Every limit on the peer's conduct is a rate: a connection may live for ever ([`Limit`]).

mod connection;
mod error;
mod frame;
mod head;
mod limits;
mod past;
mod receive;
mod send;
mod settings;
mod streams;
#[cfg(test)]
mod tests;
mod window;

pub use connection::Connection;
pub use error::{ConnectionError, ErrorCode};
pub use limits::Limit;

use crate::fault::Malformed;

/// The identifier of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u32);

impl StreamId {
    /// The connection itself, in frames that concern no stream.
    const CONNECTION: Self = Self(0);
    /// The largest identifier.
    const LAST: Self = Self(0x7fff_ffff);

    /// The stream with this identifier, of 31 bits.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self(id & Self::LAST.0)
    }

    /// The identifier.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Whether a side of a stream ends with what is sent (END_STREAM).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// More follows.
    No,
    /// This is the last.
    Yes,
}

/// Whether a server takes extended CONNECT (RFC 8441).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedConnect {
    /// `:protocol` is malformed.
    Refused,
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL is announced.
    Accepted,
}

/// The settings that a connection announces to its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// The largest number of open streams.
    pub max_streams: u32,
    /// The flow-control window of a stream, in bytes: 65,535 or more.
    pub stream_window: u32,
    /// The flow-control window of the connection, in bytes: 65,535 or more.
    pub connection_window: u32,
    /// The longest header list, in bytes as RFC 9113, 6.5.2 counts them.
    pub max_head: u32,
    /// Extended CONNECT, for a server.
    pub extended_connect: ExtendedConnect,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            max_streams: 200,
            stream_window: 256 * 1024,
            connection_window: 200 * 256 * 1024,
            max_head: 136 * 1024,
            extended_connect: ExtendedConnect::Refused,
        }
    }
}

/// An event on a connection, caused by the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent<'a> {
    /// To a server: [`Connection::request`] holds the head of a request.
    Request {
        /// The new stream.
        stream: StreamId,
        /// Whether the request has no body.
        end: bool,
    },
    /// To a client: [`Connection::response`] holds the head of a response, interim or final.
    Response {
        /// The stream of the request.
        stream: StreamId,
        /// Whether the response has no body.
        end: bool,
    },
    /// A part of a body. [`Connection::consumed`] gives the peer credit for it.
    Data {
        /// The stream.
        stream: StreamId,
        /// The bytes, without padding.
        bytes: &'a [u8],
        /// Whether the body is complete, without trailers.
        end: bool,
    },
    /// The message is complete, and [`Connection::trailers`] holds its trailer fields.
    Trailers {
        /// The stream.
        stream: StreamId,
    },
    /// The stream is gone: the peer reset it, or broke a rule of the protocol on it.
    Reset {
        /// The stream.
        stream: StreamId,
        /// The reason. `RefusedStream`: the peer has not acted on the request.
        code: ErrorCode,
    },
    /// A message is malformed. If the stream still [is open](Connection::is_open), it is a request
    /// that waits for [`Connection::respond`] or [`Connection::reset`]; what the peer still sends
    /// on it is discarded. If not, the stream was reset.
    Malformed {
        /// The stream.
        stream: StreamId,
        /// The rule that it breaks.
        fault: Malformed,
    },
    /// To a server: the request ended before its announced length, after its final response had
    /// begun. A client that needs no more of its upload does this. The response goes on.
    Truncated {
        /// The stream.
        stream: StreamId,
    },
    /// The peer takes more: data, or streams.
    Writable {
        /// The stream whose window is open again. `None`: all streams may go on.
        stream: Option<StreamId>,
    },
    /// The peer takes no stream above `last`, and has acted on none.
    GoAway {
        /// The last stream.
        last: StreamId,
        /// The reason.
        code: ErrorCode,
    },
    /// The peer exceeds a rate. The connection takes no new stream, and ends after the open ones.
    Limit {
        /// The rate.
        limit: Limit,
    },
}
