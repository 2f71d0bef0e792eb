//! The start, complete or not at all: read and check, bind, attach the firewall, serve.

use std::{net::TcpListener, os::fd::OwnedFd, path::Path, sync::Mutex, time::Instant};

use aop_api::{
    SeenIdentities,
    terminator::{AddressPolicy, Command},
};
use aop_config::Config;
use aop_control::ControlSocket;
use aop_firewall::{
    ChangeSubscription, Firewall, FirewallError, MissingInterface, PacketLog, StartOptions,
};
use aop_prefixes::CurrentList;
use aop_sandbox::{Launcher, NameLookup};
use aop_storage::InstanceLock;
use aop_types::{Admission, Modes};
use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    ActivePolicy, CheckedConfig, Daemon, DaemonError, Logs, Signals,
    audit_log::Audit,
    identity_store,
    mode_overrides::OverrideState,
    monitor::{self, Monitor, Pulse},
    opening_commands::beside,
    openings::Openings,
    prepare, reload,
    reload_queue::Reloads,
    sockets::{self, Handed, Socket},
    status,
    terminator_handle::TerminatorHandle,
    upgrade::{DrainingPredecessors, Handover, HandoverState, Predecessor, Reexec},
};

/// A daemon that serves, and its sockets for clients.
pub(super) struct Begun {
    pub(super) signals: Signals,
    pub(super) control: ControlSocket,
    pub(super) monitor: Option<(Monitor, Pulse)>,
    pub(super) daemon: Daemon,
    pub(super) watch: Option<ChangeSubscription>,
}

/// All steps until it serves.
pub(super) fn begin(
    file: &Path,
    again: Reexec,
    activated: Vec<(Option<String>, OwnedFd)>,
    predecessor: Option<&Predecessor>,
    logs: Logs,
) -> Result<Begun, DaemonError> {
    let estate = predecessor.map(Predecessor::inherit).transpose()?;
    let prepared = prepare(file)?;
    let (pulse, beats) = monitor::pulse();
    let signals = Signals::install(beats).map_err(DaemonError::Runtime)?;
    prepared.warn();
    let fixed = &prepared.config.fixed;
    let runtime = &fixed.paths.runtime;
    let mut lingerers = DrainingPredecessors::default();
    let (lock, pins, mut handed) = match estate {
        Some(HandoverState { pins: Some(_), .. }) if fixed.firewall.is_none() => {
            let keys = vec!["firewall.mode (to off)"];
            return Err(DaemonError::NeedsRestart { file: file.into(), keys });
        }
        Some(HandoverState { instance, pins, listeners, lingerers: before }) => {
            lingerers = before;
            (InstanceLock::take_over(runtime, instance)?, pins, Handed::Before(listeners))
        }
        None => (InstanceLock::take(runtime)?, None, Handed::Activation(activated)),
    };
    let control = ControlSocket::bind(runtime, fixed.readers.as_deref())?;
    let monitor = match &fixed.monitor {
        Some(address) => {
            let handed = address.port().and_then(|address| handed.claim(address));
            let before = predecessor.and_then(Predecessor::process);
            Some(Monitor::bind(address, handed, before)?)
        }
        None => None,
    };
    let sockets = sockets::take(&fixed.listeners, handed)?;
    let found = Inheritance { lock, pins, sockets, lingerers, again };
    let guarding = || predecessor.into_iter().for_each(Predecessor::guarding);
    let copy = monitor.as_ref().map_or(Ok(None), Monitor::copy).map_err(DaemonError::Runtime)?;
    let publish = || -> Result<(), DaemonError> {
        monitor.as_ref().map_or(Ok(()), Monitor::publish)?;
        Ok(control.publish()?)
    };
    let (daemon, watch) = start(prepared, found, logs, guarding, publish)?;
    daemon.sockets().extend(copy);
    let monitor = monitor.map(|monitor| (monitor, pulse));
    Ok(Begun { signals, control, monitor, daemon, watch })
}

/// What a start has got or made: from the predecessor, from the service manager, or itself.
struct Inheritance {
    lock: InstanceLock,
    /// The lock on the pins, where the predecessor holds it, too.
    pins: Option<OwnedFd>,
    sockets: Vec<Socket>,
    lingerers: DrainingPredecessors,
    again: Reexec,
}

