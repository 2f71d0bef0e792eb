//! Sandboxed processes: this program again, started to parse input from the network.
//!
//! The parent holds capabilities and reads no byte from a peer. The child drops all privileges
//! before it reads any input, enters the sandbox, checks both against the kernel, and dies with its
//! parent. They talk over a channel.

mod account;
mod descent;
mod fence;
mod launch;
mod proof;

pub(crate) use account::Account;
pub use account::AccountError;
pub(crate) use descent::{Ids, descend, ignore_signals};
pub use fence::{CallsError, Fence, FenceError, Names, raise};
pub use launch::LaunchError;
pub(crate) use launch::{Confined, Launcher, Verb};
