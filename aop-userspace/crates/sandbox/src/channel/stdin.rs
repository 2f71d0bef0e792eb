//! The channel of a process that aop has started: its standard input.

use std::{
    io,
    os::{fd::AsFd, unix::net::UnixStream},
};

use rustix::net::sockopt::socket_peercred;

/// The channel. `None` where standard input is no Unix socket: nobody of ours has started this process.
pub fn from_stdin() -> Option<UnixStream> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    socket_peercred(&socket).ok().map(|_| socket)
}