/// Calls `guarding` before the firewall changes, and `publish` after everything else.
fn start(
    prepared: CheckedConfig,
    found: Inheritance,
    logs: Logs,
    guarding: impl FnOnce(),
    publish: impl FnOnce() -> Result<(), DaemonError>,
) -> Result<(Daemon, Option<ChangeSubscription>), DaemonError> {
    let Inheritance { lock, pins, sockets, lingerers, again } = found;
    let CheckedConfig { config, found, prefixes, bundle, source, account, warnings, notes } =
        prepared;
    let launcher = Launcher::new(account, logs.options);
    let link = match sockets.is_empty() {
        true => None,
        false => Some(TerminatorHandle::start(&launcher, names(&config))?),
    };
    if let Some(link) = &link {
        if link.fence().landlock.is_none() {
            tracing::warn!("{}", status::NO_LANDLOCK);
        }
        link.prepare(bundle)?;
    }
    let (mut spoken, lost) = OverrideState::found(&config).under(&config);
    let modes = spoken.modes(config.live.mode);
    let known = identity_store::load(&config.fixed.paths.state).unwrap_or_else(|error| {
        tracing::warn!("{error}");
        SeenIdentities::default()
    });
    guarding();
    let now = (Timestamp::now(), Instant::now());
    let (mut openings, ended) = Openings::found(&config.fixed.paths.state, now);
    let prefixes = match openings.networks().is_empty() {
        true => prefixes,
        false => found.held.list.with(&beside(&config.live, &openings))?,
    };
    let list = (&found.held, prefixes.as_slice());
    let (firewall, admission) = guard(&config, &modes, list, &ended, pins, logs.packets)?;
    let (rules, pinned) = (AddressPolicy::of(&admission, &modes), firewall.is_some());
    let ask = Command::Serve { rules, pinned, known };
    let equipped = equip(firewall.as_ref(), link.as_ref(), sockets, ask);
    let equipped = equipped.and_then(|equipped| publish().map(|()| equipped));
    let (watch, sockets) = match equipped {
        Ok(equipped) => equipped,
        Err(error) => {
            firewall.into_iter().for_each(Firewall::give_up);
            return Err(error);
        }
    };
    spoken.settle(&config.fixed.paths.state, &lost);
    if !ended.is_empty() {
        tracing::warn!(?ended, "openings of `aop open` have expired while aop was stopped");
        openings.keep(&config.fixed.paths.state);
    }
    let daemon = Daemon {
        facts: status::LiveFacts::new(&config.live, warnings, notes),
        reloads: Reloads::new(&config.file, source),
        audit: Audit::new(&config.fixed.paths.state),
        fixed: config.fixed,
        firewall: firewall.map(Mutex::new),
        link,
        launcher,
        sockets: Mutex::new(sockets),
        lock: Mutex::new(Some(lock)),
        again,
        handover: Handover::default(),
        lingerers,
        openings: Mutex::new(openings),
        in_force: Mutex::new(ActivePolicy::new(config.live, spoken, found, admission)),
        applying: Mutex::default(),
        refreshing: Mutex::default(),
        started: Instant::now(),
    };
    Ok((daemon, watch))
}

/// Which resolver files the terminator may read to look up its upstreams.
fn names(config: &Config) -> NameLookup {
    match config.live.sites.iter().any(|site| site.upstream.is_named()) {
        true => NameLookup::Ever,
        false => NameLookup::Now,
    }
}

/// Starts the firewall, where it is on. Computes the admitted set in both cases.
fn guard(
    config: &Config,
    modes: &Modes,
    (held, prefixes): (&CurrentList, &[IpNet]),
    ended: &[IpNet],
    handed: Option<OwnedFd>,
    log: PacketLog,
) -> Result<(Option<Firewall>, Admission), DaemonError> {
    let pins = &config.fixed.paths.pins;
    let mut admission = Admission::default();
    let Some(wanted) = &config.fixed.firewall else {
        retire_leftovers(pins)?;
        return Ok((None, reload::next_admission(&admission, held, prefixes, &config.live)));
    };
    let setting = StartOptions {
        interfaces: &config.live.interfaces,
        attach: wanted.attach,
        pins,
        log,
        absent: MissingInterface::Refused,
    };
    let firewall = Firewall::take_over(setting, handed, |before| {
        admission = reload::next_admission(&before.without(ended), held, prefixes, &config.live);
        reload::policy(&admission, &config.live, modes)
    })?;
    Ok((Some(firewall), admission))
}

/// The steps that can fail once the firewall is attached. Listening is last: before the firewall is
/// attached, the kernel would answer strangers. The terminator gets the sockets; the returned
/// copies are for the successor.
fn equip(
    firewall: Option<&Firewall>,
    link: Option<&TerminatorHandle>,
    sockets: Vec<Socket>,
    ask: Command,
) -> Result<(Option<ChangeSubscription>, Vec<TcpListener>), DaemonError> {
    let watch = firewall.map(Firewall::watch).transpose()?;
    let sockets = sockets::listen(sockets)?;
    if let Some(link) = link {
        let mut files: Vec<OwnedFd> = Vec::new();
        if let Some(firewall) = firewall {
            files.extend(firewall.peer_files()?.into_files());
        }
        for socket in &sockets {
            files.push(socket.try_clone().map_err(DaemonError::Runtime)?.into());
        }
        link.serve(ask, files)?;
    }
    Ok((watch, sockets))
}

/// With firewall.mode off, detaches a firewall that an earlier run left attached.
pub(super) fn retire_leftovers(pins: &Path) -> Result<(), DaemonError> {
    match aop_firewall::read(pins, None) {
        // Nothing is pinned, or this user may not look.
        Ok(None) | Err(FirewallError::Privilege { .. }) => {}
        Ok(Some(_)) => {
            for interface in aop_firewall::retire(pins)?.unwrap_or_default() {
                tracing::warn!(
                    interface,
                    "the firewall is off: detached the program of an earlier run"
                );
            }
        }
        Err(error) => {
            tracing::warn!("cannot remove the firewall of an earlier run, if there is one: {error}")
        }
    }
    Ok(())
}
