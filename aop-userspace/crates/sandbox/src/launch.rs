//! Starting a process without privilege, and ending it.

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

use super::{Account, Names, account::name_of};

/// This program, also where its file was replaced or moved since.
const PROGRAM: &str = "/proc/self/exe";

/// All that it learns of our environment: how to log, and for a fetch the proxies.
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

/// What it is started for: a hidden subcommand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Serve origin pulls.
    Terminate,
    /// Fetch a list.
    FetchList,
}

/// How processes without privilege are started.
#[derive(Clone, Debug)]
pub struct Launcher {
    account: Account,
    log: Vec<OsString>,
}

/// One such process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Confined(Child);

/// It cannot be started.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot start aop's process without privilege from {PROGRAM}: {0}; mount /proc, and allow aop \
     more processes"
)]
pub struct LaunchError(#[from] io::Error);

impl Launcher {
    /// They become `account` where this process is root, and log as the options `log` say.
    pub fn new(account: Account, log: Vec<OsString>) -> Self {
        Self { account, log }
    }

    /// The user that they are.
    pub fn user(&self) -> String {
        match geteuid() {
            root if root.is_root() => self.account.name.clone(),
            other => name_of(other.as_raw()),
        }
    }

    /// Starts one, and gives our end of the channel. It dies with the *thread* that calls this.
    pub fn launch(&self, verb: Verb, names: Names) -> Result<(Confined, UnixStream), LaunchError> {
        let (ours, theirs) = UnixStream::pair().map_err(LaunchError)?;
        let mut command = Command::new(PROGRAM);
        command.arg0("aop").arg(verb.name());
        if geteuid().is_root() {
            let ids = self.account.ids;
            command.arg("--become").arg(format!("{}:{}", ids.user, ids.group));
        }
        if names == Names::Ever {
            command.arg("--names");
        }
        if verb == Verb::Terminate {
            command.args(&self.log);
        }
        command.env_clear().current_dir("/").stdin(Stdio::from(OwnedFd::from(theirs)));
        for name in ENVIRONMENT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        Ok((Confined(command.spawn().map_err(LaunchError)?), ours))
    }
}

impl Verb {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Terminate => "terminate",
            Self::FetchList => "fetch-list",
        }
    }

    /// What the kernel calls the process: by itself it would say `exe`.
    pub(super) const fn title(self) -> &'static CStr {
        match self {
            Self::Terminate => c"aop-terminator",
            Self::FetchList => c"aop-fetcher",
        }
    }
}

impl Confined {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it, where it has not ended, and says how it ended.
    pub fn end(&mut self) -> io::Result<ExitStatus> {
        // Without CAP_KILL root may not signal another user: then it ends with the channel, or when it
        // likes, and waiting for it could take for ever.
        if let Err(error) = self.0.kill()
            && error.kind() == io::ErrorKind::PermissionDenied
        {
            return self.0.try_wait()?.ok_or(error);
        }
        self.0.wait()
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!("process {} cannot be waited for: {error}", self.pid());
        }
    }
}
