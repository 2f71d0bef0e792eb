//! How a firewall hands its pins over, and takes back what another process made of them.

use std::os::fd::OwnedFd;

use super::{Firewall, Policy, attach, error::FirewallError, interfaces, locals};

impl Firewall {
    /// A copy of the lock on the pins: whoever has it writes there beside this one, and says who of
    /// both does.
    ///
    /// # Errors
    /// There are no file descriptors left.
    pub fn lock(&self) -> Result<Option<OwnedFd>, FirewallError> {
        self.pins.lock_copy()
    }

    /// Leaves the pins to the process that has the copy.
    pub fn leave(&self) {
        self.pins.leave_lock();
    }

    /// Takes everything back from another process that had the lock meanwhile: its programs are
    /// swapped for ours, what it attached beside them leaves, and packets are judged by `policy`
    /// again. At no moment is an interface without a program.
    ///
    /// # Errors
    /// After an [`unload`](super::unload()); or an interface or the policy cannot be had back. The
    /// others are.
    pub fn regain(&mut self, policy: &Policy) -> Result<(), FirewallError> {
        if !self.pins.has_maps() {
            return Err(FirewallError::Unloaded);
        }
        let here = interfaces::list().map_err(FirewallError::Netlink)?;
        attach::forget_zombies(&here, &self.pins)?;
        let mut regained = Ok(());
        for interface in here.iter().filter(|interface| self.wanted.contains(&interface.name)) {
            let ours = self.guards.load(&interface.name, &mut self.maps);
            regained = regained.and(ours.and_then(|()| self.guards.attach(interface)));
        }
        self.maps.forget();
        self.maps.apply(policy)?;
        self.guards.drop_all_but(|name| self.wanted.contains(name))?;
        self.maps.set_locals(locals::choose(|index| self.wanted.has(&here, index)))?;
        regained
    }
}
