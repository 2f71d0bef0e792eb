//! The daemon: joins firewall, terminator and control, and lives until it is told to stop.
//!
//! Start: everything is read and checked, then bound, then guarded, then served; a failure on the
//! way leaves nothing behind. SIGHUP reloads, SIGTERM and SIGINT drain. The firewall is never
//! taken down on the way out.

mod error;
mod gate;
mod packet_log;
mod peers;
mod prepare;
mod reload;
mod status;

use std::{path::Path, sync::Arc, time::Instant};

pub use error::DaemonError;
use gate::AddressGate;
use peers::Peers;
pub use prepare::{Prepared, prepare};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Fixed,
    control::{ControlSocket, InstanceLock},
    firewall::{self, Firewall, PacketLog},
    prefixes::Admission,
    terminator::{self, Drained, Service},
};

/// How the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every connection came to its own end.
    Drained,
    /// The deadline passed and this many connections were cut.
    Cut(usize),
}

/// A daemon at work.
pub(crate) struct Daemon {
    pub(crate) fixed: Fixed,
    pub(crate) firewall: Option<std::sync::Mutex<Firewall>>,
    pub(crate) gate: Arc<AddressGate>,
    pub(crate) service: Service,
    pub(crate) facts: status::LiveFacts,
    pub(crate) started: Instant,
}

/// Runs the daemon with the configuration in `file` until a signal ends it.
///
/// # Errors
/// The configuration or a file it names is bad, an address cannot be bound, the firewall cannot be
/// started, another daemon runs. Nothing is left half done.
pub async fn run(file: &Path, log: PacketLog) -> Result<Ended, DaemonError> {
    let prepared = prepare(file)?;
    let mut signals = Signals::install().map_err(DaemonError::Runtime)?;
    prepared.warn();
    let _lock = InstanceLock::take(&prepared.config.fixed.paths.runtime)?;
    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    raise_file_limit();
    let daemon = Arc::new(start(prepared, log, &tasks, &stop)?);
    daemon.open_control(&tasks, &stop)?;
    tracing::info!(
        listeners = daemon.fixed.listeners.len(),
        firewall = daemon.firewall.is_some(),
        "ready"
    );
    while let Asked::Reload = signals.next().await {
        daemon.reload(file);
    }
    let ended = daemon.drain(&mut signals, file).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    Ok(ended)
}

fn start(
    prepared: Prepared,
    log: PacketLog,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<Daemon, DaemonError> {
    let Prepared { config, prefixes, sites, warnings } = prepared;
    let bound = terminator::bind(&config.fixed.listeners)?;
    let paths = &config.fixed.paths;
    let mut admission = Admission::default();
    let (firewall, peers) = match &config.fixed.firewall {
        Some(wanted) => {
            let mut firewall = Firewall::start(wanted, &paths.pins, log, |found| {
                admission = reload::next_admission(found, &prefixes, &config.live);
                reload::policy(&admission, &config.live)
            })?;
            packet_log::follow(&mut firewall, tasks, stop).map_err(DaemonError::Runtime)?;
            let peers = Peers::Pinned(firewall.peers()?);
            (Some(std::sync::Mutex::new(firewall)), peers)
        }
        None => {
            detach_leftovers(&paths.pins)?;
            admission = reload::next_admission(&admission, &prefixes, &config.live);
            (None, Peers::default())
        }
    };
    let gate = Arc::new(AddressGate::new(admission, config.live.mode, peers));
    let facts = status::LiveFacts::new(&config.live, warnings);
    let service = Service::start(
        // Not before the firewall stands: the kernel would answer strangers.
        terminator::listen(bound)?,
        reload::terminator_policy(sites, &config.live),
        Arc::clone(&gate) as Arc<dyn crate::edge::Gate>,
        Arc::clone(&gate) as Arc<dyn crate::edge::PeerBook>,
        config.fixed.connections,
    );
    Ok(Daemon { fixed: config.fixed, firewall, gate, service, facts, started: Instant::now() })
}

/// A connection takes two file descriptors, and the soft limit is often 1024.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("the limit of open files stays at {:?}: {error}", limit.current);
    }
}

/// Off means off: a firewall that an earlier run left attached is taken down.
fn detach_leftovers(pins: &Path) -> Result<(), DaemonError> {
    match firewall::read(pins) {
        // Nothing there, or a place that this user cannot even look into.
        Ok(None) | Err(firewall::FirewallError::Privilege { .. }) => Ok(()),
        Ok(Some(_)) | Err(_) => {
            for interface in firewall::unload(pins)? {
                tracing::warn!(interface, "the firewall is off: detached what an earlier run left");
            }
            Ok(())
        }
    }
}

impl Daemon {
    fn open_control(
        self: &Arc<Self>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<(), DaemonError> {
        let runtime = &self.fixed.paths.runtime;
        let socket = ControlSocket::bind(runtime)
            .map_err(|error| DaemonError::Control { path: runtime.clone(), error })?;
        let daemon = Arc::clone(self);
        let status = Arc::new(move || daemon.status());
        tasks.spawn(socket.serve(status, tasks.clone(), stop.clone()));
        Ok(())
    }

    /// Stops accepting at once and lets open connections end. A reload asked for meanwhile is
    /// declined, since there is nobody left to serve.
    async fn drain(&self, signals: &mut Signals, file: &Path) -> Ended {
        let deadline = self.facts.shutdown();
        tracing::info!(deadline = ?deadline, "draining: no new connection is accepted");
        let drained = self.service.drain(deadline);
        tokio::pin!(drained);
        loop {
            tokio::select! {
                drained = &mut drained => break match drained {
                    Drained::Complete => {
                        tracing::info!("drained; the firewall stays attached");
                        Ended::Drained
                    }
                    Drained::Cut(connections) => {
                        tracing::warn!(connections, "the drain deadline passed: connections were cut");
                        Ended::Cut(connections)
                    }
                },
                asked = signals.next() => match asked {
                    Asked::Reload => {
                        tracing::warn!(file = %file.display(), "not reloaded: aop is stopping");
                    }
                    Asked::Stop => {}
                },
            }
        }
    }
}

/// What the process was asked to do.
enum Asked {
    Reload,
    Stop,
}

struct Signals {
    reload: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self {
            reload: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.reload.recv() => Asked::Reload,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
        }
    }
}
