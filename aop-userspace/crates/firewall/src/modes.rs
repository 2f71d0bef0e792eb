//! Conversion of the modes between the configuration and the map.

use std::collections::BTreeMap;

use aop_common::{Mode, layout};
use aop_types::Modes;

/// `modes` in the layout of the map; `names` are the interfaces of the slots.
pub(super) fn to_layout(modes: &Modes, names: &[Option<String>]) -> layout::PackedModes {
    let mut written = layout::PackedModes::all(modes.general);
    for (port, mode) in &modes.ports {
        written.set_port(*port, *mode);
    }
    for (slot, name) in (0..).zip(names) {
        if let Some(mode) = name.as_ref().and_then(|name| modes.interfaces.get(name)) {
            written.set_slot(slot, *mode);
        }
    }
    written
}

/// The modes in the map.
pub(super) fn from_layout(written: &layout::PackedModes, names: &[Option<String>]) -> Modes {
    let slot = |(slot, name): (u32, &Option<String>)| Some((name.clone()?, written.of_slot(slot)?));
    let interfaces: BTreeMap<String, Mode> = (0..).zip(names).filter_map(slot).collect();
    let ports = (0..=u16::MAX).filter_map(|port| Some((port, written.of_port(port)?))).collect();
    Modes { ports, interfaces, ..Modes::from(written.general()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_modes_are_read_back_for_interfaces_with_a_slot() {
        let names = [Some("eth0".to_owned()), None, Some("eth1".to_owned())];
        let mut modes = Modes::from(Mode::Observe);
        modes.ports.insert(443, Mode::Enforce);
        modes.ports.insert(8443, Mode::Observe);
        modes.interfaces.insert("eth1".to_owned(), Mode::Enforce);
        assert_eq!(from_layout(&to_layout(&modes, &names), &names), modes);
        modes.interfaces.insert("eth9".to_owned(), Mode::Enforce);
        assert!(!from_layout(&to_layout(&modes, &names), &names).interfaces.contains_key("eth9"));
    }
}
