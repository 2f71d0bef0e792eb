//! The modes of the firewall: the general one, and those of single ports and interfaces. Also the
//! mode overrides of sites.

use std::collections::BTreeMap;

use aop_common::Mode;
use serde::{Deserialize, Serialize};

/// The modes in force. The mode of a port takes precedence over that of the interface, which takes
/// precedence over the general mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modes {
    /// The mode of all other ports and interfaces.
    pub general: Mode,
    /// Guarded ports with a mode of their own.
    pub ports: BTreeMap<u16, Mode>,
    /// Interfaces with a mode of their own, by name.
    pub interfaces: BTreeMap<String, Mode>,
    /// Mode overrides of sites, by name. They apply to pulls, not to packets.
    pub sites: BTreeMap<String, Mode>,
}

impl Modes {
    /// The mode for packets to `port` on `interface`.
    #[must_use]
    pub fn mode(&self, interface: &str, port: u16) -> Mode {
        let own = self.ports.get(&port).or_else(|| self.interfaces.get(interface));
        own.copied().unwrap_or(self.general)
    }

    /// Whether every interface enforces for `port`. The terminator does not know the interface of a
    /// connection, so it refuses an unknown address only if this holds.
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
    fn the_mode_of_a_port_wins_over_that_of_an_interface_which_wins_over_the_general_one() {
        let modes = modes();
        assert_eq!(modes.mode("eth1", 443), Mode::Enforce);
        assert_eq!(modes.mode("eth0", 8443), Mode::Observe);
        assert_eq!(
            (modes.mode("eth0", 80), modes.mode("eth1", 80)),
            (Mode::Enforce, Mode::Observe)
        );
    }

    #[test]
    fn a_port_without_a_mode_is_not_enforced_everywhere_while_one_interface_observes() {
        let mut modes = modes();
        assert!(modes.enforce_everywhere(443) && !modes.enforce_everywhere(8443));
        assert!(!modes.enforce_everywhere(80), "eth1 observes");
        modes.interfaces.insert("eth1".to_owned(), Mode::Enforce);
        assert!(modes.enforce_everywhere(80));
        modes.general = Mode::Observe;
        assert!(!modes.enforce_everywhere(80), "other interfaces observe");
    }
}
