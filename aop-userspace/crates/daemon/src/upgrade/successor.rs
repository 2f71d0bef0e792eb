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
use crate::upgrade::messages::{
    DrainingInfo, Greeting, PROTOCOL, PredecessorMessage, SuccessorMessage,
};

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

/// A successor that starts. Dropping this kills it, unless it was [released](Successor::release).
pub(super) struct Successor {
    program: PathBuf,
    process: Child,
    channel: UnixStream,
    released: bool,
}

/// The state that is handed over.
pub(super) struct Descriptors<'a> {
    pub(super) instance: Option<BorrowedFd<'a>>,
    /// The lock of the pins, where there is a firewall.
    pub(super) pins: Option<BorrowedFd<'a>>,
    pub(super) draining: Vec<DrainingInfo>,
    /// The channel of each of `draining`.
    pub(super) channels: Vec<BorrowedFd<'a>>,
    pub(super) listeners: Vec<BorrowedFd<'a>>,
}

/// A successor that serves.
pub(super) struct ServingSuccessor {
    pub(super) version: String,
    /// The digest of its configuration.
    pub(super) source: String,
}

/// A successor that does not serve, and has ended.
pub(super) struct StartFailed {
    pub(super) error: UpgradeError,
    pub(super) firewall: FirewallState,
}

/// The firewall after a successor has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirewallState {
    Untouched,
    /// It may have the policy of the successor.
    MayHaveChanged,
}

impl Successor {
    /// Starts the process.
    pub(super) fn start(reexec: &Reexec) -> Result<Self, UpgradeError> {
        let program = reexec.program.clone();
        let started =
            UnixStream::pair().and_then(|(ours, theirs)| Ok((reexec.start(theirs)?, ours)));
        match started {
            Ok((process, channel)) => Ok(Self { program, process, channel, released: false }),
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

    /// Hands over the instance lock, the lock of the pins, the channels of the draining
    /// predecessors, and the listening sockets.
    pub(super) fn send_handover(&mut self, handover: &Descriptors<'_>) -> Result<(), UpgradeError> {
        let Descriptors { instance, pins, draining, channels, listeners } = handover;
        let files: Vec<_> =
            instance.iter().chain(pins).chain(channels).chain(listeners).copied().collect();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let state =
            PredecessorMessage::HandoverState { pins: pins.is_some(), draining: draining.clone() };
        let greeting = Message::new(&Greeting { protocol: PROTOCOL, version });
        let sent = greeting.and_then(|it| Ok(channel::send(&self.channel, &it, &[])?));
        sent.and_then(|()| self.send(&state, &files)).map_err(|_| self.died())
    }

    /// Waits until it serves. After an error the process has ended.
    pub(super) fn await_serving(&mut self) -> Result<ServingSuccessor, StartFailed> {
        let begun = Instant::now();
        let (mut patience, mut version) = (ANSWER, String::new());
        let mut firewall = FirewallState::Untouched;
        let error = loop {
            let left = patience.saturating_sub(begun.elapsed());
            match channel::receive_until(&self.channel, LONGEST, left) {
                Ok(SuccessorMessage::Ready { version: its }) => (patience, version) = (START, its),
                Ok(SuccessorMessage::Guarding) => firewall = FirewallState::MayHaveChanged,
                Ok(SuccessorMessage::Serving { source }) => {
                    return Ok(ServingSuccessor { version, source });
                }
                Ok(SuccessorMessage::CountConnections) => {}
                Ok(SuccessorMessage::Failed(why)) => {
                    self.end(LEAVING);
                    let program = self.program.clone();
                    let why = aop_types::escape(&why);
                    break UpgradeError::Failed { program, why };
                }
                Err(ChannelError::Io(late)) if late.kind() == io::ErrorKind::TimedOut => {
                    self.end(Duration::ZERO);
                    let program = self.program.clone();
                    break match patience {
                        ANSWER => UpgradeError::Silent { program, patience },
                        _ => UpgradeError::Late { program, patience },
                    };
                }
                Err(_) => break self.died(),
            }
        };
        Err(StartFailed { error, firewall })
    }

    /// Leaves the daemon's role to it; it then survives this process. Returns the channel to it.
    /// After an error the process has ended.
    pub(super) fn release(
        mut self,
        drains: Option<DrainingInfo>,
    ) -> Result<UnixStream, UpgradeError> {
        let channel = self.channel()?;
        self.send(&PredecessorMessage::Released { drains }, &[]).map_err(|_| self.died())?;
        self.released = true;
        Ok(channel)
    }

    fn send(
        &self,
        message: &PredecessorMessage,
        files: &[BorrowedFd<'_>],
    ) -> Result<(), ChannelError> {
        Ok(channel::send(&self.channel, &Message::new(message)?, files)?)
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
        if !self.released {
            self.end(Duration::ZERO);
        }
    }
}
