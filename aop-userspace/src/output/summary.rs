//! The state of the packet filter in a few words, for the status screen and for `aop top`.

use aop_api::{InterfaceStatus, ModeName, PrefixStatus, Status};

use super::{Tone, duration_text};

/// A state, and whether it is good.
#[derive(Clone, Copy)]
pub(crate) struct StateText {
    pub(crate) text: &'static str,
    pub(crate) tone: Tone,
}

/// The general mode.
pub(crate) fn general_mode(status: &Status) -> StateText {
    match &status.mode {
        ModeName::Enforce => StateText { text: "enforcing", tone: Tone::Good },
        ModeName::Observe => StateText { text: "observing", tone: Tone::Bad },
        ModeName::Off | ModeName::Unknown(_) => StateText { text: "firewall off", tone: Tone::Bad },
    }
}

/// ` in general` if a port or an interface has a mode of its own; otherwise empty.
pub(crate) fn scope_of_mode(status: &Status) -> &'static str {
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

/// `, confirmed 2 h 0 min ago`; empty if the age of the list is unknown.
pub(crate) fn confirmed(list: &PrefixStatus) -> String {
    list.age_seconds.map_or(String::new(), |age| format!(", confirmed {} ago", duration_text(age)))
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
}
