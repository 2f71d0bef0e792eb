//! Processes without privilege: this program again, started to parse what the network says.
//!
//! The process that starts one holds capabilities and reads no byte from a peer; the one that is
//! started gives up everything before it reads anything, has itself fenced in, proves both by the kernel's
//! own word, and dies with the one that started it. They talk over a channel.

mod account;
pub mod channel;
mod descent;
mod fence;
mod launch;
mod proof;

pub use account::Account;
pub use account::AccountError;
pub use descent::{ConfinementError, Ids, descend, ignore_signals};
pub use fence::{CallsError, Fence, FenceError, Names, raise};
pub use launch::LaunchError;
pub use launch::{Confined, Launcher, Verb};
