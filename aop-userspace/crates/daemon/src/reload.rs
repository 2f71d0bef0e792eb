//! A new configuration in place of the old one, as a whole or not at all.

use std::{path::Path, sync::PoisonError, time::Duration};

use aop_api::terminator::{AddressRules, Ask};
use aop_config::{Fixed, Live};
use aop_firewall::FirewallError;
use aop_prefixes::{Held, Origin};
use aop_tls::{Files, Sites};
use aop_types::{Admission, Modes, monotonic_seconds};
use ipnet::IpNet;

use super::{
    Daemon, DaemonError, Prepared, link::Receipt, open::beside, prepare, prepare::pack,
    reloads::Loading,
};

/// How long the terminator may take to do what cannot fail.
const PATIENCE: Duration = Duration::from_secs(5);

impl Daemon {
    /// Puts `file` in the place of the configuration in force. The caller has the turn to reload.
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
        let Prepared { config, found, bundle, source, warnings, notes, .. } = prepared;
        // What can fail comes first: there, and then the packet path.
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
            let committed = self.tell(Ask::Commit(AddressRules::of(&admission, &modes)));
            self.facts.replace(&config.live, warnings, notes);
            spoken.settle(&self.fixed.paths.state, &lost);
            self.in_force().reload(config.live, spoken, found, admission);
            self.reloads.read_from(source);
            // Last, so that who lingers from now on has been told what is in force now.
            self.lingerers.let_go();
            committed
        };
        hear(committed);
        Ok(loading)
    }

    /// Puts the files of sites, as they are on the disk now, in the place of those in force. All else
    /// of the configuration stays. The caller has the turn to reload.
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
                AddressRules::of(&in_force.admission, &in_force.modes())
            };
            let committed = self.tell(Ask::Commit(rules));
            self.facts.renew(notes);
            self.reloads.read_from(source);
            // Last, so that who lingers from now on has been told what is in force now.
            self.lingerers.let_go();
            committed
        };
        hear(committed);
        Ok(loading)
    }

    /// From now on packets are judged by `prefixes`, which are those of `held` and the operator's
    /// own, and by what drains of those `before`, but not of those `ended`; drops are carried out by `modes`. The caller has
    /// the turn to apply, and tells the terminator.
    pub(super) fn admit(
        &self,
        before: &Admission,
        ended: &[IpNet],
        held: &Held,
        prefixes: &[IpNet],
        live: &Live,
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
        // A long list takes a while: status and the interfaces do not wait for it.
        idle.fill(&admission)?;
        lock().change(&live.interfaces, &policy(&admission, live, modes))?;
        Ok(admission)
    }

    /// Puts a demand in the terminator's queue, where there is one. To be called in the turn to
    /// apply, so that it follows in the same order as the packet path; the answer is waited for
    /// outside of it.
    pub(super) fn tell(&self, ask: Ask) -> Option<Receipt> {
        self.link.as_ref().map(|link| link.ask(ask, Vec::new()))
    }
}

/// Waits for the terminator to have done what it was told. Where it does not answer, it does that
/// when it comes to it, or ends, and the daemon with it.
pub(super) fn hear(receipt: Option<Receipt>) {
    if let Some(Err(error)) = receipt.map(|receipt| receipt.wait(PATIENCE)) {
        tracing::error!("packets are judged anew, and handshakes perhaps not yet: {error}");
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
pub(super) fn policy(admission: &Admission, live: &Live, modes: &Modes) -> aop_firewall::Policy {
    aop_firewall::Policy {
        modes: modes.clone(),
        ports: live.ports,
        admission: admission.clone(),
        udp: live.udp,
        probation: live.probation,
        budget: live.budget,
    }
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
