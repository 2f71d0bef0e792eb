//! Starts and ends sandboxed processes.

use std::{
    ffi::{CStr, OsString},
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::geteuid;

use crate::{Account, NameLookup, account::name_of};

/// This program, even if its file was replaced or moved.
const PROGRAM: &str = "/proc/self/exe";

/// The environment variables that the process inherits: for logging, and the proxies for a fetch.
const ENVIRONMENT: [&str; 11] = [
    "AOP_LOG",
    "JOURNAL_STREAM",
    "NO_COLOR",
    "RUST_BACKTRACE",
    "ALL_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "all_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
];

/// The purpose of the process: a hidden subcommand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessRole {
    /// Serve origin pulls.
    Terminate,
    /// Fetch a list.
    FetchList,
    /// Talk to Cloudflare's API.
    AskCloudflare,
    /// Talk to the etcd of a fleet.
    TalkToEtcd,
}

/// Starts sandboxed processes.
#[derive(Clone, Debug)]
pub struct Launcher {
    account: Account,
    log: Vec<OsString>,
}

/// A sandboxed process. It is killed when this is dropped.
#[derive(Debug)]
pub struct SandboxedProcess(Child);

/// The process cannot be started.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot start aop's sandboxed process from {PROGRAM}: {0}; /proc must be mounted, and aop must \
     be allowed to start more processes"
)]
pub struct LaunchError(#[from] io::Error);

impl Launcher {
    /// The processes switch to `account` if this process is root. `log` are the options of the
    /// command line by which the terminator process logs.
    pub fn new(account: Account, log: Vec<OsString>) -> Self {
        Self { account, log }
    }

    /// The user that the processes run as.
    pub fn user(&self) -> String {
        match geteuid() {
            root if root.is_root() => self.account.name.clone(),
            other => name_of(other.as_raw()),
        }
    }

    /// Starts a process and returns our end of the channel. The process dies with the *thread* that
    /// calls this.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn launch(
        &self,
        role: ProcessRole,
        names: NameLookup,
    ) -> Result<(SandboxedProcess, UnixStream), LaunchError> {
        let (ours, theirs) = UnixStream::pair().map_err(LaunchError)?;
        let mut command = Command::new(PROGRAM);
        command.arg0("aop").arg(role.name());
        if geteuid().is_root() {
            let ids = self.account.ids;
            command.arg("--become").arg(format!("{}:{}", ids.user, ids.group));
        }
        if names == NameLookup::Always {
            command.arg("--names");
        }
        if role == ProcessRole::Terminate {
            command.args(&self.log);
        }
        command.env_clear().current_dir("/").stdin(Stdio::from(OwnedFd::from(theirs)));
        for name in ENVIRONMENT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        Ok((SandboxedProcess(command.spawn().map_err(LaunchError)?), ours))
    }
}

impl ProcessRole {
    /// The subcommand.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Terminate => "terminate",
            Self::FetchList => "fetch-list",
            Self::AskCloudflare => "ask-cloudflare",
            Self::TalkToEtcd => "talk-to-etcd",
        }
    }

    /// The kernel's name for the process, which would otherwise be `exe`.
    pub(crate) const fn title(self) -> &'static CStr {
        match self {
            Self::Terminate => c"aop-terminator",
            Self::FetchList => c"aop-fetcher",
            Self::AskCloudflare => c"aop-cloudflare",
            Self::TalkToEtcd => c"aop-fleet",
        }
    }
}

impl SandboxedProcess {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Kills the process if it still runs, and returns its exit status.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        // Without CAP_KILL root may not signal another user. The process then ends when the channel
        // is closed, if at all, so waiting for it could take for ever.
        if let Err(error) = self.0.kill()
            && error.kind() == io::ErrorKind::PermissionDenied
        {
            return self.0.try_wait()?.ok_or(error);
        }
        self.0.wait()
    }
}

impl Drop for SandboxedProcess {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::error!("cannot end process {}: {error}", self.pid());
        }
    }
}
