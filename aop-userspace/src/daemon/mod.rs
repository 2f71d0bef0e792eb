//! The daemon: joins firewall, terminator and control, and lives until it is told to stop.
//!
//! Start: everything is read and checked, then bound, then guarded, then served; a failure on the
//! way leaves nothing behind. SIGHUP reloads, SIGTERM and SIGINT drain. The firewall is never
//! taken down on the way out.

mod answers;
mod error;
mod gate;
mod identities;
mod in_force;
mod keeper;
mod list_file;
mod load;
mod packet_log;
mod peers;
mod prepare;
mod refresh;
mod reload;
mod schedule;
mod status;
mod watch;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Instant,
};

pub use error::DaemonError;
use gate::AddressGate;
pub(crate) use identities::load as kept_identities;
pub(crate) use in_force::InForce;
use ipnet::IpNet;
pub use load::{Loaded, load};
use peers::Peers;
pub use prepare::{Prepared, prepare};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, Fixed},
    control::{Answers, ControlSocket, InstanceLock},
    firewall::{self, Absent, Firewall, FirewallError, PacketLog, Setting, Watch},
    prefixes::{Admission, Held},
    terminator::{self, Bound, Drained, Listener, Service},
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
    pub(crate) gate: Arc<AddressGate>,
    pub(crate) service: Service,
    pub(crate) in_force: Mutex<InForce>,
    /// Held by the one refresh that is under way.
    pub(crate) refreshing: Mutex<()>,
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
    let socket = ControlSocket::bind(&prepared.config.fixed.paths.runtime)?;
    let (daemon, watch) = start(prepared, log)?;
    let daemon = Arc::new(daemon);
    watch::follow(&daemon, watch, &tasks, &stop);
    packet_log::follow(&daemon, log, &tasks, &stop);
    let answers = Arc::clone(&daemon) as Arc<dyn Answers>;
    tasks.spawn(socket.serve(answers, tasks.clone(), stop.clone()));
    tasks.spawn(Arc::clone(&daemon).keep_fresh(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).keep(stop.clone()));
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
    daemon.close();
    tasks.close();
    tasks.wait().await;
    Ok(ended)
}

fn start(prepared: Prepared, log: PacketLog) -> Result<(Daemon, Option<Watch>), DaemonError> {
    let Prepared { config, found, prefixes, sites, warnings, notes } = prepared;
    let connections = affordable(config.fixed.connections);
    let bound = terminator::bind(&config.fixed.listeners)?;
    let (firewall, admission) = guard(&config, &found.held, &prefixes, log)?;
    let (peers, watch, listeners) = match equip(firewall.as_ref(), bound) {
        Ok(equipped) => equipped,
        Err(error) => {
            firewall.into_iter().for_each(Firewall::give_up);
            return Err(error);
        }
    };
    let gate = Arc::new(AddressGate::new(admission, &config.live, peers));
    let service = Service::start(
        listeners,
        reload::terminator_policy(sites, &config.live),
        Arc::clone(&gate) as Arc<dyn crate::edge::Gate>,
        Arc::clone(&gate) as Arc<dyn crate::edge::PeerBook>,
        connections,
    );
    recall(&service, &config);
    let daemon = Daemon {
        facts: status::LiveFacts::new(&config.live, warnings, notes),
        fixed: config.fixed,
        firewall: firewall.map(Mutex::new),
        gate,
        service,
        in_force: Mutex::new(InForce::new(config.live, found)),
        refreshing: Mutex::default(),
        started: Instant::now(),
    };
    Ok((daemon, watch))
}

/// Lets the ledger go on with the client certificates that an earlier run has seen.
fn recall(service: &Service, config: &Config) {
    let sites: Vec<String> = config.live.sites.iter().map(|site| site.name.clone()).collect();
    match identities::load(&config.fixed.paths.state) {
        Ok(known) => service.ledger().recall(identities::recalled(known, &sites)),
        Err(error) => tracing::warn!("{error}"),
    }
}

/// Raises the firewall, if one is wanted. Who is admitted stands either way.
fn guard(
    config: &Config,
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
        reload::policy(&admission, &config.live)
    })?;
    Ok((Some(firewall), admission))
}

/// What can still fail once the firewall stands. Listening is last: before the firewall stands the
/// kernel would answer strangers.
fn equip(
    firewall: Option<&Firewall>,
    bound: Vec<Bound>,
) -> Result<(Peers, Option<Watch>, Vec<Listener>), DaemonError> {
    let (peers, watch) = match firewall {
        Some(firewall) => (Peers::Pinned(Box::new(firewall.peers()?)), Some(firewall.watch()?)),
        None => (Peers::default(), None),
    };
    Ok((peers, watch, terminator::listen(bound)?))
}

/// As many of the `wished` connections as there are file descriptors for. A connection takes two,
/// and the soft limit, which is often 1024, is raised first.
fn affordable(wished: usize) -> usize {
    const OTHER_FILES: u64 = 64;
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("the limit of open files stays at {:?}: {error}", limit.current);
    }
    let Some(files) = getrlimit(Resource::Nofile).current else { return wished };
    let affordable =
        usize::try_from(files.saturating_sub(OTHER_FILES) / 2).unwrap_or(wished).max(1);
    if affordable < wished {
        tracing::warn!(
            "limits.connections is {wished}, but {files} files may be open, so at most {affordable} \
             connections are: raise the limit (systemd: LimitNOFILE=)"
        );
    }
    wished.min(affordable)
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
