//! The terminator process: holds the listening sockets, the keys and the peers map, and no
//! privilege. It serves origin pulls, and does what the daemon says over the channel.
//!
//! It reads no configuration and no key from the disk: the daemon has read and checked them, and
//! hands them over. A reload is prepared first, and committed when the packet path has followed. It
//! ends when the channel does, however the daemon ended.

mod capacity;
mod checks;
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

use aop_api::terminator::{Answer, Ask, Request, Said};
use aop_sandbox::{
    Fence,
    channel::{self, ChannelError, Message},
};
use aop_terminator::Drained;
use state::{Prepared, State};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

/// Why the process ends before the daemon says so.
#[derive(Debug, thiserror::Error)]
pub enum TerminateError {
    /// The channel.
    #[error("the daemon cannot be understood: {0}")]
    Channel(#[from] ChannelError),
    /// The process itself.
    #[error("the system refuses what every process may: {0}")]
    Runtime(#[from] io::Error),
}

/// A demand with the descriptors that came along.
type Demand = Result<(Request, Vec<OwnedFd>), ChannelError>;

/// A configuration that is being built, by the number of its demand.
type Building = (u64, JoinHandle<Result<Prepared, String>>);

/// Does what is demanded on `channel` until its far end is closed, behind `fence`, with as many
/// workers as there are `cpus` where nobody wants another number.
pub async fn serve(channel: UnixStream, fence: Fence, cpus: usize) -> Result<(), TerminateError> {
    let channel = Arc::new(channel);
    let mut demands = listen(channel.clone())?;
    let mut state = State::new(cpus);
    let mut draining: Pin<Box<dyn Future<Output = Drained>>> = Box::pin(pending());
    // A second one with less patience takes the place of the first; both are answered.
    let mut drains = Vec::new();
    let mut building = None;
    loop {
        tokio::select! {
            demand = demands.recv() => {
                let Some(demand) = demand else { return Ok(()) };
                let (Request { id, ask }, files) = demand?;
                let waits = matches!(ask, Ask::Prepare(_) | Ask::Serve { .. } | Ask::Commit(_));
                if waits && building.is_some() {
                    let (id, prepared) = built(&mut building).await;
                    answer(&channel, id, state.prepared(prepared))?;
                }
                let said = match (ask, state.service()) {
                    (Ask::Prepare(bundle), _) => {
                        // Of thousands of sites that takes long, and nobody else waits for it.
                        building = Some((id, spawn_blocking(|| Prepared::new(bundle))));
                        continue;
                    }
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
            (id, prepared) = built(&mut building) => {
                answer(&channel, id, state.prepared(prepared))?;
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

/// Waits until the configuration that is being built is, and says whose demand that answers.
async fn built(building: &mut Option<Building>) -> (u64, Result<Prepared, String>) {
    let Some((id, task)) = building else { return pending().await };
    let prepared = task.await.unwrap_or_else(|error| Err(error.to_string()));
    let id = *id;
    *building = None;
    (id, prepared)
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

#[cfg(test)]
mod tests;
