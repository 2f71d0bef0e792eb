//! `aop mode`, `aop confirm`, and the reverts of overrides: changes of modes in force.

use std::time::Instant;

use aop_api::{ModeChange, ModeTarget, ModesInForce, Request, terminator::Command};
use aop_common::{Mode, layout::Ports};
use aop_config::{OnRefusal, ReloadableConfig, SiteConfig, conflict};
use aop_control::Requester;
use aop_firewall::FirewallError;
use aop_types::Modes;
use jiff::Timestamp;

use super::{
    Daemon,
    active_policy::ActivePolicy,
    enforce_preflight::PacketPreflight,
    error::SetModeError,
    mode_overrides::{ConfiguredModes, OverrideState},
    reload::await_ack,
    terminator_handle::PendingAck,
    turn::{ApplyError, Predecessors, Turn},
};

impl Daemon {
    /// Carries out `aop mode`, and stores the overrides for the next start. If they cannot be
    /// stored, no mode is changed.
    pub(super) fn set_mode(&self, change: &ModeChange) -> Result<ModesInForce, SetModeError> {
        let of_sites = !change.sites.is_empty();
        if of_sites && !(change.ports.is_empty() && change.interfaces.is_empty()) {
            return Err(SetModeError::Mixed);
        }
        if self.terminator.is_none() && (of_sites || change.confirm_pulls.is_some()) {
            return Err(SetModeError::NothingServed);
        }
        let guarded = match self.firewall() {
            Some(firewall) => {
                if change.to == ModeTarget::Enforce && !of_sites {
                    firewall.check_loaded().map_err(SetModeError::Interface)?;
                }
                firewall.guarded()
            }
            None if of_sites => Vec::new(),
            None => return Err(SetModeError::Off),
        };
        let PacketPreflight { objections, busy } = match change.to {
            ModeTarget::Enforce if of_sites => {
                let named = configured(change, &self.policy.read().live)?;
                let named: Vec<String> = named.sites.into_keys().collect();
                let objections = self.site_preflight(&named);
                PacketPreflight { objections, ..PacketPreflight::default() }
            }
            ModeTarget::Enforce => self.packet_preflight(&change.ports),
            ModeTarget::Observe | ModeTarget::Default => PacketPreflight::default(),
        };
        let turn = self.turn()?;
        let ActivePolicy { live, overrides, .. } = turn.policy();
        let before = overrides.modes(live.mode);
        let configured = configured(change, &live)?;
        check(change, &live.ports, guarded, &before)?;
        let now = (Timestamp::now(), Instant::now());
        let overrides =
            overrides.with_command(change, configured, now).map_err(SetModeError::Confirm)?;
        if of_sites && let Some(conflict) = conflict(&overrides.sites(&live)) {
            return Err(SetModeError::Shared(conflict.to_string()));
        }
        // A command that changes nothing refuses no pull.
        let changes = overrides.modes(live.mode) != before;
        if changes && !change.force && !objections.is_empty() {
            return Err(SetModeError::PreflightFailed(objections));
        }
        await_ack(turn.put_in_force(overrides, "`aop mode`", IfNotStored::Fail)?);
        self.count_pulls()?;
        let newly_dropped = if changes { busy } else { Vec::new() };
        Ok(ModesInForce { newly_dropped, ..self.modes_in_force() })
    }

    /// Counts the pulls for which a pending override waits, and confirms it once they were made,
    /// unless nothing may change now.
    pub(super) fn count_pulls(&self) -> Result<(), SetModeError> {
        let waiting = self.policy.read().overrides.waits_for_pulls();
        let (Some(set_at), Some(terminator)) = (waiting, &self.terminator) else { return Ok(()) };
        // A terminator that does not answer is asked again later.
        let Ok(report) = terminator.report() else { return Ok(()) };
        let Ok(turn) = self.turn() else { return Ok(()) };
        let mut next = turn.policy();
        // The override may have been replaced or have expired meanwhile.
        if next.overrides.waits_for_pulls() != Some(set_at) || next.overrides.is_expired() {
            return Ok(());
        }
        if let Some(why) = next.overrides.count_pulls(&report.served) {
            next.overrides.store(turn.state()).map_err(SetModeError::NotStored)?;
            tracing::warn!("{why}");
            self.audit.record(Requester::own(), Request::Confirm, None, None);
        }
        await_ack(turn.commit(next, Predecessors::Keep));
        Ok(())
    }

