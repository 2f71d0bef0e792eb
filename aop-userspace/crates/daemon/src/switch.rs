//! `aop mode`: modes of packets and of sites are switched while packets and pulls go on.

use std::{sync::PoisonError, time::Instant};

use aop_api::{
    ModesInForce, Request, Switch, Wish, mode_name,
    terminator::{AddressRules, Ask},
};
use aop_common::{Mode, layout::Ports};
use aop_config::{Live, OnRefusal, SiteConfig, conflict};
use aop_control::Asker;
use aop_firewall::FirewallError;
use aop_types::Modes;
use jiff::Timestamp;

use super::{
    Daemon,
    error::SwitchError,
    in_force::InForce,
    link::Receipt,
    open::beside,
    reload::hear,
    word::{Configured, Spoken},
};

impl Daemon {
    /// Does what the operator says, and keeps it for the next start. Where it cannot be kept, it is
    /// done all the same.
    pub(super) fn switch(&self, said: &Switch) -> Result<ModesInForce, SwitchError> {
        let of_sites = !said.sites.is_empty();
        if of_sites && !(said.ports.is_empty() && said.interfaces.is_empty()) {
            return Err(SwitchError::Mixed);
        }
        if self.link.is_none() && (of_sites || said.confirm_pulls.is_some()) {
            return Err(SwitchError::NothingServed);
        }
        let guarded = match &self.firewall {
            Some(firewall) => firewall.lock().unwrap_or_else(PoisonError::into_inner).guarded(),
            None if of_sites => Vec::new(),
            None => return Err(SwitchError::Off),
        };
        let misgivings = match said.to {
            Wish::Enforce if said.force => Vec::new(),
            Wish::Enforce if of_sites => {
                let named = configured(said, &self.in_force().live)?;
                self.misgivings_about(&named.sites.into_keys().collect::<Vec<_>>())
            }
            Wish::Enforce => self.misgivings(),
            Wish::Observe | Wish::Default => Vec::new(),
        };
        let told = {
            let _turn = self.applying();
            self.handover.may_change()?;
            let (configured, ports, before, spoken) = {
                let in_force = self.in_force();
                let InForce { live, spoken, .. } = &*in_force;
                (configured(said, live)?, live.ports, in_force.modes(), spoken.clone())
            };
            check(said, &ports, guarded, &before)?;
            let (mode, now) = (configured.mode, (Timestamp::now(), Instant::now()));
            let spoken = spoken.after(said, configured, now).map_err(SwitchError::Confirm)?;
            if of_sites && let Some(conflict) = conflict(&spoken.sites(&self.in_force().live)) {
                return Err(SwitchError::Shared(conflict.to_string()));
            }
            // What changes nothing cuts nothing.
            if !misgivings.is_empty() && spoken.modes(mode) != before {
                return Err(SwitchError::Misgivings(misgivings));
            }
            self.heed(spoken, "`aop mode`")?
        };
        hear(told);
        self.count_pulls()?;
        Ok(self.in_force().told())
    }

    /// Counts the pulls that what was said for a time waits for, and makes it last once they have come.
    pub(super) fn count_pulls(&self) -> Result<(), SwitchError> {
        let (Some(said_at), Some(link)) = (self.in_force().spoken.counts(), &self.link) else {
            return Ok(());
        };
        // Who does not answer is asked again.
        let Ok(report) = link.report() else { return Ok(()) };
        let _turn = self.applying();
        self.handover.may_change()?;
        let mut spoken = self.spoken()?;
        // Another word may have come, or the end of this one.
        if spoken.counts() != Some(said_at) || spoken.is_over() {
            return Ok(());
        }
        if let Some(why) = spoken.count(&report.served) {
            spoken.keep(&self.fixed.paths.state);
            tracing::warn!("{why}");
            self.audit.record(Asker::own(), Request::Confirm, None);
        }
        self.in_force().spoken = spoken;
        Ok(())
    }

    /// What was said, while it may be changed.
    fn spoken(&self) -> Result<Spoken, SwitchError> {
        let in_force = self.in_force();
        match in_force.closed {
            true => Err(SwitchError::Stopping),
            false => Ok(in_force.spoken.clone()),
        }
    }

    /// Makes last what was said for a time.
    pub(super) fn confirm(&self) -> Result<ModesInForce, SwitchError> {
        let _turn = self.applying();
        self.handover.may_change()?;
        let mut spoken = self.spoken()?;
        if spoken.is_over() || !spoken.confirm() {
            return Err(SwitchError::NotPending);
        }
        spoken.keep(&self.fixed.paths.state);
        tracing::warn!("`aop confirm`: what `aop mode` said lasts");
        let mut in_force = self.in_force();
        in_force.spoken = spoken;
        Ok(in_force.told())
    }

    /// Takes back what was said for a time, once that is over.
    pub(super) fn take_back(&self) -> Result<(), SwitchError> {
        let told = {
            let _turn = self.applying();
            self.handover.may_change()?;
            let mut spoken = self.in_force().spoken.clone();
            if !spoken.is_over() {
                return Ok(());
            }
            let Some(why) = spoken.take_back() else { return Ok(()) };
            let told = self.heed(spoken, "not confirmed")?;
            tracing::warn!("{why}");
            told
        };
        hear(told);
        Ok(())
    }

