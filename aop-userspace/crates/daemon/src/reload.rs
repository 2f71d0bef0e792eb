//! Reloads: a new configuration replaces the old one completely, or not at all.

use std::{path::Path, sync::PoisonError, time::Duration};

use aop_api::terminator::{AddressPolicy, Command};
use aop_config::{ReloadableConfig, StartupConfig};
use aop_firewall::FirewallError;
use aop_prefixes::{CurrentList, ListOrigin};
use aop_tls::{Files, Sites};
use aop_types::{Admission, Modes, monotonic_seconds};
use ipnet::IpNet;

use super::{
    CheckedConfig, Daemon, DaemonError, opening_commands::beside, prepare, prepare::pack,
    reload_queue::Loading, terminator_handle::PendingAck,
};

/// How long the terminator may take for a step that cannot fail.
const PATIENCE: Duration = Duration::from_secs(5);

impl Daemon {
    /// Puts the configuration in `file` in force. The caller has the turn to reload.
    pub(super) fn try_reload(&self, file: &Path) -> Result<Loading, DaemonError> {
        self.reloads.still_wanted()?;
        let prepared = prepare(file)?;
        let keys = differing(&self.fixed, &prepared.config.fixed);
        if !keys.is_empty() {
            return Err(DaemonError::NeedsRestart { file: file.into(), keys });
        }
        prepared.warn();
        let loading = Loading {
            sites: prepared.config.live.sites.len(),
            files: prepared.bundle.file_count(),
            warnings: prepared.told(),
        };
        let CheckedConfig { config, found, bundle, source, warnings, notes, .. } = prepared;
        // Steps that can fail come first: the terminator, then the firewall.
        if let Some(link) = &self.link {
            link.prepare(bundle)?;
        }
        let committed = {
            let _turn = self.applying();
            self.reloads.still_wanted()?;
            self.handover.may_change()?;
            let (stays, before, spoken) = {
                let in_force = self.in_force();
                let stays = in_force.list_for(&config.live).cloned();
                (stays, in_force.admission.clone(), in_force.spoken.clone())
            };
            let (mut spoken, lost) = spoken.under(&config);
            let modes = spoken.modes(config.live.mode);
            let held = stays.as_ref().unwrap_or(&found.held);
            let prefixes = held.list.with(&beside(&config.live, &self.openings()))?;
            let admission = self.admit(&before, &[], held, &prefixes, &config.live, &modes)?;
            let committed = self.tell(Command::Commit(AddressPolicy::of(&admission, &modes)));
            self.facts.replace(&config.live, warnings, notes);
            spoken.settle(&self.fixed.paths.state, &lost);
            self.in_force().reload(config.live, spoken, found, admission);
            self.reloads.read_from(source);
            // Last, so that a predecessor that starts to drain after this has been compared with
            // the new configuration.
            self.lingerers.let_go();
            committed
        };
        hear(committed);
        Ok(loading)
    }

    /// Puts the sites' files, as they are on disk now, in force. The rest of the configuration
    /// stays as it is. The caller has the turn to reload.
    pub(super) fn try_renew(&self) -> Result<Loading, DaemonError> {
        self.reloads.still_wanted()?;
        let (file, text) = (self.reloads.file(), self.reloads.source().text.clone());
        let sites = self.in_force().live.sites.clone();
        let files = Files::on_disk();
        let (_, notes) = Sites::build(&sites, &files)?;
        let warnings = notes.told(aop_tls::now());
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let (bundle, source) = pack(file, text, files);
        let loading = Loading { sites: sites.len(), files: bundle.file_count(), warnings };
        if let Some(link) = &self.link {
            link.prepare(bundle)?;
        }
        let committed = {
            let _turn = self.applying();
            self.reloads.still_wanted()?;
            self.handover.may_change()?;
            let rules = {
                let in_force = self.in_force();
                AddressPolicy::of(&in_force.admission, &in_force.modes())
            };
            let committed = self.tell(Command::Commit(rules));
            self.facts.renew(notes);
            self.reloads.read_from(source);
            // Last, so that a predecessor that starts to drain after this has been compared with
            // the new configuration.
            self.lingerers.let_go();
            committed
        };
        hear(committed);
        Ok(loading)
    }

    /// Applies an admitted set to the firewall. It holds `prefixes` (those of `held` and the
    /// operator's own), and what drains of `before` without `ended`; the firewall enforces by
    /// `modes`. The caller has the turn, and notifies the terminator.
    pub(super) fn admit(
        &self,
        before: &Admission,
        ended: &[IpNet],
        held: &CurrentList,
        prefixes: &[IpNet],
        live: &ReloadableConfig,
        modes: &Modes,
    ) -> Result<Admission, FirewallError> {
        let Some(firewall) = &self.firewall else {
            return Ok(next_admission(&before.without(ended), held, prefixes, live));
        };
        let lock = || firewall.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, idle) = {
            let firewall = lock();
            (firewall.admission()?, firewall.idle_set()?)
        };
        let admission = next_admission(&before.without(ended), held, prefixes, live);
        // A long list takes time: status and interface changes do not wait for it.
        idle.fill(&admission)?;
        lock().change(&live.interfaces, &policy(&admission, live, modes))?;
        Ok(admission)
    }

    /// Queues a request to the terminator, where there is one. Call it within the turn, so that the
    /// terminator gets changes in the order of the firewall; wait for the answer after the turn.
    pub(super) fn tell(&self, ask: Command) -> Option<PendingAck> {
        self.link.as_ref().map(|link| link.ask(ask, Vec::new()))
    }
}

/// Waits until the terminator has done what it was notified of. If it does not answer, it does so
/// later, or it dies and the daemon stops.
pub(super) fn hear(receipt: Option<PendingAck>) {
    if let Some(Err(error)) = receipt.map(|receipt| receipt.wait(PATIENCE)) {
        tracing::error!(
            "the change applies to packets, but perhaps not yet to handshakes: {error}"
        );
    }
}

/// The admitted set after `before`. Where the source has never answered, the prefixes of `before`
/// stay admitted.
pub(super) fn next_admission(
    before: &Admission,
    held: &CurrentList,
    prefixes: &[IpNet],
    live: &ReloadableConfig,
) -> Admission {
    let mut admitted = prefixes.to_vec();
    if held.origin == ListOrigin::Nowhere {
        admitted.extend(before.admitted_prefixes());
    }
    before.followed_by(&admitted, live.drain, monotonic_seconds())
}

/// The policy of the firewall.
pub(super) fn policy(
    admission: &Admission,
    live: &ReloadableConfig,
    modes: &Modes,
) -> aop_firewall::FirewallPolicy {
    aop_firewall::FirewallPolicy {
        modes: modes.clone(),
        ports: live.ports,
        admission: admission.clone(),
        udp: live.udp,
        probation: live.probation,
        budget: live.budget,
    }
}

fn differing(old: &StartupConfig, new: &StartupConfig) -> Vec<&'static str> {
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
    if old.user != new.user {
        keys.push("terminator.user");
    }
    if old.paths != new.paths {
        keys.push("paths");
    }
    if old.readers != new.readers {
        keys.push("control.readers");
    }
    if old.monitor != new.monitor {
        keys.push("monitor.listen");
    }
    if old.limits != new.limits {
        keys.push("limits.connections, handshakes, per_peer or workers");
    }
    keys
}
