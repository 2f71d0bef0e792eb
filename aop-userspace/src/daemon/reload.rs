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
        let Prepared { config, found, prefixes: _, sites, warnings } = prepared;
        let _turn = self.applying();
        let stays = self.in_force().list_for(&config.live).cloned();
        let held = stays.as_ref().unwrap_or(&found.held);
        // The only step that can fail comes first.
        self.admit(held, &held.list.with(&config.live.extra)?, &config.live)?;
        self.service.reload(terminator_policy(sites, &config.live), config.live.shutdown);
        self.facts.replace(&config.live, warnings);
        self.in_force().reload(config.live, found);
        Ok(())
    }

    /// From now on packets and pulls are judged by `prefixes`, which are those of `held` and the
    /// operator's own. The caller has the turn to apply.
    pub(super) fn admit(
        &self,
        held: &Held,
        prefixes: &[IpNet],
        live: &Live,
    ) -> Result<(), FirewallError> {
        let admission = match &self.firewall {
            Some(firewall) => {
                let lock = || firewall.lock().unwrap_or_else(PoisonError::into_inner);
                let (before, idle) = {
                    let firewall = lock();
                    (firewall.admission()?, firewall.idle_set()?)
                };
                let admission = next_admission(&before, held, prefixes, live);
                // A long list takes a while: status and the interfaces do not wait for it.
                idle.fill(&admission)?;
                lock().change(&live.interfaces, &policy(&admission, live))?;
                admission
            }
            None => next_admission(&self.gate.admission(), held, prefixes, live),
        };
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
        admitted.extend(before.admitted_prefixes());
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
