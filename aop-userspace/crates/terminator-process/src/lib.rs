//! The terminator process: holds the listening sockets, the keys and the peers map, but no
//! privilege. It serves origin pulls and carries out the commands of the daemon over a channel.
//!
//! It reads no configuration and no key from the disk: the daemon reads and checks them, and hands
//! them over. A reload is prepared first, and committed after the packet path has changed. The
//! process ends when the channel is closed, however the daemon ended.

mod address_gate;
mod file_limit;
mod peer_store;
mod report;
mod seen_identities;
mod state;
mod upstream_checks;

use std::{
    future::{Future, pending},
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    pin::Pin,
    sync::Arc,
    thread,
    time::Duration,
};

use aop_api::terminator::{Command, CommandEnvelope, Reply, ReplyEnvelope};
use aop_sandbox::{
    Sandbox,
    channel::{self, ChannelError, Message},
};
use aop_terminator::Drained;
use state::{PreparedConfig, TerminatorState};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet, spawn_blocking},
};

/// Why the process ends without a command of the daemon.
#[derive(Debug, thiserror::Error)]
pub enum TerminateError {
    /// The channel failed.
    #[error("cannot talk to the daemon: {0}")]
    Channel(#[from] ChannelError),
    /// A thread cannot be started, or an answer cannot be sent.
    #[error("the operating system refused an operation: {0}")]
    Runtime(#[from] io::Error),
}

/// A command with the descriptors that came with it.
type ReceivedCommand = Result<(CommandEnvelope, Vec<OwnedFd>), ChannelError>;

/// A configuration that is being built, and the number of its request.
type Building = (u64, JoinHandle<Result<PreparedConfig, String>>);

/// Carries out the commands on `channel` until the daemon closes it. `sandbox` describes the
/// sandbox; `cpus` is the number of workers if the configuration sets none.
///
/// # Errors
/// The channel fails, or the system refuses to start a thread.
pub async fn serve(
    channel: UnixStream,
    sandbox: Sandbox,
    cpus: usize,
) -> Result<(), TerminateError> {
    let channel = Arc::new(channel);
    let mut commands = receive_commands(channel.clone())?;
    let mut state = TerminatorState::new(cpus);
    let mut draining: Pin<Box<dyn Future<Output = Drained>>> = Box::pin(pending());
    // A second drain request with a shorter deadline replaces the first; both are answered.
    let mut drains = Vec::new();
    let mut building = None;
    let mut pings = JoinSet::new();
    loop {
        tokio::select! {
            received = commands.recv() => {
                let Some(received) = received else { return Ok(()) };
                let (CommandEnvelope { id, ask: command }, files) = received?;
                let waits = matches!(
                    command,
                    Command::Prepare(_) | Command::Serve { .. } | Command::Commit(_)
                );
                if waits && building.is_some() {
                    let (id, prepared) = built(&mut building).await;
                    answer(&channel, id, state.set_prepared(prepared))?;
                }
                let reply = match (command, state.service()) {
                    (Command::Prepare(bundle), _) => {
                        // Takes seconds for thousands of sites, and must not block other requests.
                        building = Some((id, spawn_blocking(|| PreparedConfig::new(bundle))));
                        continue;
                    }
                    (Command::Ping, service) => {
                        let ping = service.map(|service| service.ping());
                        pings.spawn(async move {
                            if let Some(ping) = ping {
                                ping.await;
                            }
                            id
                        });
                        continue;
                    }
                    (Command::Fence, _) => Reply::Fence { landlock: sandbox.landlock },
                    (Command::Drain { patience }, Some(service)) => {
                        let drain_time = Duration::from_millis(patience);
                        drains.push(id);
                        draining = Box::pin(async move { service.drain(drain_time).await });
                        continue;
                    }
                    (command, _) => state.handle(command, files),
                };
                answer(&channel, id, reply)?;
            }
            (id, prepared) = built(&mut building) => {
                answer(&channel, id, state.set_prepared(prepared))?;
            }
            Some(Ok(id)) = pings.join_next() => answer(&channel, id, Reply::Done)?,
            drained = &mut draining => {
                draining = Box::pin(pending());
                let cut = match drained {
                    Drained::Complete => 0,
                    Drained::Cut(connections) => connections,
                };
                for id in drains.drain(..) {
                    answer(&channel, id, Reply::Drained { cut })?;
                }
            }
        }
    }
}

/// Waits for the configuration that is being built. Returns it with the number of its request.
async fn built(building: &mut Option<Building>) -> (u64, Result<PreparedConfig, String>) {
    let Some((id, task)) = building else { return pending().await };
    let prepared = task.await.unwrap_or_else(|error| Err(error.to_string()));
    let id = *id;
    *building = None;
    (id, prepared)
}

fn answer(channel: &UnixStream, id: u64, reply: Reply) -> Result<(), TerminateError> {
    Ok(channel::send(channel, &Message::new(&ReplyEnvelope { id, said: reply })?, &[])?)
}

/// Reads requests on a thread of its own, which ends with the channel or with the process.
fn receive_commands(channel: Arc<UnixStream>) -> io::Result<mpsc::Receiver<ReceivedCommand>> {
    let (sender, commands) = mpsc::channel(1);
    thread::Builder::new().name("channel".to_owned()).spawn(move || {
        loop {
            let received = channel::receive_with_files(&channel).transpose();
            let Some(received) = received else { return };
            let broken = received.is_err();
            if sender.blocking_send(received).is_err() || broken {
                return;
            }
        }
    })?;
    Ok(commands)
}

#[cfg(test)]
mod tests;
