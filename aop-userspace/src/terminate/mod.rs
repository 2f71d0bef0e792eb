//! The terminator process: holds the listening sockets, the keys and the peers map, and no
//! privilege. It serves origin pulls, and does what the daemon says over the channel.
//!
//! It reads no configuration and no key from the disk: the daemon has read and checked them, and
//! hands them over. A reload is prepared first, and committed when the packet path has followed. It
//! ends when the channel does, however the daemon ended.

mod capacity;
mod gate;
mod identities;
mod peers;
mod report;
mod state;

use std::{
    future::{Future, pending},
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    pin::Pin,
    sync::Arc,
    thread,
    time::Duration,
};

use state::State;
use tokio::sync::mpsc;

use crate::{
    channel::{self, Answer, Ask, ChannelError, Message, Request, Said},
    confined::Fence,
    terminator::Drained,
};

/// Why the process ends before the daemon says so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TerminateError {
    /// The channel.
    #[error("the daemon cannot be understood: {0}")]
    Channel(#[from] ChannelError),
    /// The process itself.
    #[error("the system refuses what every process may: {0}")]
    Runtime(#[from] io::Error),
}

/// A demand with the descriptors that came along.
type Demand = Result<(Request, Vec<OwnedFd>), ChannelError>;

/// Does what is demanded on `channel` until its far end is closed, behind `fence`.
pub(crate) async fn serve(channel: UnixStream, fence: Fence) -> Result<(), TerminateError> {
    let channel = Arc::new(channel);
    let mut demands = listen(channel.clone())?;
    let mut state = State::default();
    let mut draining: Pin<Box<dyn Future<Output = Drained>>> = Box::pin(pending());
    // A second one with less patience takes the place of the first; both are answered.
    let mut drains = Vec::new();
    loop {
        tokio::select! {
            demand = demands.recv() => {
                let Some(demand) = demand else { return Ok(()) };
                let (Request { id, ask }, files) = demand?;
                let said = match (ask, state.service()) {
                    (Ask::Fence, _) => Said::Fence { landlock: fence.landlock },
                    (Ask::Drain { patience }, Some(service)) => {
                        let patience = Duration::from_millis(patience);
                        drains.push(id);
                        draining = Box::pin(async move { service.drain(patience).await });
                        continue;
                    }
                    (ask, _) => state.obey(ask, files),
                };
                answer(&channel, id, said)?;
            }
            drained = &mut draining => {
                draining = Box::pin(pending());
                let cut = match drained {
                    Drained::Complete => 0,
                    Drained::Cut(connections) => connections,
                };
                for id in drains.drain(..) {
                    answer(&channel, id, Said::Drained { cut })?;
                }
            }
        }
    }
}

fn answer(channel: &UnixStream, id: u64, said: Said) -> Result<(), TerminateError> {
    Ok(channel::send(channel, &Message::of(&Answer { id, said })?, &[])?)
}

/// Reads demands on a thread of its own, which ends with the channel or with the process.
fn listen(channel: Arc<UnixStream>) -> io::Result<mpsc::Receiver<Demand>> {
    let (sender, demands) = mpsc::channel(1);
    thread::Builder::new().name("channel".to_owned()).spawn(move || {
        loop {
            let demand = channel::receive_with_files(&channel).transpose();
            let Some(demand) = demand else { return };
            let broken = demand.is_err();
            if sender.blocking_send(demand).is_err() || broken {
                return;
            }
        }
    })?;
    Ok(demands)
}
