//! The daemon that this one takes over from.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::Duration,
};

use aop_sandbox::channel::{self, ChannelError, Message};
use rustix::{net::sockopt::socket_peercred, process::Pid, stdio::dup2_stdin};

use super::{LONGEST, Lingerer, Lingerers};
use crate::upgrade::messages::{Greeting, New, Old, PROTOCOL};

/// How long it may be silent when it has something to say.
const PATIENCE: Duration = Duration::from_secs(10);

/// The channel to it.
pub struct Predecessor(UnixStream);

/// What it hands over.
pub(crate) struct Estate {
    /// That of the runtime directory.
    pub instance: OwnedFd,
    /// That of the pins, where it has a firewall.
    pub pins: Option<OwnedFd>,
    /// Its listening sockets.
    pub listeners: Vec<OwnedFd>,
    /// Those before it that linger.
    pub(crate) lingerers: Lingerers,
}

/// Why nothing can be taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// Started by hand.
    #[error("--take-over is a part of `aop upgrade`, which starts aop that way by itself")]
    NoChannel,
    /// The other one is of another build, and speaks otherwise.
    #[error(
        "aop {version} hands over by protocol {protocol}, and this aop, {}, takes over by {PROTOCOL}; \
         restart aop instead (`systemctl restart aop`)", env!("CARGO_PKG_VERSION")
    )]
    Protocol {
        /// Its version.
        version: String,
        /// Its protocol.
        protocol: u32,
    },
    /// It says nothing, or nonsense.
    #[error("what is handed over does not arrive: {0}")]
    Channel(String),
}

impl From<ChannelError> for TakeOverError {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error.to_string())
    }
}

impl Predecessor {
    /// The one at the other end of standard input.
    pub(super) fn found() -> Result<Self, TakeOverError> {
        let channel = channel::from_stdin().ok_or(TakeOverError::NoChannel)?;
        // The end of the channel is told by closing it, so there is one descriptor of it.
        let nothing = File::open("/dev/null").map_err(ChannelError::from)?;
        dup2_stdin(nothing).map_err(|error| ChannelError::from(io::Error::from(error)))?;
        Ok(Self(channel))
    }

    /// Its process.
    pub fn process(&self) -> Option<Pid> {
        socket_peercred(&self.0).ok().map(|it| it.pid)
    }

    /// Says that this one is here, and takes what the other hands over.
    pub(crate) fn inherit(&self) -> Result<Estate, TakeOverError> {
        let Self(channel) = self;
        let greeting: Greeting = channel::receive_until(channel, LONGEST, PATIENCE)?;
        let Greeting { protocol, version } = greeting;
        if protocol != PROTOCOL {
            return Err(TakeOverError::Protocol { version, protocol });
        }
        self.say(&New::Here { version: env!("CARGO_PKG_VERSION").to_owned() });
        channel.set_read_timeout(Some(PATIENCE)).map_err(ChannelError::from)?;
        let said = channel::receive_with_files(channel)?.ok_or(ChannelError::Closed)?;
        let missing = || TakeOverError::Channel("a descriptor is missing".to_owned());
        let (Old::Estate { pins, lingering }, files) = said else {
            return Err(TakeOverError::Channel("the estate is missing".to_owned()));
        };
        let mut files = files.into_iter();
        let instance = files.next().ok_or_else(missing)?;
        let pins = match pins {
            true => Some(files.next().ok_or_else(missing)?),
            false => None,
        };
        let channels: Vec<_> = files.by_ref().take(lingering.len()).collect();
        if channels.len() < lingering.len() {
            return Err(missing());
        }
        let lingerers = Lingerers::inherited(lingering, channels);
        Ok(Estate { instance, pins, listeners: files.collect(), lingerers })
    }

    /// From now on the packet path may change.
    pub fn guarding(&self) {
        self.say(&New::Guarding);
    }

    /// This one serves what has this digest. Returns when the other has left to it what there is of one
    /// only: the service manager's ear, the name in the lock; and the other, where it lingers.
    pub fn served(self, source: String) -> Option<Lingerer> {
        self.say(&New::Served { source });
        match channel::receive_until(&self.0, LONGEST, PATIENCE) {
            Ok(Old::Left { lingers }) => lingers.map(|about| Lingerer::new(about, self.0)),
            Ok(Old::Estate { .. } | Old::Open(_)) | Err(_) => {
                tracing::warn!("the daemon before this one has ended without a word");
                None
            }
        }
    }

    /// This one does not start.
    pub fn failed(&self, error: &dyn std::error::Error) {
        self.say(&New::Failed(error.to_string()));
    }

    /// Where nobody hears it, this one goes on alone.
    fn say(&self, news: &New) {
        let said = Message::of(news).and_then(|it| Ok(channel::send(&self.0, &it, &[])?));
        if let Err(error) = said {
            tracing::warn!("the daemon before this one does not listen: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::upgrade::messages::Lingering;

    fn greeted(protocol: u32, version: &str) -> (UnixStream, Predecessor) {
        let (here, there) = UnixStream::pair().expect("a pair");
        let greeting = Greeting { protocol, version: version.to_owned() };
        let message = Message::of(&greeting).expect("a message");
        channel::send(&here, &message, &[]).expect("sent");
        (here, Predecessor(there))
    }

    #[test]
    fn another_protocol_is_named_with_both_versions() {
        let (_here, predecessor) = greeted(PROTOCOL + 1, "9.8.7");
        let told = predecessor.inherit().err().expect("refused").to_string();
        let theirs = format!("aop 9.8.7 hands over by protocol {}", PROTOCOL + 1);
        assert!(told.contains(&theirs) && told.contains("restart aop instead"), "{told}");
    }

    #[test]
    fn what_is_missing_is_not_made_up() {
        let file = File::open("/proc/self/status").expect("a file");
        for (pins, lingerers, count, complete) in [
            (false, 0, 0, false),
            (true, 0, 1, false),
            (true, 0, 2, true),
            (false, 0, 3, true),
            (true, 1, 2, false),
            (true, 1, 3, true),
        ] {
            let (pid, version, until) = (1, String::new(), jiff::Timestamp::MAX);
            let lingering = vec![Lingering { pid, version, until }; lingerers];
            let (here, predecessor) = greeted(PROTOCOL, "1.0.0");
            let message = Message::of(&Old::Estate { pins, lingering }).expect("a message");
            channel::send(&here, &message, &vec![file.as_fd(); count]).expect("sent");
            let inherited = predecessor.inherit();
            assert_eq!(inherited.is_ok(), complete, "{pins} {count}");
            if let Ok(estate) = inherited {
                assert_eq!(estate.pins.is_some(), pins);
                assert_eq!(estate.listeners.len(), count - 1 - usize::from(pins) - lingerers);
            }
        }
    }
}
