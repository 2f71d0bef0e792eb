//! The channel of a process that aop started: its standard input.

use std::{
    io,
    os::{fd::AsFd, unix::net::UnixStream},
};

use rustix::net::sockopt::socket_peercred;

/// The channel. `None` if standard input is not a Unix socket: aop did not start this process.
pub fn from_stdin() -> Option<UnixStream> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    socket_peercred(&socket).ok().map(|_| socket)
}
