//! `aop mode`, `aop confirm`, and the reverts of overrides: changes of modes in force.

use std::{sync::PoisonError, time::Instant};

use aop_api::{
    ModeChange, ModeTarget, ModesInForce, Request, mode_name,
    terminator::{AddressPolicy, Command},
};
use aop_common::{Mode, layout::Ports};
use aop_config::{OnRefusal, ReloadableConfig, SiteConfig, conflict};
use aop_control::Requester;
use aop_firewall::FirewallError;
use aop_types::Modes;
use jiff::Timestamp;

use super::{
    Daemon,
    active_policy::ActivePolicy,
    error::SetModeError,
    mode_overrides::{Configured, OverrideState},
    opening_commands::beside,
    reload::hear,
    terminator_handle::PendingAck,
};

impl Daemon {
    /// Carries out `aop mode` and stores the overrides for the next start. If they cannot be
    /// stored, the change is made all the same.
    pub(super) fn switch(&self, said: &ModeChange) -> Result<ModesInForce, SetModeError> {
        let of_sites = !said.sites.is_empty();
        if of_sites && !(said.ports.is_empty() && said.interfaces.is_empty()) {
            return Err(SetModeError::Mixed);
        }
        if self.link.is_none() && (of_sites || said.confirm_pulls.is_some()) {
            return Err(SetModeError::NothingServed);
        }
        let guarded = match &self.firewall {
            Some(firewall) => firewall.lock().unwrap_or_else(PoisonError::into_inner).guarded(),
            None if of_sites => Vec::new(),
            None => return Err(SetModeError::Off),
        };
        let misgivings = match said.to {
            ModeTarget::Enforce if said.force => Vec::new(),
            ModeTarget::Enforce if of_sites => {
                let named = configured(said, &self.in_force().live)?;
                self.misgivings_about(&named.sites.into_keys().collect::<Vec<_>>())
            }
            ModeTarget::Enforce => self.misgivings(),
            ModeTarget::Observe | ModeTarget::Default => Vec::new(),
        };
        let receipt = {
            let _turn = self.applying();
            self.handover.may_change()?;
            let (configured, ports, before, spoken) = {
                let in_force = self.in_force();
                let ActivePolicy { live, spoken, .. } = &*in_force;
                (configured(said, live)?, live.ports, in_force.modes(), spoken.clone())
            };
            check(said, &ports, guarded, &before)?;
            let (mode, now) = (configured.mode, (Timestamp::now(), Instant::now()));
            let spoken = spoken.after(said, configured, now).map_err(SetModeError::Confirm)?;
            if of_sites && let Some(conflict) = conflict(&spoken.sites(&self.in_force().live)) {
                return Err(SetModeError::Shared(conflict.to_string()));
            }
            // A command that changes nothing refuses no pull.
            if !misgivings.is_empty() && spoken.modes(mode) != before {
                return Err(SetModeError::Misgivings(misgivings));
            }
            self.heed(spoken, "`aop mode`")?
        };
        hear(receipt);
        self.count_pulls()?;
        Ok(self.in_force().told())
    }

    /// Counts the pulls for which a pending override waits, and confirms it once they were made.
    pub(super) fn count_pulls(&self) -> Result<(), SetModeError> {
        let (Some(said_at), Some(link)) = (self.in_force().spoken.counts(), &self.link) else {
            return Ok(());
        };
        // A terminator that does not answer is asked again later.
        let Ok(report) = link.report() else { return Ok(()) };
        let _turn = self.applying();
        self.handover.may_change()?;
        let mut spoken = self.spoken()?;
        // The override may have been replaced or have expired meanwhile.
        if spoken.counts() != Some(said_at) || spoken.is_over() {
            return Ok(());
        }
        if let Some(why) = spoken.count(&report.served) {
            spoken.keep(&self.fixed.paths.state);
            tracing::warn!("{why}");
            self.audit.record(Requester::own(), Request::Confirm, None);
        }
        self.in_force().spoken = spoken;
        Ok(())
    }

    /// The overrides, while they may be changed.
    fn spoken(&self) -> Result<OverrideState, SetModeError> {
        let in_force = self.in_force();
        match in_force.closed {
            true => Err(SetModeError::Stopping),
            false => Ok(in_force.spoken.clone()),
        }
    }

