//! `aop mode`: modes are switched while packets and pulls go on.

use std::{sync::PoisonError, time::Instant};

use aop_common::{Mode, layout::Ports};
use jiff::Timestamp;

use super::{
    Daemon, error::SwitchError, in_force::InForce, link::Receipt, open::beside, reload::hear,
    word::Spoken,
};
use crate::{
    channel::{AddressRules, Ask},
    config::Modes,
    control::{self, ModesInForce, Switch, Wish, mode_name},
    firewall::FirewallError,
};

impl Daemon {
    /// Does what the operator says, and keeps it for the next start. Where it cannot be kept, it is
    /// done all the same.
    pub(super) fn switch(&self, said: &Switch) -> Result<ModesInForce, SwitchError> {
        let Some(firewall) = &self.firewall else { return Err(SwitchError::Off) };
        let guarded = firewall.lock().unwrap_or_else(PoisonError::into_inner).guarded();
        let misgivings = match said.to {
            Wish::Enforce if !said.force => self.misgivings(),
            Wish::Enforce | Wish::Observe | Wish::Default => Vec::new(),
        };
        let told = {
            let _turn = self.applying();
            self.handover.may_change()?;
            let (configured, ports, before, spoken) = {
                let in_force = self.in_force();
                let InForce { live, spoken, .. } = &*in_force;
                (live.mode, live.ports, in_force.modes(), spoken.clone())
            };
            check(said, &ports, guarded, &before)?;
            let now = (Timestamp::now(), Instant::now());
            let spoken = spoken.after(said, configured, now).map_err(SwitchError::Confirm)?;
            // What changes nothing cuts nothing.
            if !misgivings.is_empty() && spoken.modes(configured) != before {
                return Err(SwitchError::Misgivings(misgivings));
            }
            self.heed(spoken, "`aop mode`")?
        };
        hear(told);
        Ok(self.in_force().told())
    }

    /// Makes last what was said for a time.
    pub(super) fn confirm(&self) -> Result<ModesInForce, SwitchError> {
        let _turn = self.applying();
        self.handover.may_change()?;
        let mut spoken = {
            let in_force = self.in_force();
            if in_force.closed {
                return Err(SwitchError::Stopping);
            }
            in_force.spoken.clone()
        };
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
        // The only step that can fail comes first.
        let prefixes = held.list.with(&beside(&live, &self.openings()))?;
        let admission = self.admit(&admission, &[], &held, &prefixes, &live, &after)?;
        let told = self.tell(Ask::Admit(AddressRules::of(&admission, &after)));
        for change in changes(&before, &after) {
            tracing::warn!("{why}: {change}");
        }
        spoken.keep(&self.fixed.paths.state);
        let mut in_force = self.in_force();
        (in_force.spoken, in_force.admission) = (spoken, admission);
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
            modes: control::Modes {
                set_at: self.spoken.word.as_ref().map(|word| word.set_at),
                configured: Some(mode_name(self.live.mode).to_owned()),
                pending: self.spoken.pending(),
                ..control::Modes::of(&modes)
            },
            not_kept: self.spoken.trouble.clone(),
        }
    }
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
        let said = Switch { to, ports, interfaces, confirm_seconds: None, force: false };
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
