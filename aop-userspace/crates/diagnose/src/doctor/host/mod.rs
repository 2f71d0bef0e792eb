//! Facts about this host from /proc.

mod listeners;
mod owners;

use std::fs;

pub(super) use listeners::{Socket, Sockets};
pub(super) use owners::{held, owners};

/// The text of a kernel setting below /proc/sys; `None` if it cannot be read.
pub(super) fn sysctl(name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok()
}
