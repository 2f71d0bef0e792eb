//! The successor's side of a handover: the old daemon.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::Duration,
};

use aop_sandbox::channel::{self, ChannelError, Message};
use rustix::{net::sockopt::socket_peercred, process::Pid, stdio::dup2_stdin};

use super::{DrainingPredecessor, DrainingPredecessors, LONGEST};
use crate::upgrade::messages::{Greeting, PROTOCOL, PredecessorMessage, SuccessorMessage};

/// How long the old daemon may take to send an expected message.
const PATIENCE: Duration = Duration::from_secs(10);

/// The channel to the old daemon.
pub(crate) struct HandoverSource(UnixStream);

/// The state that the old daemon hands over.
pub(crate) struct HandoverState {
    /// The lock of the runtime directory.
    pub(crate) instance: OwnedFd,
    /// The lock of the pins, where it has a firewall.
    pub(crate) pins: Option<OwnedFd>,
    /// Its listening sockets.
    pub(crate) listeners: Vec<OwnedFd>,
    /// The draining predecessors that it knows.
    pub(crate) predecessors: DrainingPredecessors,
}

/// Why the handover failed.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// `--take-over` was given by hand.
    #[error("--take-over is for `aop upgrade` alone, which starts the new process with it")]
    NoChannel,
    /// The old daemon uses another protocol.
    #[error(
        "aop {version} hands over by protocol {protocol}, but this aop ({}) uses protocol \
         {PROTOCOL}; restart aop instead (`systemctl restart aop`)", env!("CARGO_PKG_VERSION")
    )]
    Protocol {
        /// The version of the old daemon.
        version: String,
        /// Its protocol.
        protocol: u32,
    },
    /// It sends nothing, or a malformed message.
    #[error("the handover failed: {0}")]
    Channel(String),
}

impl From<ChannelError> for TakeOverError {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error.to_string())
    }
}

impl HandoverSource {
    /// The old daemon, at the other end of standard input.
    pub(super) fn from_stdin() -> Result<Self, TakeOverError> {
        let channel = channel::from_stdin().ok_or(TakeOverError::NoChannel)?;
        // Closing the channel ends the drain of the old daemon, so only one descriptor of it may
        // exist.
        let nothing = File::open("/dev/null").map_err(ChannelError::from)?;
        dup2_stdin(nothing).map_err(|error| ChannelError::from(io::Error::from(error)))?;
        Ok(Self(channel))
    }

    /// Its process id.
    pub(crate) fn process(&self) -> Option<Pid> {
        socket_peercred(&self.0).ok().map(|it| it.pid)
    }

    /// Greets the old daemon, and receives what it hands over.
    pub(crate) fn receive(&self) -> Result<HandoverState, TakeOverError> {
        let Self(channel) = self;
        let greeting: Greeting = channel::receive_until(channel, LONGEST, PATIENCE)?;
        let Greeting { protocol, version } = greeting;
        if protocol != PROTOCOL {
            return Err(TakeOverError::Protocol { version, protocol });
        }
        self.send(&SuccessorMessage::Ready { version: env!("CARGO_PKG_VERSION").to_owned() });
        channel.set_read_timeout(Some(PATIENCE)).map_err(ChannelError::from)?;
        let received = channel::receive_with_files(channel)?.ok_or(ChannelError::Closed)?;
        let missing = || TakeOverError::Channel("a descriptor is missing".to_owned());
        let (PredecessorMessage::HandoverState { pins, draining }, files) = received else {
            return Err(TakeOverError::Channel(
                "the message with the descriptors is missing".to_owned(),
            ));
        };
        let mut files = files.into_iter();
        let instance = files.next().ok_or_else(missing)?;
        let pins = match pins {
            true => Some(files.next().ok_or_else(missing)?),
            false => None,
        };
        let channels: Vec<_> = files.by_ref().take(draining.len()).collect();
        if channels.len() < draining.len() {
            return Err(missing());
        }
        let predecessors = DrainingPredecessors::inherited(draining, channels);
        Ok(HandoverState { instance, pins, listeners: files.collect(), predecessors })
    }

    /// Announces that the firewall may change from now on.
    pub(crate) fn guarding(&self) {
        self.send(&SuccessorMessage::Guarding);
    }

    /// Announces that this process serves the configuration with this digest. Waits until the old
    /// daemon has given up what only one process can have (main process of the service, owner of
    /// the lock). Returns the old daemon if it drains.
    pub(crate) fn served(self, source: String) -> Option<DrainingPredecessor> {
        self.send(&SuccessorMessage::Serving { source });
        match channel::receive_until(&self.0, LONGEST, PATIENCE) {
            Ok(PredecessorMessage::Released { drains }) => {
                drains.map(|about| DrainingPredecessor::new(about, self.0))
            }
            Ok(PredecessorMessage::HandoverState { .. } | PredecessorMessage::Connections(_))
            | Err(_) => {
                tracing::warn!("the old daemon has ended before the handover was complete");
                None
            }
        }
    }

    /// Announces that this process does not start.
    pub(crate) fn failed(&self, error: &dyn std::error::Error) {
        self.send(&SuccessorMessage::Failed(error.to_string()));
    }

    /// Sends a message. Without an old daemon this process goes on alone.
    fn send(&self, message: &SuccessorMessage) {
        let sent = Message::new(message).and_then(|it| Ok(channel::send(&self.0, &it, &[])?));
        if let Err(error) = sent {
            tracing::warn!("cannot send to the old daemon: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::upgrade::messages::DrainingInfo;

    fn greeted(protocol: u32, version: &str) -> (UnixStream, HandoverSource) {
        let (here, there) = UnixStream::pair().expect("a pair");
        let greeting = Greeting { protocol, version: version.to_owned() };
        let message = Message::new(&greeting).expect("a message");
        channel::send(&here, &message, &[]).expect("sent");
        (here, HandoverSource(there))
    }

    #[test]
    fn another_protocol_is_named_with_both_versions() {
        let (_here, predecessor) = greeted(PROTOCOL + 1, "9.8.7");
        let error = predecessor.receive().err().expect("refused").to_string();
        let theirs = format!("aop 9.8.7 hands over by protocol {}", PROTOCOL + 1);
        assert!(error.contains(&theirs) && error.contains("restart aop instead"), "{error}");
    }

    #[test]
    fn a_missing_descriptor_is_an_error() {
        let file = File::open("/proc/self/status").expect("a file");
        for (pins, predecessors, count, complete) in [
            (false, 0, 0, false),
            (true, 0, 1, false),
            (true, 0, 2, true),
            (false, 0, 3, true),
            (true, 1, 2, false),
            (true, 1, 3, true),
        ] {
            let (pid, version, until) = (1, String::new(), jiff::Timestamp::MAX);
            let draining = vec![DrainingInfo { pid, version, until }; predecessors];
            let (here, predecessor) = greeted(PROTOCOL, "1.0.0");
            let message = Message::new(&PredecessorMessage::HandoverState { pins, draining })
                .expect("a message");
            channel::send(&here, &message, &vec![file.as_fd(); count]).expect("sent");
            let received = predecessor.receive();
            assert_eq!(received.is_ok(), complete, "{pins} {count}");
            if let Ok(state) = received {
                assert_eq!(state.pins.is_some(), pins);
                assert_eq!(state.listeners.len(), count - 1 - usize::from(pins) - predecessors);
            }
        }
    }
}
