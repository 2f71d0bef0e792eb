//! The daemon: joins firewall, terminator process and control, and lives until it is told to stop.
//!
//! It holds the privilege, and reads no byte from a peer: that is for the process at the other end
//! of its link. Start: everything is read and checked, then bound, then guarded, then served; a
//! failure on the way leaves nothing behind. SIGHUP reloads, SIGTERM and SIGINT drain, and so does the
//! end of an upgrade. The firewall is never taken down on the way out.

mod answers;
mod audit;
mod ends;
mod error;
mod figures;
mod identities;
mod in_force;
mod keeper;
mod leave;
mod link;
mod load;
mod looks;
mod manager;
mod misgivings;
mod monitor;
mod open;
mod openings;
mod packet_log;
mod prepare;
mod refresh;
mod reload;
mod reloads;
mod schedule;
mod site_files;
mod sockets;
mod source;
mod start;
mod status;
mod switch;
mod upgrade;
mod watch;
mod word;

use std::{
    ffi::OsString,
    future::pending,
    io,
    net::TcpListener,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use aop_config::Fixed;
use aop_control::Answers;
use aop_firewall::{Firewall, PacketLog};
use aop_sandbox::Launcher;
use aop_storage::InstanceLock;
use audit::Audit;
pub use error::DaemonError;
pub use identities::load as kept_identities;
pub use in_force::InForce;
use link::{Link, LinkError};
pub use load::{Loaded, load};
use manager::Heart;
use monitor::Beats;
use openings::Openings;
pub use openings::load as kept_openings;
pub use prepare::{Prepared, prepare};
use reloads::Reloads;
use start::Begun;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
pub use upgrade::Beginning;
use upgrade::{Again, Handover, Lingerers};
pub use word::switched;

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
    pub fixed: Fixed,
    pub firewall: Option<Mutex<Firewall>>,
    /// The terminator process, where there is something to serve.
    pub link: Option<Link>,
    pub launcher: Launcher,
    /// Nobody accepts on them here: they are for the daemon after this one.
    sockets: Mutex<Vec<TcpListener>>,
    /// That of the runtime directory, while this one is the daemon.
    lock: Mutex<Option<InstanceLock>>,
    again: Again,
    handover: Handover,
    lingerers: Lingerers,
    openings: Mutex<Openings>,
    pub in_force: Mutex<InForce>,
    /// Held by whoever changes what is in force.
    pub(crate) applying: Mutex<()>,
    /// Held by the one refresh that is under way.
    pub(crate) refreshing: Mutex<()>,
    pub facts: status::LiveFacts,
    reloads: Reloads,
    audit: Audit,
    pub started: Instant,
}

/// How the daemon's own log and those of its processes look.
#[derive(Clone, Debug)]
pub struct Logs {
    /// What the packet programs log.
    pub packets: PacketLog,
    /// Options of the command line that the terminator process gets as well.
    pub options: Vec<OsString>,
}

/// Runs the daemon with the configuration in `file` until a signal ends it, or another takes over. To
/// be called on a thread that lives as long: the terminator process dies with it.
///
/// # Errors
/// The configuration or a file it names is bad, an address cannot be bound, the firewall cannot be
/// started, another daemon runs: nothing is left half done. Or the terminator process has died.
pub async fn run(file: &Path, beginning: Beginning, logs: Logs) -> Result<Ended, DaemonError> {
    let Beginning { again, activated, predecessor } = beginning;
    let log = logs.packets;
    let begun = start::begin(file, again, activated, predecessor.as_ref(), logs);
    if let (Err(error), Some(predecessor)) = (&begun, &predecessor) {
        predecessor.failed(error);
    }
    let Begun { mut signals, control, monitor, daemon, watch } = begun?;
    let daemon = Arc::new(daemon);
    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    watch::follow(&daemon, watch, &tasks, &stop);
    packet_log::follow(&daemon, log, &tasks, &stop);
    let answers = Arc::clone(&daemon) as Arc<dyn Answers>;
    tasks.spawn(control.serve(answers, tasks.clone(), stop.clone()));
    if let Some((monitor, pulse)) = monitor {
        tasks.spawn(monitor.serve(Arc::clone(&daemon), pulse, tasks.clone(), stop.clone()));
    }
    tasks.spawn(Arc::clone(&daemon).heed_signals(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).watch_files(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).keep_fresh(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).keep(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).end_in_time(stop.clone()));
    if let Some(predecessor) = predecessor {
        let since = daemon.lingerers.let_go_so_far();
        let lingerer = predecessor.served(daemon.digest());
        lingerer.into_iter().for_each(|it| daemon.lingerers.add(it, since));
        daemon.lock().as_ref().map_or(Ok(()), InstanceLock::sign)?;
    }
    tracing::info!(
        listeners = daemon.fixed.listeners.len(),
        firewall = daemon.firewall.is_some(),
        terminator = daemon.link.as_ref().map(Link::pid),
        "ready"
    );
    manager::ready("serving");
    let ended = daemon.attend(&mut signals).await;
    stop.cancel();
    daemon.close();
    tasks.close();
    tasks.wait().await;
    // A fetch that hangs may hold the daemon for longer than it runs.
    daemon.link.iter().for_each(Link::end);
    ended
}

impl Daemon {
    /// Does what signals ask for, until one asks for the end or the terminator has died.
    async fn attend(self: &Arc<Self>, signals: &mut Signals) -> Result<Ended, DaemonError> {
        let mut heart = Heart::begin();
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Reload => self.reloads.signal(),
                    Asked::Stop => {
                        manager::stopping("draining");
                        self.handover.stop();
                        return self.drain(signals, &mut heart, None).await;
                    }
                },
                () = self.handover.over() => {
                    let heir = self.handover.heir();
                    return self.drain(signals, &mut Heart::none(), heir).await;
                },
                () = heart.beat() => {}
                error = self.terminator_gone() => {
                    tracing::error!("{error}");
                    self.lingerers.let_go();
                    return Err(error.into());
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<InstanceLock>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sockets(&self) -> MutexGuard<'_, Vec<TcpListener>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn terminator_gone(&self) -> LinkError {
        match &self.link {
            Some(link) => link.gone().await,
            None => pending().await,
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
    /// Answered by whoever waits for signals.
    beats: Beats,
}

impl Signals {
    fn install(beats: Beats) -> io::Result<Self> {
        Ok(Self {
            reload: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            beats,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.reload.recv() => Asked::Reload,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            never = self.beats.answer() => match never {},
        }
    }
}
