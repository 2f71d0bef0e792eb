//! The start, complete or not at all: read and check, bind, attach the firewall, serve.

use std::{net::TcpListener, os::fd::OwnedFd, path::Path, sync::Arc, time::Instant};

use aop_api::{CrashReport, SeenIdentities, terminator::Command};
use aop_config::Config;
use aop_control::ControlSocket;
use aop_firewall::{
    ChangeSubscription, Firewall, FirewallError, MissingInterface, PacketLog, StartOptions,
    UncommittedStart,
};
use aop_monitor::Monitor;
use aop_sandbox::{Launcher, NameLookup};
use aop_storage::InstanceLock;
use aop_types::Admission;
use ipnet::IpNet;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::{
    CheckedConfig, Daemon, DaemonError, Logs, Signals,
    active_policy::{ActivePolicy, PacketFilter},
    admitted_extra,
    audit_log::AuditLog,
    crash_record::{self, Beginning},
    fleet_orders::ObeyedOrders,
    fleet_reporter::FleetReporter,
    identity_store,
    lifecycle::Lifecycle,
    mode_overrides::OverrideState,
    monitor::{self, LivenessProbe},
    openings::Openings,
    prepare,
    refresh::{RefreshState, Refresher},
    reload_queue::ReloadQueue,
    site_evidence::SiteEvidence,
    sockets::{self, ListeningSocket, SocketOrigin},
    status,
    strangers::Strangers,
    terminator_handle::TerminatorHandle,
    turn::PolicyStore,
    upgrade::{DrainingPredecessors, Handover, HandoverSource, HandoverState, Reexec},
};

/// A daemon that serves, and its sockets for clients.
pub(super) struct StartedDaemon {
    pub(super) signals: Signals,
    pub(super) control: ControlSocket,
    pub(super) monitor: Option<(Monitor, LivenessProbe)>,
    pub(super) daemon: Daemon,
    pub(super) changes: Option<ChangeSubscription>,
}

/// All steps until it serves.
pub(super) fn begin(
    file: &Path,
    reexec: Reexec,
    activated: Vec<(Option<String>, OwnedFd)>,
    predecessor: Option<&HandoverSource>,
    logs: Logs,
) -> Result<StartedDaemon, DaemonError> {
    let received = predecessor.map(HandoverSource::receive).transpose()?;
    let checked = prepare(file)?;
    let (probe, responder) = monitor::liveness();
    let signals = Signals::install(responder).map_err(DaemonError::Runtime)?;
    checked.warn();
    let settings = &checked.config.fixed;
    let runtime = &settings.paths.runtime;
    let mut predecessors = DrainingPredecessors::default();
    let (lock, pins, mut origin) = match received {
        Some(HandoverState { pins: Some(_), .. }) if settings.firewall.is_none() => {
            let keys = vec!["firewall.mode (to off)"];
            return Err(DaemonError::NeedsRestart { file: file.into(), keys });
        }
        Some(HandoverState { instance, pins, listeners, predecessors: before }) => {
            predecessors = before;
            let lock = InstanceLock::take_over(runtime, instance)?;
            (lock, pins, SocketOrigin::Predecessor(listeners))
        }
        None => (InstanceLock::take(runtime)?, None, SocketOrigin::Activation(activated)),
    };
    let control = ControlSocket::bind(runtime, settings.readers.as_deref())?;
    let monitor = match &settings.monitor {
        Some(config) => {
            let handed = config.address.port().and_then(|address| origin.claim(address));
            let before = predecessor.and_then(HandoverSource::process);
            Some(Monitor::bind(config, handed, before)?)
        }
        None => None,
    };
    let sockets = sockets::take(&settings.listeners, origin)?;
    let beginning = match predecessor {
        Some(_) => Beginning::TookOver,
        None => Beginning::Started,
    };
    let last_crash = crash_record::find(&settings.paths.state, beginning);
    let inputs = StartInputs { lock, pins, sockets, predecessors, reexec, last_crash };
    let guarding = || predecessor.into_iter().for_each(HandoverSource::guarding);
    let copy = monitor.as_ref().map_or(Ok(None), Monitor::copy).map_err(DaemonError::Runtime)?;
    let publish = || -> Result<(), DaemonError> {
        monitor.as_ref().map_or(Ok(()), Monitor::publish)?;
        Ok(control.publish()?)
    };
    let (daemon, changes) = start(checked, inputs, logs, guarding, publish)?;
    daemon.handover.add_listener(copy);
    let monitor = monitor.map(|monitor| (monitor, probe));
    Ok(StartedDaemon { signals, control, monitor, daemon, changes })
}

/// The inputs of a start: from the predecessor, from the service manager, or itself.
struct StartInputs {
    lock: InstanceLock,
    /// The lock on the pins, where the predecessor holds it, too.
    pins: Option<OwnedFd>,
    sockets: Vec<ListeningSocket>,
    predecessors: DrainingPredecessors,
    reexec: Reexec,
    last_crash: Option<CrashReport>,
}