    /// Confirms the pending override.
    pub(super) fn confirm(&self) -> Result<ModesInForce, SetModeError> {
        let _turn = self.applying();
        self.handover.may_change()?;
        let mut spoken = self.spoken()?;
        if spoken.is_over() || !spoken.confirm() {
            return Err(SetModeError::NotPending);
        }
        spoken.keep(&self.fixed.paths.state);
        tracing::warn!("`aop confirm`: the modes in force are now permanent");
        let mut in_force = self.in_force();
        in_force.spoken = spoken;
        Ok(in_force.told())
    }

    /// Reverts the pending override once its deadline has passed.
    pub(super) fn take_back(&self) -> Result<(), SetModeError> {
        let receipt = {
            let _turn = self.applying();
            self.handover.may_change()?;
            let mut spoken = self.in_force().spoken.clone();
            if !spoken.is_over() {
                return Ok(());
            }
            let Some(why) = spoken.take_back() else { return Ok(()) };
            let receipt = self.heed(spoken, "not confirmed")?;
            tracing::warn!("{why}");
            receipt
        };
        hear(receipt);
        Ok(())
    }

    /// Applies the overrides `spoken` to packets and sites, and stores them. The caller has the
    /// turn.
    fn heed(
        &self,
        mut spoken: OverrideState,
        why: &str,
    ) -> Result<Option<PendingAck>, SetModeError> {
        let (live, held, admission, before) = {
            let in_force = self.in_force();
            if in_force.closed {
                return Err(SetModeError::Stopping);
            }
            let ActivePolicy { live, held, admission, .. } = &*in_force;
            (live.clone(), held.clone(), admission.clone(), in_force.modes())
        };
        let after = spoken.modes(live.mode);
        // The only step that can fail comes first. Overrides of sites do not concern the firewall.
        let of_packets = Modes { sites: before.sites.clone(), ..after.clone() };
        let admission = match before != after && of_packets == before {
            true => admission,
            false => {
                let prefixes = held.list.with(&beside(&live, &self.openings()))?;
                self.admit(&admission, &[], &held, &prefixes, &live, &after)?
            }
        };
        let receipt = self.tell(Command::Admit(AddressPolicy::of(&admission, &after)));
        for change in changes(&before, &after).into_iter().chain(of_sites(&live, &before, &after)) {
            tracing::warn!("{why}: {change}");
        }
        let observes =
            |modes: &Modes, site: &SiteConfig| refusal(modes, site) == OnRefusal::Observe;
        // Draining predecessors may hold connections of unauthenticated peers.
        let ends = live.sites.iter().any(|site| observes(&before, site) && !observes(&after, site));
        spoken.keep(&self.fixed.paths.state);
        {
            let mut in_force = self.in_force();
            (in_force.spoken, in_force.admission) = (spoken, admission);
        }
        // Last, so that a predecessor that starts to drain after this has been compared with the
        // new modes.
        if ends {
            self.lingerers.let_go();
        }
        Ok(receipt)
    }
}

impl ActivePolicy {
    /// The modes in force: the configuration with the overrides.
    pub(super) fn modes(&self) -> Modes {
        self.spoken.modes(self.live.mode)
    }

    fn told(&self) -> ModesInForce {
        let modes = self.modes();
        ModesInForce {
            mode: mode_name(modes.general).to_owned(),
            modes: aop_api::ModesReport {
                set_at: self.spoken.set_at(),
                configured: Some(mode_name(self.live.mode).to_owned()),
                pending: self.spoken.pending(),
                sites: self.spoken.told_of_sites(&self.live),
                ..aop_api::ModesReport::of(&modes)
            },
            not_kept: self.spoken.trouble.clone(),
        }
    }
}

/// The configured modes of the sites that the command names.
fn configured(said: &ModeChange, live: &ReloadableConfig) -> Result<Configured, SetModeError> {
    let site = |name: &String| {
        let site = live.site(name).ok_or_else(|| SetModeError::site(name, live))?;
        Ok((site.name.clone(), site.on_refusal))
    };
    let sites = said.sites.iter().map(site).collect::<Result<_, SetModeError>>()?;
    Ok(Configured { mode: live.mode, sites })
}

