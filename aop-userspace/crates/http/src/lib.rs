//! The HTTP engine: bytes in, events and bytes out. It does no I/O, reads no clock and starts no
//! task; its caller owns sockets, timers and the order of the streams.
//!
//! - [`fields`] and [`message`]: header fields and heads of messages, the same for all versions;
//! - [`http1`]: HTTP/1.1 (RFC 9112), as a server and as a client;
//! - [`http2`]: HTTP/2 (RFC 9113), as a server and as a client;
//! - [`hpack`]: header compression (RFC 7541);
//! - [`fault`]: why a message is refused.
//!
//! The parsers accept only what every other parser reads in the same way. A form that RFC 9112
//! lets a recipient interpret is a [`Fault`].

pub mod fault;
pub mod fields;
pub mod hpack;
pub mod http1;
pub mod http2;
pub mod message;
pub mod syntax;

pub use fault::{Fault, Malformed};
pub use fields::{Field, Fields};
pub use message::{BodyLength, RequestHead, ResponseHead, Version};
