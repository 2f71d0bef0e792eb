//! The firewall alone, for boot: before the network is up, and without it.

use std::{path::Path, time::Instant};

use aop_config::Config;
use aop_firewall::{Absent, Firewall, PacketLog, Setting};
use aop_storage::InstanceLock;
use jiff::Timestamp;

use super::{DaemonError, openings::Openings, reload, word::Spoken};

/// What was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// The firewall stands on the interfaces that there are.
    Firewall,
    /// The configuration wants none.
    Nothing,
}

/// Applies the firewall's part of the configuration in `file` and leaves it attached. Interfaces
/// that do not exist yet are skipped with a warning. What `aop mode` said counts here too. Certificates are not read: the guard must not
/// wait for them.
///
/// # Errors
/// The configuration or prefix list is bad, the firewall cannot be started, a daemon runs.
pub fn load(file: &Path) -> Result<Loaded, DaemonError> {
    let config = Config::load(file)?;
    let Config { fixed, live, .. } = &config;
    let Some(firewall) = &fixed.firewall else { return Ok(Loaded::Nothing) };
    let found = aop_prefixes::at_start(&live.prefixes, &fixed.paths.state)?;
    let prefixes = found.held.list.with(&live.extra)?;
    let _lock = InstanceLock::take(&fixed.paths.runtime)?;
    let mut spoken = Spoken::found(&config);
    // Nobody would be there to take it back in time.
    let unconfirmed = spoken.take_back();
    let (mut spoken, mut lost) = spoken.under(&config);
    lost.extend(unconfirmed);
    let modes = spoken.modes(live.mode);
    let setting = Setting {
        interfaces: &live.interfaces,
        attach: firewall.attach,
        pins: &fixed.paths.pins,
        log: PacketLog::Off,
        absent: Absent::Skipped,
    };
    // Nor would anybody be there to close what is open.
    let (openings, mut closed) =
        Openings::found(&fixed.paths.state, (Timestamp::now(), Instant::now()));
    closed.extend(openings.networks());
    Firewall::start(setting, |before| {
        let before = &before.without(&closed);
        let admission = reload::next_admission(before, &found.held, &prefixes, live);
        reload::policy(&admission, live, &modes)
    })?;
    spoken.settle(&fixed.paths.state, &lost);
    Ok(Loaded::Firewall)
}
