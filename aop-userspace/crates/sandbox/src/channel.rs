//! The messages between the daemon and the processes that it starts, over a socket pair: the
//! sandboxed processes, and its successor in an upgrade.
//!
//! Each message is its length and one JSON document, and may carry file descriptors. The reader
//! takes no more bytes than announced, and refuses a length above a bound. The daemon accepts
//! descriptors only from its predecessor, and trusts nothing in an answer that its type does not
//! enforce.

mod frame;
mod stdin;

pub use frame::{
    ChannelError, MAX_LENGTH, Message, encoded_len, receive, receive_until, receive_with_files,
    send,
};
pub use stdin::from_stdin;
