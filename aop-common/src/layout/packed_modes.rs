//! The modes of drops, by port and interface.

use super::{Ports, SLOTS};
use crate::Mode;

/// One of the two values of the map MODES: the general mode, and the modes of ports and interfaces
/// that differ from it. The mode of a port takes precedence over that of its interface, and that
/// over the general mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PackedModes {
    /// Guarded ports that have a mode of their own.
    own: Ports,
    /// The ports among them that observe.
    observed: Ports,
    /// For each slot: a [`Mode`] plus one, or 0 where the interface has no mode of its own.
    slots: [u32; SLOTS as usize],
    /// A [`Mode`].
    general: u32,
    /// [`NO_PORT`], [`SOME_PORT`] or [`EVERYWHERE`].
    enforced: u32,
}

/// No port has enforce as its own mode.
const NO_PORT: u32 = 0;
/// Some port has, and something observes.
const SOME_PORT: u32 = 1;
/// Nothing observes. Then one look is enough.
const EVERYWHERE: u32 = 2;

impl PackedModes {
    /// The mode `general` everywhere.
    #[must_use]
    pub const fn all(general: Mode) -> Self {
        Self {
            own: Ports::NONE,
            observed: Ports::NONE,
            slots: [0; SLOTS as usize],
            general: general as u32,
            enforced: match general {
                Mode::Observe => NO_PORT,
                Mode::Enforce => EVERYWHERE,
            },
        }
    }

    /// Gives `port` a mode of its own.
    pub fn set_port(&mut self, port: u16, mode: Mode) {
        self.own.insert(port);
        if mode == Mode::Observe {
            self.observed.insert(port);
        }
        self.enforced = self.enforced_now();
    }

    /// Gives the interface of `slot` a mode of its own.
    pub fn set_slot(&mut self, slot: u32, mode: Mode) {
        if let Some(own) = self.slots.get_mut(slot as usize) {
            *own = (mode as u32).wrapping_add(1);
        }
        self.enforced = self.enforced_now();
    }

    fn enforced_now(&self) -> u32 {
        let ports = || self.own.0.iter().zip(&self.observed.0);
        let observing = (Mode::Observe as u32).wrapping_add(1);
        if self.general() == Mode::Enforce
            && ports().all(|(_, observed)| *observed == 0)
            && !self.slots.contains(&observing)
        {
            EVERYWHERE
        } else if ports().any(|(own, observed)| own & !observed != 0) {
            SOME_PORT
        } else {
            NO_PORT
        }
    }

    /// The mode of a drop for `port` on the interface of `slot`. Where the port is unknown, the
    /// packet may be for any port: then the mode is observe only if nothing on this interface
    /// enforces.
    #[inline(always)]
    #[must_use]
    pub fn mode(&self, slot: u32, port: Option<u16>) -> Mode {
        if self.enforced == EVERYWHERE {
            return Mode::Enforce;
        }
        let own = match port {
            Some(port) => self.of_port(port),
            None if self.enforced != NO_PORT => Some(Mode::Enforce),
            None => None,
        };
        own.or_else(|| self.of_slot(slot)).unwrap_or(self.general())
    }

    /// The general mode.
    #[inline(always)]
    #[must_use]
    pub const fn general(&self) -> Mode {
        Mode::from_u32(self.general)
    }

    /// The mode of `port`, if it has its own.
    #[inline(always)]
    #[must_use]
    pub fn of_port(&self, port: u16) -> Option<Mode> {
        if !self.own.contains(port) {
            return None;
        }
        Some(if self.observed.contains(port) { Mode::Observe } else { Mode::Enforce })
    }

    /// The mode of the interface of `slot`, if it has its own.
    #[inline(always)]
    #[must_use]
    pub fn of_slot(&self, slot: u32) -> Option<Mode> {
        let own = self.slots.get(slot as usize).copied()?;
        own.checked_sub(1).map(Mode::from_u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_s_mode_takes_precedence_over_its_interface_s_and_that_over_the_general_one() {
        let mut modes = PackedModes::all(Mode::Observe);
        assert_eq!(modes.mode(0, Some(443)), Mode::Observe);
        modes.set_slot(1, Mode::Enforce);
        assert_eq!((modes.mode(0, Some(443)), modes.mode(1, Some(443))), OBSERVE_THEN_ENFORCE);
        modes.set_port(443, Mode::Observe);
        assert_eq!(modes.mode(1, Some(443)), Mode::Observe);
        modes.set_port(8443, Mode::Enforce);
        assert_eq!((modes.mode(0, Some(443)), modes.mode(0, Some(8443))), OBSERVE_THEN_ENFORCE);
    }

    const OBSERVE_THEN_ENFORCE: (Mode, Mode) = (Mode::Observe, Mode::Enforce);

    #[test]
    fn a_packet_of_unknown_port_is_dropped_as_soon_as_one_port_enforces() {
        let mut modes = PackedModes::all(Mode::Observe);
        assert_eq!(modes.mode(0, None), Mode::Observe);
        modes.set_slot(1, Mode::Enforce);
        assert_eq!((modes.mode(0, None), modes.mode(1, None)), OBSERVE_THEN_ENFORCE);
        modes.set_port(443, Mode::Observe);
        assert_eq!((modes.mode(0, None), modes.mode(1, None)), OBSERVE_THEN_ENFORCE);
        modes.set_port(8443, Mode::Enforce);
        assert_eq!((modes.mode(0, None), modes.mode(1, None)), (Mode::Enforce, Mode::Enforce));
    }

    #[test]
    fn where_all_enforces_each_exception_counts_from_the_moment_it_is_made() {
        let all = PackedModes::all(Mode::Enforce);
        assert_eq!(all.enforced, EVERYWHERE);
        let mut port = all;
        port.set_port(443, Mode::Enforce);
        assert_eq!(port.enforced, EVERYWHERE);
        port.set_port(8443, Mode::Observe);
        assert_eq!((port.mode(0, Some(8443)), port.mode(0, Some(443))), OBSERVE_THEN_ENFORCE);
        assert_eq!(port.enforced, SOME_PORT);
        let mut slot = all;
        slot.set_slot(1, Mode::Observe);
        assert_eq!((slot.mode(1, Some(443)), slot.mode(0, Some(443))), OBSERVE_THEN_ENFORCE);
        slot.set_slot(1, Mode::Enforce);
        assert_eq!(slot.enforced, EVERYWHERE);
    }

    #[test]
    fn a_map_that_was_never_written_enforces() {
        assert_eq!(PackedModes::all(Mode::Enforce).mode(31, None), Mode::Enforce);
        assert_eq!(PackedModes::all(Mode::Enforce).general, 0);
        assert_eq!(PackedModes::all(Mode::Enforce).mode(SLOTS, Some(1)), Mode::Enforce);
    }
}
