//! What the kernel's files in /proc say of this host.

mod listeners;
mod owners;

use std::fs;

pub(super) use listeners::{Socket, Sockets};
pub(super) use owners::{held, owners};

/// A setting of the kernel, as words; `None` where it cannot be read.
pub(super) fn sysctl(name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok()
}
