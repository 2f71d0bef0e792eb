//! The process that is to take over, as the daemon has it that runs.

use std::{
    io,
    os::{fd::BorrowedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use aop_sandbox::channel::{self, ChannelError, Message};

use super::{LONGEST, UpgradeError, again::Again};
use crate::upgrade::messages::{Greeting, Lingering, New, Old, PROTOCOL};

/// For saying that it is an aop that takes over.
const ANSWER: Duration = Duration::from_secs(10);
/// For its whole start.
const START: Duration = Duration::from_secs(60);
/// For ending, where it has said that it does.
const LEAVING: Duration = Duration::from_secs(5);
/// For ending, where its end of the channel is closed. It is longer only where ours was cut.
const DYING: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(10);

/// It is ended when this is dropped, unless it was [left](Successor::leave) to itself.
pub(super) struct Successor {
    program: PathBuf,
    process: Child,
    channel: UnixStream,
    left: bool,
}

impl Successor {
    /// Starts it.
    pub(super) fn start(again: &Again) -> Result<Self, UpgradeError> {
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

    /// A copy of the channel, by which another thread can cut it.
    pub(super) fn channel(&self) -> io::Result<UnixStream> {
        self.channel.try_clone()
    }

    /// Hands over `files`: the instance lock, the lock on the pins where `pins`, the channel of each that
    /// is `lingering`, the listening sockets.
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

    /// Waits until it serves, and says its version and the digest of what. `guarding` is called before it may change the packet
    /// path. After an error it runs no more.
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

    /// It is the daemon from now on, and lives on when this process ends; here is the channel to it. After
    /// an error it runs no more.
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
            None => "and how cannot be learned".to_owned(),
        };
        UpgradeError::Died { program: self.program.clone(), how }
    }

    /// Ends it, where it has not ended by itself after `patience`, and says how it ended.
    fn end(&mut self, patience: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            match self.process.try_wait() {
                Ok(None) => thread::sleep(PAUSE),
                Ok(ended) => return ended,
                Err(_) => break,
            }
        }
        // Its terminator is killed with it, by the kernel.
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
