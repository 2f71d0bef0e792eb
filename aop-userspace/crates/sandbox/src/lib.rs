//! Sandboxed processes: this program again, started to parse input from the network.
//!
//! The parent holds capabilities and reads no byte from a peer. The child drops all privileges
//! before it reads any input, enters the sandbox, checks both against the kernel, and dies with its
//! parent. They talk over a [`channel`].
//!
//! This crate decides what such a process may do, and nothing about its work: the messages on the
//! channel belong to the crates that send them.

mod account;
pub mod channel;
mod drop_privileges;
mod landlock;
mod launch;
mod privileges;
mod sandbox;
mod seccomp;

pub use account::{Account, AccountError};
pub use drop_privileges::{DropPrivilegesError, UserIds, drop_privileges, ignore_signals};
pub use landlock::NameLookup;
pub use launch::{LaunchError, Launcher, ProcessRole, SandboxedProcess};
pub use privileges::PrivilegesLeft;
pub use sandbox::{Sandbox, SandboxError, enter};
pub use seccomp::SeccompError;
