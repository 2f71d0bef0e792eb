//! The old daemon's side of a handover: the successor process.

use std::{
    io,
    os::{fd::BorrowedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use aop_sandbox::channel::{self, ChannelError, Message};

use super::{LONGEST, UpgradeError, reexec::Reexec};
use crate::upgrade::messages::{Greeting, Lingering, New, Old, PROTOCOL};

/// Time for its greeting.
const ANSWER: Duration = Duration::from_secs(10);
/// Time for its whole start.
const START: Duration = Duration::from_secs(60);
/// Time to exit after it has reported a failure.
const LEAVING: Duration = Duration::from_secs(5);
/// Time to exit after its end of the channel was closed. It takes longer only if this daemon closed
/// the channel.
const DYING: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(10);

/// A successor that starts. Dropping this kills it, unless it was [left](Successor::leave) to run.
pub(super) struct Successor {
    program: PathBuf,
    process: Child,
    channel: UnixStream,
    left: bool,
}

impl Successor {
    /// Starts the process.
    pub(super) fn start(again: &Reexec) -> Result<Self, UpgradeError> {
        let program = again.program.clone();
        let started =
            UnixStream::pair().and_then(|(ours, theirs)| Ok((again.start(theirs)?, ours)));
        match started {
            Ok((process, channel)) => Ok(Self { program, process, channel, left: false }),
            Err(error) => Err(UpgradeError::Start { program, error }),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A copy of the channel, so that another thread can close it.
    pub(super) fn channel(&self) -> io::Result<UnixStream> {
        self.channel.try_clone()
    }

    /// Hands over `files`: the instance lock, the lock of the pins where `pins` is set, the channel
    /// of each of `lingering`, and the listening sockets.
    pub(super) fn endow(
        &mut self,
        pins: bool,
        lingering: Vec<Lingering>,
        files: &[BorrowedFd<'_>],
    ) -> Result<(), UpgradeError> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let greeting = Message::of(&Greeting { protocol: PROTOCOL, version });
        let said = greeting.and_then(|it| Ok(channel::send(&self.channel, &it, &[])?));
        let said = said.and_then(|()| self.say(&Old::Estate { pins, lingering }, files));
        said.map_err(|_| self.died())
    }

    /// Waits until it serves, and returns its version and the digest of its configuration. Calls
    /// `guarding` before it may change the firewall. After an error the process has ended.
    pub(super) fn served(
        &mut self,
        mut guarding: impl FnMut(),
    ) -> Result<(String, String), UpgradeError> {
        let begun = Instant::now();
        let (mut patience, mut heir) = (ANSWER, String::new());
        loop {
            let left = patience.saturating_sub(begun.elapsed());
            match channel::receive_until(&self.channel, LONGEST, left) {
                Ok(New::Here { version }) => (patience, heir) = (START, version),
                Ok(New::Guarding) => guarding(),
                Ok(New::Served { source }) => return Ok((heir, source)),
                Ok(New::HowMany) => {}
                Ok(New::Failed(why)) => {
                    self.end(LEAVING);
                    let program = self.program.clone();
                    let why = why.replace(char::is_control, "\u{fffd}");
                    return Err(UpgradeError::Failed { program, why });
                }
                Err(ChannelError::Io(late)) if late.kind() == io::ErrorKind::TimedOut => {
                    self.end(Duration::ZERO);
                    let program = self.program.clone();
                    return Err(match patience {
                        ANSWER => UpgradeError::Silent { program, patience },
                        _ => UpgradeError::Late { program, patience },
                    });
                }
                Err(_) => return Err(self.died()),
            }
        }
    }

    /// Leaves the daemon's role to it; it then survives this process. Returns the channel to it.
    /// After an error the process has ended.
    pub(super) fn leave(mut self, lingers: Option<Lingering>) -> Result<UnixStream, UpgradeError> {
        let channel = self.channel()?;
        self.say(&Old::Left { lingers }, &[]).map_err(|_| self.died())?;
        self.left = true;
        Ok(channel)
    }

    fn say(&self, news: &Old, files: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        Ok(channel::send(&self.channel, &Message::of(news)?, files)?)
    }

    fn died(&mut self) -> UpgradeError {
        let how = match self.end(DYING) {
            Some(status) => status.to_string(),
            None => "with unknown status".to_owned(),
        };
        UpgradeError::Died { program: self.program.clone(), how }
    }

    /// Kills the process if it has not exited after `patience`, and returns its status.
    fn end(&mut self, patience: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            match self.process.try_wait() {
                Ok(None) => thread::sleep(PAUSE),
                Ok(ended) => return ended,
                Err(_) => break,
            }
        }
        // The kernel kills its terminator with it.
        self.process.kill().and_then(|()| self.process.wait()).ok()
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.left {
            self.end(Duration::ZERO);
        }
    }
}
