//! How drops are carried out: in general, and for single ports and interfaces.

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
}

impl From<Mode> for Modes {
    fn from(general: Mode) -> Self {
        Self { general, ports: BTreeMap::new(), interfaces: BTreeMap::new() }
    }
}
