//! One network namespace, in which programs run and sockets are opened.
//!
//! Programs enter with `nsenter`, not with `ip netns exec`, which would hide the bpf file system.
//! A separate thread enters the namespace to open a socket. The socket then stays in it.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use crate::child;

/// How long `ip` may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A network namespace, by its name under `/run/netns`.
#[derive(Clone, Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    pub(crate) fn new(name: String) -> Self {
        Self { name }
    }

    /// The name, as `ip netns list` prints it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// A command that runs `program` in this namespace.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg("--").arg(program);
        command
    }

    /// Runs `ip -batch` in this namespace. Each line is a command without the leading `ip`. Not
    /// `ip -n`: that remounts the root, which some containers forbid.
    ///
    /// # Errors
    /// When `ip` is missing or rejects a line.
    pub fn ip(&self, lines: &str) -> Result<()> {
        ip(self.command("ip"), lines)
    }

    /// Calls `act` on a thread in this namespace.
    ///
    /// # Errors
    /// When the thread cannot enter the namespace. The result of `act` is passed through.
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
        entered.map_err(|_| anyhow!("a thread in {} panicked", self.name))?
    }

    /// Writes `value` to `/proc/sys/net/SWITCH` of this namespace.
    ///
    /// # Errors
    /// When there is no such switch or the kernel rejects the value.
    pub fn set_sysctl(&self, switch: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/net/{switch}");
        self.inside(|| std::fs::write(&path, value))?.with_context(|| format!("cannot set {path}"))
    }

    /// Opens a TCP connection from this namespace to `address`, within `patience`.
    ///
    /// # Errors
    /// The kernel's error. `TimedOut` means that no answer came.
    pub fn connect(&self, address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
        self.inside(|| TcpStream::connect_timeout(&address, patience)).map_err(io::Error::other)?
    }
}

/// Runs `ip -batch`, as `command` starts `ip`.
pub(crate) fn ip(mut command: Command, lines: &str) -> Result<()> {
    command.args(["-batch", "-"]);
    child::finish(command, lines.as_bytes(), PATIENCE)?.success().map(drop)
}