/// Calls `guarding` before the firewall changes, and `publish` after everything else.
fn start(
    checked: CheckedConfig,
    inputs: StartInputs,
    logs: Logs,
    guarding: impl FnOnce(),
    publish: impl FnOnce() -> Result<(), DaemonError>,
) -> Result<(Daemon, Option<ChangeSubscription>), DaemonError> {
    let StartInputs { lock, pins, sockets, predecessors, reexec, last_crash } = inputs;
    let CheckedConfig { config, found, bundle, source, account, warnings, file_warnings, .. } =
        checked;
    let state = &config.fixed.paths.state;
    let launcher = Launcher::new(account, logs.options);
    let terminator = match sockets.is_empty() {
        true => None,
        false => Some(TerminatorHandle::start(&launcher, resolver_files(&config))?),
    };
    if let Some(terminator) = &terminator {
        if terminator.sandbox().landlock.is_none() {
            tracing::warn!("{}", status::NO_LANDLOCK);
        }
        terminator.prepare(bundle)?;
    }
    let mut overrides = OverrideState::load(&config);
    overrides.follow_renames(&config.live.interfaces, &config.fixed.paths.pins, state);
    let (overrides, dropped) = overrides.reconcile(&config);
    let known = identity_store::load(state).unwrap_or_else(|error| {
        tracing::warn!("{error}");
        SeenIdentities::default()
    });
    guarding();
    let (openings, expired) = Openings::load(state, (Timestamp::now(), Instant::now()));
    let mut policy = ActivePolicy {
        live: config.live.clone(),
        overrides,
        openings,
        list: found.held,
        admission: Admission::default(),
        packets: PacketFilter::Loaded,
        source: Arc::new(source),
        warnings,
        file_warnings,
    };
    let former = admitted_extra::load(state);
    admitted_extra::begin(state, &former, &policy.live.extra);
    let gone = Gone { expired: &expired, extra: &former };
    let firewall = start_firewall(&config, &mut policy, gone, pins, logs.packets)?;
    let rules = policy.for_terminator();
    let command = Command::Serve { rules, pinned: firewall.is_some(), known };
    let guarding = firewall.as_ref().map(UncommittedStart::firewall);
    let served = listen_and_serve(guarding, terminator.as_ref(), sockets, command);
    let served = served.and_then(|served| publish().map(|()| served));
    let (changes, listeners) = match served {
        Ok(served) => served,
        Err(error) => {
            firewall.into_iter().for_each(UncommittedStart::give_up);
            return Err(error);
        }
    };
    let firewall = match firewall {
        Some(firewall) => Some(firewall.commit()),
        None => {
            retire_leftovers(&config.fixed.paths.pins)?;
            None
        }
    };
    admitted_extra::finish(state, &former, &policy.live.extra);
    policy.overrides.log_and_drop(state, &dropped);
    if !expired.is_empty() {
        tracing::warn!(
            ended = ?expired,
            "openings of `aop open` have expired while aop was stopped"
        );
        policy.openings.store(state);
    }
    let copy_trouble = found.trouble.map(|trouble| trouble.to_string());
    let daemon = Daemon {
        refresher: Refresher::new(RefreshState::new(&policy.live, &policy.list, copy_trouble)),
        policy: PolicyStore::new(policy),
        lifecycle: Lifecycle::default(),
        reloads: ReloadQueue::new(&config.file),
        audit: AuditLog::new(state),
        last_crash,
        evidence: SiteEvidence::load(state),
        strangers: Strangers::begin(state, firewall.as_ref()),
        fleet: FleetReporter::default(),
        orders: ObeyedOrders::load(state),
        settings: config.fixed,
        firewall: firewall.map(Mutex::new),
        terminator,
        launcher,
        handover: Handover::new(reexec, listeners, lock, predecessors),
        started: Instant::now(),
    };
    Ok((daemon, changes))
}

/// Which resolver files the terminator may read to look up its upstreams.
fn resolver_files(config: &Config) -> NameLookup {
    match config.live.sites.iter().any(|site| site.upstream.is_named()) {
        true => NameLookup::Always,
        false => NameLookup::AtStart,
    }
}

/// Prefixes that the maps may still admit, and whose owners are known.
#[derive(Clone, Copy)]
struct Gone<'a> {
    /// Of openings that have expired. They do not drain.
    expired: &'a [IpNet],
    /// Of the firewall.extra of the last run.
    extra: &'a [IpNet],
}

/// Starts the firewall, where it is on. Computes what `policy` admits in both cases; prefixes that
/// are only in `gone` do not stay.
fn start_firewall(
    config: &Config,
    policy: &mut ActivePolicy,
    gone: Gone<'_>,
    handed: Option<OwnedFd>,
    log: PacketLog,
) -> Result<Option<UncommittedStart>, DaemonError> {
    let pins = &config.fixed.paths.pins;
    let prefixes = policy.prefixes()?;
    let Some(wanted) = &config.fixed.firewall else {
        policy.admission = policy.admission_after(&Admission::default(), gone.extra, &prefixes);
        return Ok(None);
    };
    let options = StartOptions {
        interfaces: &config.live.interfaces,
        attach: wanted.attach,
        pins,
        log,
        before: &[],
        missing: MissingInterface::Await,
    };
    let firewall = Firewall::take_over(options, handed, |before| {
        let before = before.without(gone.expired);
        policy.admission = policy.admission_after(&before, gone.extra, &prefixes);
        policy.for_firewall()
    })?;
    Ok(Some(firewall))
}

/// The steps that can fail once the firewall is attached. Listening is last: before the firewall is
/// attached, the kernel would answer strangers. The terminator gets the sockets; the returned
/// copies are for the successor.
fn listen_and_serve(
    firewall: Option<&Firewall>,
    terminator: Option<&TerminatorHandle>,
    sockets: Vec<ListeningSocket>,
    command: Command,
) -> Result<(Option<ChangeSubscription>, Vec<TcpListener>), DaemonError> {
    let changes = firewall.map(Firewall::watch).transpose()?;
    let sockets = sockets::listen(sockets)?;
    if let Some(terminator) = terminator {
        let mut files: Vec<OwnedFd> = Vec::new();
        if let Some(firewall) = firewall {
            files.extend(firewall.peer_files()?.into_files());
        }
        for socket in &sockets {
            files.push(socket.try_clone().map_err(DaemonError::Runtime)?.into());
        }
        terminator.serve(command, files)?;
    }
    Ok((changes, sockets))
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
