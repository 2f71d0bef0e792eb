//! `aop load`: applies the firewall alone, at boot, before the network is up.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use aop_config::Config;
use aop_firewall::{Firewall, MissingInterface, PacketLog, StartOptions};
use aop_storage::InstanceLock;
use jiff::Timestamp;

use super::{
    DaemonError, active_policy, admitted_extra, guarded_interfaces, mode_overrides::OverrideState,
    openings::Openings,
};

/// How long to wait for the interfaces to appear: at boot, drivers are still being loaded.
const DEVICES: Duration = Duration::from_secs(5);

/// The loaded policy, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// The firewall, on the interfaces that exist.
    Firewall,
    /// Nothing: firewall.mode is off.
    Nothing,
}

/// Applies the firewall's part of the configuration in `file`, with the mode overrides, and leaves
/// it attached. Under `auto`, it guards the interfaces that the daemon guarded last, too. Those
/// that do not exist after a while are skipped with a warning. Certificates are not read: filtering
/// must not wait for them.
///
/// # Errors
/// The configuration or prefix list is bad, the firewall cannot be started, or a daemon runs.
pub fn load(file: &Path) -> Result<Loaded, DaemonError> {
    let config = Config::load(file)?;
    let Config { fixed, live, .. } = &config;
    let Some(firewall) = &fixed.firewall else { return Ok(Loaded::Nothing) };
    let found = aop_prefixes::at_start(&live.prefixes, &fixed.paths.state)?;
    let prefixes = found.held.list.with(&live.extra)?;
    let _lock = InstanceLock::take(&fixed.paths.runtime)?;
    let mut overrides = OverrideState::load(&config);
    // No daemon runs that could revert it at its deadline.
    let unconfirmed = overrides.revert();
    overrides.follow_renames(&live.interfaces, &fixed.paths.pins, &fixed.paths.state);
    let (mut overrides, mut dropped) = overrides.reconcile(&config);
    dropped.extend(unconfirmed);
    let modes = overrides.modes(live.mode);
    let before = guarded_interfaces::load(&fixed.paths.state);
    aop_firewall::await_interfaces(live.interfaces.named().unwrap_or(&before), DEVICES);
    let setting = StartOptions {
        interfaces: &live.interfaces,
        attach: firewall.attach,
        pins: &fixed.paths.pins,
        log: PacketLog::Off,
        before: &before,
        missing: MissingInterface::AwaitAll,
    };
    // No daemon runs that could close openings, either.
    let (openings, mut closed) =
        Openings::load(&fixed.paths.state, (Timestamp::now(), Instant::now()));
    closed.extend(openings.networks());
    let former = admitted_extra::load(&fixed.paths.state);
    admitted_extra::begin(&fixed.paths.state, &former, &live.extra);
    Firewall::start(setting, |before| {
        let before = &before.without(&closed);
        let held = &found.held;
        let admission = active_policy::next_admission(before, &former, held, &prefixes, live);
        active_policy::firewall_policy(&admission, live, &modes)
    })?;
    admitted_extra::finish(&fixed.paths.state, &former, &live.extra);
    overrides.log_and_drop(&fixed.paths.state, &dropped);
    Ok(Loaded::Firewall)
}
