//! One network namespace: a place from which programs and sockets of this process can act.
//!
//! Programs enter through `nsenter`, never `ip netns exec`, which would hide the bpf file system.
//! Sockets are made on a thread of their own that enters the namespace; once made, they stay in it.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};

/// A network namespace by its name under `/run/netns`.
#[derive(Clone, Debug)]
pub struct Place {
    netns: String,
}

impl Place {
    pub(crate) fn new(netns: String) -> Self {
        Self { netns }
    }

    /// The namespace's name, as `ip netns list` prints it.
    #[must_use]
    pub fn netns(&self) -> &str {
        &self.netns
    }

    fn path(&self) -> String {
        format!("/run/netns/{}", self.netns)
    }

    /// A command that will run `program` here.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg("--").arg(program);
        command
    }

    /// Runs `act` here, on a thread of its own.
    ///
    /// # Errors
    /// When the namespace cannot be entered; what `act` returns is passed through.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T> {
        let entered = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let path = self.path();
                let namespace = File::open(&path).with_context(|| format!("cannot open {path}"))?;
                setns(namespace, CloneFlags::CLONE_NEWNET)
                    .with_context(|| format!("cannot enter {path}"))?;
                Ok(act())
            });
            thread.join()
        });
        entered.map_err(|_| anyhow!("a thread in {} panicked", self.netns))?
    }

    /// A TCP connection from here to `address`, within `patience`.
    ///
    /// # Errors
    /// What the kernel says; `TimedOut` is silence.
    pub fn connect(&self, address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
        self.inside(|| TcpStream::connect_timeout(&address, patience)).map_err(io::Error::other)?
    }
}
