//! How drops are carried out: in general, and for single ports and interfaces. Beside it, which sites
//! observe against their configuration.

use std::collections::BTreeMap;

use aop_common::Mode;

/// The modes in force. A port's own mode counts before its interface's, and that before the
/// general one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modes {
    /// Where nothing else is said.
    pub general: Mode,
    /// Guarded ports that have a mode of their own.
    pub ports: BTreeMap<u16, Mode>,
    /// Interfaces that have one, by name.
    pub interfaces: BTreeMap<String, Mode>,
    /// Sites of which the operator has said that they observe, or do not: pulls, and not packets.
    pub sites: BTreeMap<String, Mode>,
}

impl Modes {
    /// How a drop for `port` on `interface` is carried out.
    #[must_use]
    pub fn mode(&self, interface: &str, port: u16) -> Mode {
        let own = self.ports.get(&port).or_else(|| self.interfaces.get(interface));
        own.copied().unwrap_or(self.general)
    }

    /// Whether drops for `port` are carried out whatever the interface. Where the interface is not
    /// known, only then is a stranger kept out: elsewhere he may have come in where it observes.
    #[must_use]
    pub fn enforce_everywhere(&self, port: u16) -> bool {
        match self.ports.get(&port) {
            Some(own) => *own == Mode::Enforce,
            None => {
                let mut all = self.interfaces.values().chain([&self.general]);
                all.all(|mode| *mode == Mode::Enforce)
            }
        }
    }
}

impl From<Mode> for Modes {
    fn from(general: Mode) -> Self {
        let (ports, interfaces, sites) = Default::default();
        Self { general, ports, interfaces, sites }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes() -> Modes {
        let mut modes = Modes::from(Mode::Enforce);
        modes.ports.insert(443, Mode::Enforce);
        modes.ports.insert(8443, Mode::Observe);
        modes.interfaces.insert("eth1".to_owned(), Mode::Observe);
        modes
    }

    #[test]
    fn a_port_s_own_mode_counts_before_its_interface_s_and_that_before_the_general_one() {
        let modes = modes();
        assert_eq!(modes.mode("eth1", 443), Mode::Enforce);
        assert_eq!(modes.mode("eth0", 8443), Mode::Observe);
        assert_eq!(
            (modes.mode("eth0", 80), modes.mode("eth1", 80)),
            (Mode::Enforce, Mode::Observe)
        );
    }

    #[test]
    fn one_interface_that_observes_keeps_a_port_without_a_mode_from_being_enforced_everywhere() {
        let mut modes = modes();
        assert!(modes.enforce_everywhere(443) && !modes.enforce_everywhere(8443));
        assert!(!modes.enforce_everywhere(80), "eth1 observes");
        modes.interfaces.insert("eth1".to_owned(), Mode::Enforce);
        assert!(modes.enforce_everywhere(80));
        modes.general = Mode::Observe;
        assert!(!modes.enforce_everywhere(80), "other interfaces observe");
    }
}