    /// Confirms the pending override. If that cannot be stored, it still waits.
    pub(super) fn confirm(&self) -> Result<ModesInForce, SetModeError> {
        let turn = self.turn()?;
        let mut next = turn.policy();
        if next.overrides.is_expired() || !next.overrides.confirm() {
            return Err(SetModeError::NotPending);
        }
        next.overrides.store(turn.state()).map_err(SetModeError::NotStored)?;
        tracing::warn!("`aop confirm`: the modes in force are now permanent");
        await_ack(turn.commit(next, Predecessors::Keep));
        Ok(self.modes_in_force())
    }

    /// Reverts the pending override once its deadline has passed, unless nothing may change now.
    pub(super) fn revert_expired_override(&self) -> Result<(), SetModeError> {
        if !self.policy.read().overrides.is_expired() {
            return Ok(());
        }
        let Ok(turn) = self.turn() else { return Ok(()) };
        let mut overrides = turn.policy().overrides;
        if !overrides.is_expired() {
            return Ok(());
        }
        let Some(why) = overrides.revert() else { return Ok(()) };
        let ack = turn.put_in_force(overrides, "not confirmed", IfNotStored::Warn)?;
        tracing::warn!("{why}");
        await_ack(ack);
        Ok(())
    }

    /// The modes of interfaces follow their interfaces to new names, unless nothing may change now.
    /// The interfaces are guarded by these names afterwards.
    pub(super) fn follow_renames(&self) -> Result<(), SetModeError> {
        if !self.policy.read().overrides.is_of_interfaces() {
            return Ok(());
        }
        let Ok(turn) = self.turn() else { return Ok(()) };
        let ActivePolicy { mut overrides, live, .. } = turn.policy();
        let pins = &self.settings.paths.pins;
        if overrides.follow_renames(&live.interfaces, pins, turn.state()) {
            await_ack(turn.put_in_force(overrides, "renamed", IfNotStored::Warn)?);
        }
        Ok(())
    }

    /// Whether the modes are as `change` sets them.
    pub(super) fn modes_after(&self, change: &ModeChange) -> ModesAfter {
        let policy = self.policy.read();
        let ActivePolicy { live, overrides, .. } = &*policy;
        if overrides.pending().is_some() {
            return ModesAfter::Waiting;
        }
        let now = (Timestamp::now(), Instant::now());
        let again = configured(change, live)
            .ok()
            .and_then(|configured| overrides.with_command(change, configured, now).ok());
        match again {
            Some(again) if again.modes(live.mode) == overrides.modes(live.mode) => ModesAfter::Same,
            Some(_) | None => ModesAfter::Others,
        }
    }

    fn modes_in_force(&self) -> ModesInForce {
        let policy = self.policy.read();
        let ActivePolicy { live, overrides, .. } = &*policy;
        let modes = policy.modes();
        ModesInForce {
            mode: modes.general.into(),
            modes: aop_api::ModesReport {
                set_at: overrides.set_at(),
                configured: Some(live.mode.into()),
                pending: overrides.pending(),
                sites: overrides.site_modes(live),
                ..aop_api::ModesReport::of(&modes)
            },
            not_kept: overrides.trouble.clone(),
            newly_dropped: Vec::new(),
        }
    }
}

/// The modes in force, compared with those that a change asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModesAfter {
    /// An override waits for a confirmation.
    Waiting,
    /// They are as asked for.
    Same,
    /// They are not.
    Others,
}

/// The reaction if overrides cannot be stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IfNotStored {
    /// Change nothing.
    Fail,
    /// Make the change, and warn: the stored override has expired, so a restart reverts it, too.
    Warn,
}

