//! HTTP/1.1 (RFC 9112), as a server and as a client.
//!
//! - [`RequestReader`] reads requests. Request smuggling needs two parsers that disagree about the
//!   end of a request, so each form that RFC 9112 lets a recipient interpret is a fault.
//! - [`ResponseReader`] reads responses. It accepts what old applications send, as long as the end
//!   of the response is certain, and it gives a head that is valid in every version of HTTP.
//! - [`request_line`] and the functions beside it write messages; [`Server`] answers requests.

mod connection;
mod line;
mod reader;
mod request;
mod response;
mod server;
mod target;
#[cfg(test)]
mod tests;
mod writing;

pub use request::RequestReader;
pub use response::{ResponseReader, Truncated};
pub use server::{Incomplete, Server};
pub use writing::{NameCase, chunk, end_of_head, field, last_chunk, request_line, status_line};

/// A part of a message. The order is `Head`, any number of `Data`, `End`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageEvent<'a> {
    /// The head is complete.
    Head,
    /// A part of the body, without the framing of chunks. It is never empty.
    Data(&'a [u8]),
    /// The message is complete, with its trailer fields.
    End,
}
