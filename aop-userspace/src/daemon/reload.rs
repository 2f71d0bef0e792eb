//! A new configuration in place of the old one, as a whole or not at all.

use std::{path::Path, sync::PoisonError};

use ipnet::IpNet;

use super::{Daemon, DaemonError, Prepared, prepare};
use crate::{
    config::{Fixed, Live},
    firewall::{self, FirewallError},
    prefixes::{Admission, Held, Origin, monotonic_seconds},
    terminator,
    tls::Sites,
};

impl Daemon {
    /// Reloads `file`, and says how that went. On any error the old configuration serves on.
    pub(super) fn reload(&self, file: &Path) {
        match self.try_reload(file) {
            Ok(()) => tracing::info!(file = %file.display(), "reloaded"),
            Err(error) => tracing::error!("not reloaded, the old configuration serves on: {error}"),
        }
    }

    fn try_reload(&self, file: &Path) -> Result<(), DaemonError> {
        let prepared = prepare(file)?;
        let keys = differing(&self.fixed, &prepared.config.fixed);
        if !keys.is_empty() {
            return Err(DaemonError::NeedsRestart { file: file.into(), keys });
        }
        prepared.warn();
        let Prepared { config, found, prefixes: _, sites, warnings, notes } = prepared;
        let mut in_force = self.in_force();
        let held = in_force.list_for(&config.live).unwrap_or(&found.held);
        // The only step that can fail comes first.
        self.admit(held, &held.list.with(&config.live.extra)?, &config.live)?;
        self.service.reload(terminator_policy(sites, &config.live), config.live.shutdown);
        self.facts.replace(&config.live, warnings, notes);
        in_force.reload(config.live, found);
        Ok(())
    }

    /// From now on packets and pulls are judged by `prefixes`, which are those of `held` and the
    /// operator's own. The caller holds the lock on what is in force.
    pub(super) fn admit(
        &self,
        held: &Held,
        prefixes: &[IpNet],
        live: &Live,
    ) -> Result<(), FirewallError> {
        let mut admission = Admission::default();
        match &self.firewall {
            Some(firewall) => {
                let mut firewall = firewall.lock().unwrap_or_else(PoisonError::into_inner);
                firewall.change(&live.interfaces, |before| {
                    admission = next_admission(before, held, prefixes, live);
                    policy(&admission, live)
                })?;
            }
            None => admission = next_admission(&self.gate.admission(), held, prefixes, live),
        }
        self.gate.replace(admission, live);
        Ok(())
    }
}

/// The admission that follows `before`. Where the source has never answered, what was admitted
/// before stays so.
pub(super) fn next_admission(
    before: &Admission,
    held: &Held,
    prefixes: &[IpNet],
    live: &Live,
) -> Admission {
    let mut admitted = prefixes.to_vec();
    if held.origin == Origin::Nowhere {
        admitted.extend(before.admitted_prefixes().filter(|prefix| !prefixes.contains(prefix)));
    }
    before.followed_by(&admitted, live.drain, monotonic_seconds())
}

/// What packets are judged by.
pub(super) fn policy(admission: &Admission, live: &Live) -> firewall::Policy {
    firewall::Policy {
        modes: live.mode.into(),
        ports: live.ports,
        admission: admission.clone(),
        udp: live.udp,
        probation: live.probation,
        budget: live.budget,
    }
}

/// What handshakes are judged by.
pub(super) fn terminator_policy(sites: Sites, live: &Live) -> terminator::Policy {
    terminator::Policy { sites, deadline: live.deadline }
}

fn differing(old: &Fixed, new: &Fixed) -> Vec<&'static str> {
    let mut keys = Vec::new();
    match (&old.firewall, &new.firewall) {
        (Some(old), Some(new)) => {
            if old.attach != new.attach {
                keys.push("firewall.attach");
            }
        }
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => keys.push("firewall.mode (to or from off)"),
    }
    if old.listeners != new.listeners {
        keys.push("listener.bind");
    }
    if old.paths != new.paths {
        keys.push("paths");
    }
    if old.connections != new.connections {
        keys.push("limits.connections");
    }
    keys
}
