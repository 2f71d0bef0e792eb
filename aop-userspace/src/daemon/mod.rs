//! The daemon: joins firewall, terminator process and control, and lives until it is told to stop.
//!
//! It holds the privilege, and reads no byte from a peer: that is for the process at the other end
//! of its link. Start: everything is read and checked, then bound, then guarded, then served; a
//! failure on the way leaves nothing behind. SIGHUP reloads, SIGTERM and SIGINT drain. The firewall
//! is never taken down on the way out.

mod answers;
mod error;
mod identities;
mod in_force;
mod keeper;
mod link;
mod load;
mod looks;
mod monitor;
mod packet_log;
mod prepare;
mod refresh;
mod reload;
mod reloads;
mod schedule;
mod site_files;
mod source;
mod status;
mod switch;
mod watch;
mod word;

use std::{
    ffi::OsString,
    future::pending,
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

pub use error::DaemonError;
pub(crate) use identities::load as kept_identities;
pub(crate) use in_force::InForce;
use ipnet::IpNet;
use link::{Draining, Link, LinkError};
pub use load::{Loaded, load};
use monitor::{Beats, Monitor};
pub use prepare::{Prepared, prepare};
use reloads::Reloads;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use word::Spoken;
pub use word::switched_at;

use crate::{
    channel::{AddressRules, Ask},
    config::{Config, Fixed, Modes},
    confined::Launcher,
    control::{Answers, ControlSocket, Identities, InstanceLock},
    firewall::{self, Absent, Firewall, FirewallError, PacketLog, Setting, Watch},
    prefixes::{Admission, Held},
    terminator::{self, BindError, Bound},
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
    pub(crate) firewall: Option<Mutex<Firewall>>,
    /// The terminator process, where there is something to serve.
    pub(crate) link: Option<Link>,
    pub(crate) launcher: Launcher,
    pub(crate) in_force: Mutex<InForce>,
    /// Held by whoever changes what is in force.
    pub(crate) applying: Mutex<()>,
    /// Held by the one refresh that is under way.
    pub(crate) refreshing: Mutex<()>,
    pub(crate) facts: status::LiveFacts,
    reloads: Reloads,
    pub(crate) started: Instant,
}

/// How the daemon's own log and those of its processes look.
#[derive(Clone, Debug)]
pub struct Logs {
    /// What the packet programs log.
    pub packets: PacketLog,
    /// Options of the command line that the terminator process gets as well.
    pub options: Vec<OsString>,
}

/// Runs the daemon with the configuration in `file` until a signal ends it. To be called on a thread
/// that lives as long: the terminator process dies with it.
///
/// # Errors
/// The configuration or a file it names is bad, an address cannot be bound, the firewall cannot be
/// started, another daemon runs: nothing is left half done. Or the terminator process has died.
pub async fn run(file: &Path, logs: Logs) -> Result<Ended, DaemonError> {
    let prepared = prepare(file)?;
    let (pulse, beats) = monitor::pulse();
    let mut signals = Signals::install(beats).map_err(DaemonError::Runtime)?;
    prepared.warn();
    let _lock = InstanceLock::take(&prepared.config.fixed.paths.runtime)?;
    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    let socket = ControlSocket::bind(&prepared.config.fixed.paths.runtime)?;
    let monitor = prepared.config.fixed.monitor.as_ref().map(Monitor::bind).transpose()?;
    let log = logs.packets;
    let (daemon, watch) = start(prepared, logs)?;
    let daemon = Arc::new(daemon);
    watch::follow(&daemon, watch, &tasks, &stop);
    packet_log::follow(&daemon, log, &tasks, &stop);
    let answers = Arc::clone(&daemon) as Arc<dyn Answers>;
    tasks.spawn(socket.serve(answers, tasks.clone(), stop.clone()));
    if let Some(monitor) = monitor {
        tasks.spawn(monitor.serve(Arc::clone(&daemon), pulse, tasks.clone(), stop.clone()));
    }
    tasks.spawn(Arc::clone(&daemon).heed_signals(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).watch_files(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).keep_fresh(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).keep(stop.clone()));
    tracing::info!(
        listeners = daemon.fixed.listeners.len(),
        firewall = daemon.firewall.is_some(),
        terminator = daemon.link.as_ref().map(Link::pid),
        "ready"
    );
    let ended = daemon.attend(&mut signals).await;
    stop.cancel();
    daemon.close();
    tasks.close();
    tasks.wait().await;
    // A fetch that hangs may hold the daemon for longer than it runs.
    daemon.link.iter().for_each(Link::end);
    ended
}

fn start(prepared: Prepared, logs: Logs) -> Result<(Daemon, Option<Watch>), DaemonError> {
    let Prepared { config, found, prefixes, bundle, source, account, warnings, notes } = prepared;
    let launcher = Launcher::new(account, logs.options);
    let bound = bind(&config.fixed.listeners)?;
    let link = match bound.is_empty() {
        true => None,
        false => Some(Link::start(&launcher)?),
    };
    if let Some(link) = &link {
        link.prepare(bundle)?;
    }
    let (mut spoken, lost) = Spoken::found(&config).under(&config);
    let modes = spoken.modes(config.live.mode);
    let known = identities::load(&config.fixed.paths.state).unwrap_or_else(|error| {
        tracing::warn!("{error}");
        Identities::default()
    });
    let (firewall, admission) = guard(&config, &modes, &found.held, &prefixes, logs.packets)?;
    let (rules, pinned) = (AddressRules::of(&admission, &modes), firewall.is_some());
    let ask = Ask::Serve { rules, pinned, known };
    let watch = match equip(firewall.as_ref(), link.as_ref(), bound, ask) {
        Ok(watch) => watch,
        Err(error) => {
            firewall.into_iter().for_each(Firewall::give_up);
            return Err(error);
        }
    };
    spoken.settle(&config.fixed.paths.state, &lost);
    let daemon = Daemon {
        facts: status::LiveFacts::new(&config.live, warnings, notes),
        reloads: Reloads::new(&config.file, source),
        fixed: config.fixed,
        firewall: firewall.map(Mutex::new),
        link,
        launcher,
        in_force: Mutex::new(InForce::new(config.live, spoken, found, admission)),
        applying: Mutex::default(),
        refreshing: Mutex::default(),
        started: Instant::now(),
    };
    Ok((daemon, watch))
}

/// Takes the addresses. The terminator of a daemon that was killed dies a moment after it, and has
/// them until then.
fn bind(addresses: &[SocketAddr]) -> Result<Vec<Bound>, BindError> {
    const PATIENCE: Duration = Duration::from_secs(1);
    const PAUSE: Duration = Duration::from_millis(20);
    let begun = Instant::now();
    loop {
        match terminator::bind(addresses) {
            Err(taken)
                if taken.error.kind() == io::ErrorKind::AddrInUse && begun.elapsed() < PATIENCE =>
            {
                std::thread::sleep(PAUSE);
            }
            bound => return bound,
        }
    }
}

/// Raises the firewall, if one is wanted. Who is admitted stands either way.
fn guard(
    config: &Config,
    modes: &Modes,
    held: &Held,
    prefixes: &[IpNet],
    log: PacketLog,
) -> Result<(Option<Firewall>, Admission), DaemonError> {
    let pins = &config.fixed.paths.pins;
    let mut admission = Admission::default();
    let Some(wanted) = &config.fixed.firewall else {
        retire_leftovers(pins)?;
        return Ok((None, reload::next_admission(&admission, held, prefixes, &config.live)));
    };
    let setting = Setting {
        interfaces: &config.live.interfaces,
        attach: wanted.attach,
        pins,
        log,
        absent: Absent::Refused,
    };
    let firewall = Firewall::start(setting, |before| {
        admission = reload::next_admission(before, held, prefixes, &config.live);
        reload::policy(&admission, &config.live, modes)
    })?;
    Ok((Some(firewall), admission))
}

/// What can still fail once the firewall stands. Listening is last: before the firewall stands the
/// kernel would answer strangers. The sockets go to the terminator, and none stays here.
fn equip(
    firewall: Option<&Firewall>,
    link: Option<&Link>,
    bound: Vec<Bound>,
    ask: Ask,
) -> Result<Option<Watch>, DaemonError> {
    let watch = firewall.map(Firewall::watch).transpose()?;
    if let Some(link) = link {
        let mut files: Vec<OwnedFd> = Vec::new();
        if let Some(firewall) = firewall {
            files.extend(firewall.peer_files()?.into_files());
        }
        files.extend(terminator::listen(bound)?.into_iter().map(OwnedFd::from));
        link.serve(ask, files)?;
    }
    Ok(watch)
}

/// Off means off: a firewall that an earlier run left attached is taken down.
fn retire_leftovers(pins: &Path) -> Result<(), DaemonError> {
    match firewall::read(pins, None) {
        // Nothing there, or a place that this user cannot even look into.
        Ok(None) | Err(FirewallError::Privilege { .. }) => {}
        Ok(Some(_)) => {
            for interface in firewall::retire(pins)?.unwrap_or_default() {
                tracing::warn!(interface, "the firewall is off: detached what an earlier run left");
            }
        }
        Err(error) => tracing::warn!("what may be left of an earlier firewall stays: {error}"),
    }
    Ok(())
}

impl Daemon {
    /// Does what signals ask for, until one asks for the end or the terminator has died.
    async fn attend(&self, signals: &mut Signals) -> Result<Ended, DaemonError> {
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Reload => self.reloads.signal(),
                    Asked::Stop => return self.drain(signals).await,
                },
                error = self.terminator_gone() => {
                    tracing::error!("{error}");
                    return Err(error.into());
                }
            }
        }
    }

    async fn terminator_gone(&self) -> LinkError {
        match &self.link {
            Some(link) => link.gone().await,
            None => pending().await,
        }
    }

    /// Stops accepting at once and lets open connections end, until told to stop once more. A reload
    /// asked for meanwhile is declined, since there is nobody left to serve.
    async fn drain(&self, signals: &mut Signals) -> Result<Ended, DaemonError> {
        self.reloads.leave();
        let deadline = self.facts.shutdown();
        tracing::info!(deadline = ?deadline, "draining: no new connection is accepted");
        let drained = self.link.as_ref().map(|link| link.drain(deadline));
        // Blocks until the deadline at the latest.
        let drained = tokio::task::spawn_blocking(move || drained.map_or(Ok(0), Draining::wait));
        tokio::pin!(drained);
        loop {
            tokio::select! {
                drained = &mut drained => {
                    let drained = drained.map_err(|error| DaemonError::Runtime(error.into()))?;
                    return Ok(match drained? {
                        0 => {
                            tracing::info!("drained; the firewall stays attached");
                            Ended::Drained
                        }
                        connections => {
                            tracing::warn!(
                                connections,
                                "connections that had not ended by themselves were cut"
                            );
                            Ended::Cut(connections)
                        }
                    });
                }
                asked = signals.next() => match asked {
                    Asked::Reload => {
                        tracing::warn!(
                            file = %self.reloads.file().display(),
                            "not reloaded: aop is stopping"
                        );
                    }
                    Asked::Stop => {
                        tracing::warn!("told to stop once more: open connections are cut now");
                        // Both drains get the same answer, and the first one's is waited for.
                        drop(self.link.as_ref().map(|link| link.drain(Duration::ZERO)));
                    }
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
