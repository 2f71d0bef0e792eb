//! Sandboxed processes: this program again, started to parse input from the network.
//!
//! The parent holds capabilities and reads no byte from a peer. The child drops all privileges
//! before it reads any input, enters the sandbox, checks both against the kernel, and dies with its
//! parent. They talk over a channel.

mod account;
pub mod channel;
mod descent;
mod fence;
mod launch;
mod proof;

pub use account::Account;
pub use account::AccountError;
pub use descent::{DropPrivilegesError, UserIds, drop_privileges, ignore_signals};
pub use fence::{NameLookup, Sandbox, SandboxError, SeccompError, raise};
pub use launch::LaunchError;
pub use launch::{Launcher, ProcessRole, SandboxedProcess};
