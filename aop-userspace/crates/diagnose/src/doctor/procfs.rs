//! Facts about this host from /proc.

mod socket_owners;
mod sockets;

use std::fs;

pub(super) use self::{
    socket_owners::{SocketOwners, sockets_of_aop, sockets_of_systemd},
    sockets::{Socket, Sockets, listens_at_path},
};

/// The text of a kernel setting below /proc/sys; `None` if it cannot be read.
pub(super) fn sysctl(name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok()
}
