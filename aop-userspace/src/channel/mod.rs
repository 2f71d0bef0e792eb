//! What the daemon and the processes without privilege say to each other, over a pair of sockets.
//!
//! Each message is one JSON document behind its length, and file descriptors may go with it. Neither
//! side takes more bytes than are announced, nor announcements above a bound. The daemon takes no
//! descriptor from anybody, and believes nothing that an answer says beyond what its type holds.

mod bytes;
mod frame;
mod list;
mod terminator;

pub(crate) use bytes::Bytes;
pub(crate) use frame::{ChannelError, Message, receive, receive_until, receive_with_files, send};
pub(crate) use list::{ListAnswer, ListRequest};
pub(crate) use terminator::{AddressRules, Answer, Ask, Bundle, Report, Request, Said};
