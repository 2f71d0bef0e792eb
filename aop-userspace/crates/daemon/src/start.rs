//! A start, as a whole or not at all: read and checked, then bound, then guarded, then served.

use std::{net::TcpListener, os::fd::OwnedFd, path::Path, sync::Mutex, time::Instant};

use aop_api::{
    Identities,
    terminator::{AddressRules, Ask},
};
use aop_config::Config;
use aop_control::ControlSocket;
use aop_firewall::{Absent, Firewall, FirewallError, PacketLog, Setting, Watch};
use aop_prefixes::Held;
use aop_sandbox::{Launcher, Names};
use aop_storage::InstanceLock;
use aop_types::{Admission, Modes};
use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    Daemon, DaemonError, InForce, Logs, Prepared, Signals,
    audit::Audit,
    identities,
    link::Link,
    monitor::{self, Monitor, Pulse},
    open::beside,
    openings::Openings,
    prepare, reload,
    reloads::Reloads,
    sockets::{self, Handed, Socket},
    status,
    upgrade::{Again, Estate, Handover, Lingerers, Predecessor},
    word::Spoken,
};

/// A daemon that serves, and what it is to be asked by.
pub(super) struct Begun {
    pub(super) signals: Signals,
    pub(super) control: ControlSocket,
    pub(super) monitor: Option<(Monitor, Pulse)>,
    pub(super) daemon: Daemon,
    pub(super) watch: Option<Watch>,
}

/// Everything until it serves.
pub(super) fn begin(
    file: &Path,
    again: Again,
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
    let mut lingerers = Lingerers::default();
    let (lock, pins, mut handed) = match estate {
        Some(Estate { pins: Some(_), .. }) if fixed.firewall.is_none() => {
            let keys = vec!["firewall.mode (to off)"];
            return Err(DaemonError::NeedsRestart { file: file.into(), keys });
        }
        Some(Estate { instance, pins, listeners, lingerers: before }) => {
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

/// What a start finds made: by the daemon before it, by the service manager, or by itself.
struct Inheritance {
    lock: InstanceLock,
    /// The lock on the pins, where another daemon holds it too.
    pins: Option<OwnedFd>,
    sockets: Vec<Socket>,
    lingerers: Lingerers,
    again: Again,
}

/// `guarding` is called before the packet path changes, and `publish` when all else is done.
fn start(
    prepared: Prepared,
    found: Inheritance,
    logs: Logs,
    guarding: impl FnOnce(),
    publish: impl FnOnce() -> Result<(), DaemonError>,
) -> Result<(Daemon, Option<Watch>), DaemonError> {
    let Inheritance { lock, pins, sockets, lingerers, again } = found;
    let Prepared { config, found, prefixes, bundle, source, account, warnings, notes } = prepared;
    let launcher = Launcher::new(account, logs.options);
    let link = match sockets.is_empty() {
        true => None,
        false => Some(Link::start(&launcher, names(&config))?),
    };
    if let Some(link) = &link {
        if link.fence().landlock.is_none() {
            tracing::warn!("{}", status::NO_LANDLOCK);
        }
        link.prepare(bundle)?;
    }
    let (mut spoken, lost) = Spoken::found(&config).under(&config);
    let modes = spoken.modes(config.live.mode);
    let known = identities::load(&config.fixed.paths.state).unwrap_or_else(|error| {
        tracing::warn!("{error}");
        Identities::default()
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
    let (rules, pinned) = (AddressRules::of(&admission, &modes), firewall.is_some());
    let ask = Ask::Serve { rules, pinned, known };
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
        tracing::warn!(?ended, "what `aop open` has opened came to its end meanwhile");
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
        in_force: Mutex::new(InForce::new(config.live, spoken, found, admission)),
        applying: Mutex::default(),
        refreshing: Mutex::default(),
        started: Instant::now(),
    };
    Ok((daemon, watch))
}

/// What the terminator may read to look up its upstreams.
fn names(config: &Config) -> Names {
    match config.live.sites.iter().any(|site| site.upstream.is_named()) {
        true => Names::Ever,
        false => Names::Now,
    }
}

/// Raises the firewall, if one is wanted. Who is admitted stands either way.
fn guard(
    config: &Config,
    modes: &Modes,
    (held, prefixes): (&Held, &[IpNet]),
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
    let setting = Setting {
        interfaces: &config.live.interfaces,
        attach: wanted.attach,
        pins,
        log,
        absent: Absent::Refused,
    };
    let firewall = Firewall::take_over(setting, handed, |before| {
        admission = reload::next_admission(&before.without(ended), held, prefixes, &config.live);
        reload::policy(&admission, &config.live, modes)
    })?;
    Ok((Some(firewall), admission))
}

/// What can still fail once the firewall stands. Listening is last: before the firewall stands the
/// kernel would answer strangers. The sockets go to the terminator; those that are returned are for the
/// daemon after this one.
fn equip(
    firewall: Option<&Firewall>,
    link: Option<&Link>,
    sockets: Vec<Socket>,
    ask: Ask,
) -> Result<(Option<Watch>, Vec<TcpListener>), DaemonError> {
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

/// Off means off: a firewall that an earlier run left attached is taken down.
pub(super) fn retire_leftovers(pins: &Path) -> Result<(), DaemonError> {
    match aop_firewall::read(pins, None) {
        // Nothing there, or a place that this user cannot even look into.
        Ok(None) | Err(FirewallError::Privilege { .. }) => {}
        Ok(Some(_)) => {
            for interface in aop_firewall::retire(pins)?.unwrap_or_default() {
                tracing::warn!(interface, "the firewall is off: detached what an earlier run left");
            }
        }
        Err(error) => tracing::warn!("what may be left of an earlier firewall stays: {error}"),
    }
    Ok(())
}