    /// Packets and pulls are judged by what is `spoken` from now on, and the next start knows it. The
    /// caller has the turn to apply.
    fn heed(&self, mut spoken: Spoken, why: &str) -> Result<Option<Receipt>, SwitchError> {
        let (live, held, admission, before) = {
            let in_force = self.in_force();
            if in_force.closed {
                return Err(SwitchError::Stopping);
            }
            let InForce { live, held, admission, .. } = &*in_force;
            (live.clone(), held.clone(), admission.clone(), in_force.modes())
        };
        let after = spoken.modes(live.mode);
        // The only step that can fail comes first. A word of sites is none of the firewall's.
        let of_packets = Modes { sites: before.sites.clone(), ..after.clone() };
        let admission = match before != after && of_packets == before {
            true => admission,
            false => {
                let prefixes = held.list.with(&beside(&live, &self.openings()))?;
                self.admit(&admission, &[], &held, &prefixes, &live, &after)?
            }
        };
        let told = self.tell(Ask::Admit(AddressRules::of(&admission, &after)));
        for change in changes(&before, &after).into_iter().chain(of_sites(&live, &before, &after)) {
            tracing::warn!("{why}: {change}");
        }
        let observes =
            |modes: &Modes, site: &SiteConfig| refusal(modes, site) == OnRefusal::Observe;
        // There are those there who were let in without a proof.
        let ends = live.sites.iter().any(|site| observes(&before, site) && !observes(&after, site));
        spoken.keep(&self.fixed.paths.state);
        {
            let mut in_force = self.in_force();
            (in_force.spoken, in_force.admission) = (spoken, admission);
        }
        // Last, so that who lingers from now on has been told what is in force now.
        if ends {
            self.lingerers.let_go();
        }
        Ok(told)
    }
}

impl InForce {
    /// What drops are carried out by: the configuration, and before it the operator's word.
    pub(super) fn modes(&self) -> Modes {
        self.spoken.modes(self.live.mode)
    }

    fn told(&self) -> ModesInForce {
        let modes = self.modes();
        ModesInForce {
            mode: mode_name(modes.general).to_owned(),
            modes: aop_api::Modes {
                set_at: self.spoken.set_at(),
                configured: Some(mode_name(self.live.mode).to_owned()),
                pending: self.spoken.pending(),
                sites: self.spoken.told_of_sites(&self.live),
                ..aop_api::Modes::of(&modes)
            },
            not_kept: self.spoken.trouble.clone(),
        }
    }
}

/// What the configuration says of what is named.
fn configured(said: &Switch, live: &Live) -> Result<Configured, SwitchError> {
    let site = |name: &String| {
        let site = live.site(name).ok_or_else(|| SwitchError::site(name, live))?;
        Ok((site.name.clone(), site.on_refusal))
    };
    let sites = said.sites.iter().map(site).collect::<Result<_, SwitchError>>()?;
    Ok(Configured { mode: live.mode, sites })
}

/// What becomes of who is refused by a site, where `modes` are in force.
fn refusal(modes: &Modes, site: &SiteConfig) -> OnRefusal {
    site.on_refusal.under(modes.sites.get(&site.name).copied())
}

/// What changes of sites, one line each.
fn of_sites(live: &Live, before: &Modes, after: &Modes) -> Vec<String> {
    let change = |site: &SiteConfig| {
        let (before, after) = (refusal(before, site), refusal(after, site));
        let told = || format!("site {}: {} → {}", site.name, before.name(), after.name());
        (before != after).then(told)
    };
    live.sites.iter().filter_map(change).collect()
}

/// Whether all that is named is guarded, or has a mode of its own to be taken back.
fn check(
    said: &Switch,
    ports: &Ports,
    guarded: Vec<String>,
    modes: &Modes,
) -> Result<(), SwitchError> {
    if let Some(port) = said.ports.iter().find(|port| !ports.contains(**port)) {
        return Err(SwitchError::port(*port, ports));
    }
    let known = |name: &&String| guarded.contains(name) || modes.interfaces.contains_key(*name);
    match said.interfaces.iter().find(|name| !known(name)) {
        Some(name) => Err(FirewallError::NotGuarded { name: name.clone(), guarded }.into()),
        None => Ok(()),
    }
}

/// What changes, one line each.
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
        let (to, ports) = (Wish::Default, ports.to_vec());
        let said = Switch { ports, interfaces, ..Switch::to(to) };
        let mut modes = Modes::from(Mode::Observe);
        modes.interfaces.insert("gone0".to_owned(), Mode::Enforce);
        let checked = check(&said, &guarded, vec!["eth0".to_owned()], &modes);
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn what_is_not_guarded_is_refused_with_what_is() {
        assert_eq!(refused(&[443, 8443], &["eth0", "gone0"]), None);
        let told = refused(&[443, 80], &[]).expect("refused");
        assert!(told.contains("port 80") && told.contains("443, 8443"), "{told}");
        let told = refused(&[], &["eth7"]).expect("refused");
        assert!(told.contains("\"eth7\"") && told.contains("eth0"), "{told}");
    }

    #[test]
    fn changes_are_told_from_old_to_new_and_nothing_else_is() {
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
