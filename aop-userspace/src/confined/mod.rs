//! Processes without privilege: this program again, started to parse what the network says.
//!
//! The process that starts one holds capabilities and reads no byte from a peer; the one that is
//! started gives up everything before it reads anything, proves that by the kernel's own word, and
//! dies with the one that started it. They talk over a [`channel`](crate::channel).

mod account;
mod descent;
mod launch;
mod proof;

pub(crate) use account::{Account, AccountError};
pub(crate) use descent::{Ids, descend, ignore_signals};
pub(crate) use launch::{Confined, LaunchError, Launcher, Verb};