impl Turn<'_> {
    /// Stores the overrides, and applies them to packets and sites.
    fn put_in_force(
        mut self,
        overrides: OverrideState,
        why: &str,
        if_not_stored: IfNotStored,
    ) -> Result<Option<PendingAck>, SetModeError> {
        let mut next = self.policy();
        let (mut stored, before) = (next.overrides.clone(), next.modes());
        next.overrides = overrides;
        let after = next.modes();
        match next.overrides.store(self.state()) {
            Err(error) if if_not_stored == IfNotStored::Fail => {
                return Err(SetModeError::NotStored(error));
            }
            Err(error) => tracing::warn!("{error}"),
            Ok(()) => {}
        }
        // Overrides of sites do not concern the firewall.
        let of_packets = Modes { sites: before.sites.clone(), ..after.clone() };
        if before == after || of_packets != before {
            let restore = |_: &ApplyError| drop(stored.store(self.state()));
            self.apply(&mut next, &[]).inspect_err(restore)?;
        }
        self.notify(Command::Admit(next.for_terminator()));
        let sites = site_changes(&next.live, &before, &after);
        for change in packet_changes(&before, &after).into_iter().chain(sites) {
            tracing::warn!("{why}: {change}");
        }
        let observes =
            |modes: &Modes, site: &SiteConfig| on_refusal(modes, site) == OnRefusal::Observe;
        // Draining predecessors may hold connections of unauthenticated peers.
        let stops_observing =
            next.live.sites.iter().any(|site| observes(&before, site) && !observes(&after, site));
        let predecessors = if stops_observing { Predecessors::Release } else { Predecessors::Keep };
        Ok(self.commit(next, predecessors))
    }
}

/// The configured modes of the sites that the command names.
fn configured(
    change: &ModeChange,
    live: &ReloadableConfig,
) -> Result<ConfiguredModes, SetModeError> {
    let site = |name: &String| {
        let site = live.site(name).ok_or_else(|| SetModeError::unknown_site(name, live))?;
        Ok((site.name.clone(), site.on_refusal))
    };
    let sites = change.sites.iter().map(site).collect::<Result<_, SetModeError>>()?;
    Ok(ConfiguredModes { mode: live.mode, sites })
}

/// The site's reaction to an unauthenticated peer under `modes`.
fn on_refusal(modes: &Modes, site: &SiteConfig) -> OnRefusal {
    site.on_refusal.under(modes.sites.get(&site.name).copied())
}

/// The changes of sites, one line each.
fn site_changes(live: &ReloadableConfig, before: &Modes, after: &Modes) -> Vec<String> {
    let change = |site: &SiteConfig| {
        let (before, after) = (on_refusal(before, site), on_refusal(after, site));
        let line = || format!("site {}: {} → {}", site.name, before.name(), after.name());
        (before != after).then(line)
    };
    live.sites.iter().filter_map(change).collect()
}

/// Refuses ports that are not guarded, and interfaces that are neither guarded nor have an override
/// to remove.
fn check(
    change: &ModeChange,
    ports: &Ports,
    guarded: Vec<String>,
    modes: &Modes,
) -> Result<(), SetModeError> {
    if let Some(port) = change.ports.iter().find(|port| !ports.contains(**port)) {
        return Err(SetModeError::unguarded_port(*port, ports));
    }
    let known = |name: &&String| guarded.contains(name) || modes.interfaces.contains_key(*name);
    match change.interfaces.iter().find(|name| !known(name)) {
        Some(name) => {
            let name = name.clone();
            Err(SetModeError::Interface(FirewallError::NotGuarded { name, guarded }))
        }
        None => Ok(()),
    }
}

/// The changes of packets, one line each.
fn packet_changes(before: &Modes, after: &Modes) -> Vec<String> {
    let own = |mode: Option<&Mode>| mode.map_or("none of its own", |mode| mode.name());
    let mut changes = Vec::new();
    let mut note = |what: String, before: &'static str, after: &'static str| {
        if before != after {
            changes.push(format!("{what}: {before} → {after}"));
        }
    };
    note("general mode".to_owned(), before.general.name(), after.general.name());
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
        let change = ModeChange { ports, interfaces, ..ModeChange::to(to) };
        let mut modes = Modes::from(Mode::Observe);
        modes.interfaces.insert("gone0".to_owned(), Mode::Enforce);
        let checked = check(&change, &guarded, vec!["eth0".to_owned()], &modes);
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
            packet_changes(&before, &after),
            [
                "general mode: observe → enforce",
                "mode of port 8443: enforce → none of its own",
                "mode of interface eth0: none of its own → observe",
            ]
        );
    }
}
