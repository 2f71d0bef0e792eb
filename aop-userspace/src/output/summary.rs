//! The state of the packet filter in a few words, for the status screen and for `aop top`.

use aop_api::{DaemonReport, InterfaceStatus, ModeName, PrefixStatus, Status, duration_text};
use jiff::{SignedDuration, Timestamp};

use super::{Tone, count, when};

/// A state, and whether it is good.
#[derive(Clone, Copy)]
pub(crate) struct StateText {
    pub(crate) text: &'static str,
    pub(crate) tone: Tone,
}

/// The general mode, and on how many of the interfaces packets are judged.
pub(crate) fn headline_mode(status: &Status) -> (String, Tone) {
    let (text, tone) = match &status.mode {
        ModeName::Enforce => ("enforcing", Tone::Good),
        ModeName::Observe => ("observing", Tone::Bad),
        ModeName::Off | ModeName::Unknown(_) => return ("firewall off".to_owned(), Tone::Bad),
    };
    let attached = status.interfaces.iter().filter(|it| it.attached).count();
    if attached == 0 {
        return ("NOT GUARDING".to_owned(), Tone::Bad);
    }
    let all = status.interfaces.len() + status.unguardable.len();
    let unattached = status.interfaces.iter().find(|it| !it.attached);
    let (why, tone) = match (unattached, status.unguardable.as_slice()) {
        (Some(interface), _) => {
            let InterfaceStatus { name, state, .. } = interface;
            (format!("{name} is {state}"), Tone::Bad)
        }
        (None, []) => return (format!("{text}{}", scope_of_mode(status)), tone),
        (None, [name]) => (format!("{name} cannot be guarded"), Tone::Plain),
        (None, [name, others @ ..]) => {
            (format!("{name} and {} more cannot be guarded", others.len()), Tone::Plain)
        }
    };
    (format!("{text}{} on {attached} of {all}: {why}", scope_of_mode(status)), tone)
}

/// ` in general` if a port or an interface has a mode of its own; otherwise empty.
fn scope_of_mode(status: &Status) -> &'static str {
    let uniform = status.modes.ports.is_empty() && status.modes.interfaces.is_empty();
    if uniform { "" } else { " in general" }
}

/// The work of the packet program on an interface.
pub(crate) fn interface_state(status: &Status, interface: &InterfaceStatus) -> StateText {
    match (&interface.attach, interface.enforcing) {
        (Some(_), true) => StateText { text: "enforcing", tone: Tone::Good },
        (Some(_), false) if enforces_in_part(status, &interface.name) => {
            StateText { text: "enforcing for some ports", tone: Tone::Plain }
        }
        (Some(_), false) => StateText { text: "observing", tone: Tone::Plain },
        (None, _) => StateText { text: "NOT ATTACHED", tone: Tone::Bad },
    }
}

/// Whether an interface that does not enforce for all ports enforces for at least one.
fn enforces_in_part(status: &Status, interface: &str) -> bool {
    let own = status.modes.interfaces.iter().find(|own| own.name == interface);
    let usual = own.map_or(&status.mode, |own| &own.mode);
    *usual == ModeName::Enforce
        || status.modes.ports.iter().any(|own| own.mode == ModeName::Enforce)
}

/// The mode and the daemon: `enforcing, up 1 d 1 h (process 812), 3 connections open`.
pub(crate) fn headline(status: &Status) -> String {
    let (mode, _) = headline_mode(status);
    match &status.daemon {
        Some(DaemonReport { pid, uptime_seconds, open_connections, .. }) => format!(
            "{mode}, up {} (process {pid}), {} open",
            duration_text(*uptime_seconds),
            count(usize::try_from(*open_connections).unwrap_or(usize::MAX), "connection"),
        ),
        None => format!("{mode}, no daemon"),
    }
}

/// `, confirmed 2 h 0 min ago (2026-07-01 15:04 UTC)`; empty if the age of the list is unknown.
pub(crate) fn confirmed(list: &PrefixStatus) -> String {
    let age = list.age_seconds.and_then(|age| i64::try_from(age).ok());
    let at = age.and_then(|age| Timestamp::now().checked_sub(SignedDuration::from_secs(age)).ok());
    at.map_or(String::new(), |at| format!(", confirmed {}", when(at)))
}

#[cfg(test)]
mod tests {
    use aop_api::PortMode;
    use aop_control::status_from_maps;

    use super::*;

    #[test]
    fn an_interface_observes_enforces_for_some_ports_or_is_not_attached() {
        let mut status = status_from_maps(None, &[]);
        let mut eth0 = InterfaceStatus {
            name: "eth0".into(),
            attach: Some("native".into()),
            state: "attached".into(),
            attached: true,
            enforcing: false,
        };
        status.mode = "observe".into();
        assert_eq!(interface_state(&status, &eth0).text, "observing");
        status.modes.ports.push(PortMode { port: 443, mode: "enforce".into() });
        assert_eq!(interface_state(&status, &eth0).text, "enforcing for some ports");
        eth0.attach = None;
        assert_eq!(interface_state(&status, &eth0).text, "NOT ATTACHED");
    }

    #[test]
    fn the_headline_counts_the_interfaces_on_which_packets_are_judged() {
        let interface = |name: &str, state: &str| InterfaceStatus {
            name: name.into(),
            attach: None,
            state: state.into(),
            attached: state == "attached",
            enforcing: state == "attached",
        };
        let headline = |interfaces: &[InterfaceStatus], unguardable: &[&str]| {
            let mut status = status_from_maps(None, &[]);
            status.mode = "enforce".into();
            status.interfaces = interfaces.to_vec();
            status.unguardable = unguardable.iter().map(|name| (*name).to_owned()).collect();
            headline_mode(&status)
        };
        let (eth0, eth1) = (interface("eth0", "attached"), interface("eth1", "foreign"));
        let both = [eth0.clone(), eth1.clone()];
        assert_eq!(headline(std::slice::from_ref(&eth0), &[]), ("enforcing".into(), Tone::Good));
        let (text, tone) = headline(&both[..1], &["wg0"]);
        assert_eq!((&*text, tone), ("enforcing on 1 of 2: wg0 cannot be guarded", Tone::Plain));
        let (text, _) = headline(&both[..1], &["gre1", "wg0"]);
        assert_eq!(text, "enforcing on 1 of 3: gre1 and 1 more cannot be guarded");
        let (text, tone) = headline(&both, &["wg0"]);
        assert_eq!((&*text, tone), ("enforcing on 1 of 3: eth1 is foreign", Tone::Bad));
        for none in [&[][..], &[eth1]] {
            assert_eq!(headline(none, &["wg0"]), ("NOT GUARDING".into(), Tone::Bad));
        }
        assert_eq!(headline_mode(&status_from_maps(None, &[])).0, "firewall off");
    }
}