/// The site's reaction to an unauthenticated peer under `modes`.
fn refusal(modes: &Modes, site: &SiteConfig) -> OnRefusal {
    site.on_refusal.under(modes.sites.get(&site.name).copied())
}

/// The changes of sites, one line each.
fn of_sites(live: &ReloadableConfig, before: &Modes, after: &Modes) -> Vec<String> {
    let change = |site: &SiteConfig| {
        let (before, after) = (refusal(before, site), refusal(after, site));
        let line = || format!("site {}: {} → {}", site.name, before.name(), after.name());
        (before != after).then(line)
    };
    live.sites.iter().filter_map(change).collect()
}

/// Refuses ports that are not guarded, and interfaces that are neither guarded nor have an override
/// to remove.
fn check(
    said: &ModeChange,
    ports: &Ports,
    guarded: Vec<String>,
    modes: &Modes,
) -> Result<(), SetModeError> {
    if let Some(port) = said.ports.iter().find(|port| !ports.contains(**port)) {
        return Err(SetModeError::port(*port, ports));
    }
    let known = |name: &&String| guarded.contains(name) || modes.interfaces.contains_key(*name);
    match said.interfaces.iter().find(|name| !known(name)) {
        Some(name) => Err(FirewallError::NotGuarded { name: name.clone(), guarded }.into()),
        None => Ok(()),
    }
}

/// The changes of packets, one line each.
fn changes(before: &Modes, after: &Modes) -> Vec<String> {
    let own = |mode: Option<&Mode>| mode.map_or("none of its own", |mode| mode_name(*mode));
    let mut changes = Vec::new();
    let mut note = |what: String, before: &'static str, after: &'static str| {
        if before != after {
            changes.push(format!("{what}: {before} → {after}"));
        }
    };
    note("general mode".to_owned(), mode_name(before.general), mode_name(after.general));
    let mut ports: Vec<&u16> = before.ports.keys().chain(after.ports.keys()).collect();
    ports.sort_unstable();
    ports.dedup();
    for port in ports {
        note(
            format!("mode of port {port}"),
            own(before.ports.get(port)),
            own(after.ports.get(port)),
        );
    }
    let (old, new) = (&before.interfaces, &after.interfaces);
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        note(format!("mode of interface {name}"), own(old.get(name)), own(new.get(name)));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(ports: &[u16], interfaces: &[&str]) -> Option<String> {
        let mut guarded = Ports::NONE;
        [443, 8443].into_iter().for_each(|port| guarded.insert(port));
        let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
        let (to, ports) = (ModeTarget::Default, ports.to_vec());
        let said = ModeChange { ports, interfaces, ..ModeChange::to(to) };
        let mut modes = Modes::from(Mode::Observe);
        modes.interfaces.insert("gone0".to_owned(), Mode::Enforce);
        let checked = check(&said, &guarded, vec!["eth0".to_owned()], &modes);
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn a_name_that_is_not_guarded_is_refused_with_those_that_are() {
        assert_eq!(refused(&[443, 8443], &["eth0", "gone0"]), None);
        let error = refused(&[443, 80], &[]).expect("refused");
        assert!(error.contains("port 80") && error.contains("443, 8443"), "{error}");
        let error = refused(&[], &["eth7"]).expect("refused");
        assert!(error.contains("\"eth7\"") && error.contains("eth0"), "{error}");
    }

    #[test]
    fn only_changes_are_listed_each_from_old_to_new() {
        let mut before = Modes::from(Mode::Observe);
        before.ports.insert(443, Mode::Enforce);
        before.ports.insert(8443, Mode::Enforce);
        let mut after = Modes::from(Mode::Enforce);
        after.ports.insert(443, Mode::Enforce);
        after.interfaces.insert("eth0".to_owned(), Mode::Observe);
        assert_eq!(
            changes(&before, &after),
            [
                "general mode: observe → enforce",
                "mode of port 8443: enforce → none of its own",
                "mode of interface eth0: none of its own → observe",
            ]
        );
    }
}
