//! What the daemon and the processes that it starts say to each other, over a pair of sockets: those
//! without privilege, and the daemon that takes over from it.
//!
//! Each message is one JSON document behind its length, and file descriptors may go with it. Neither
//! side takes more bytes than are announced, nor announcements above a bound. The daemon takes no
//! descriptor but from the one before it, and believes nothing that an answer says beyond what its type
//! holds.

mod frame;
mod stdin;

pub use frame::{ChannelError, Message, receive, receive_until, receive_with_files, send};
pub use stdin::from_stdin;
