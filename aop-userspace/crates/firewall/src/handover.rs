//! Handover of the pins to another process, and restoring them after it failed.

use std::os::fd::OwnedFd;

use super::{
    Firewall, FirewallPolicy, attach, error::FirewallError, interfaces, local_addresses, migration,
};

impl Firewall {
    /// A copy of the lock on the pins. The holder of a copy may write the pins; both processes must
    /// agree on which one does.
    ///
    /// # Errors
    /// No file descriptors are left.
    pub fn copy_pins_lock(&self) -> Result<Option<OwnedFd>, FirewallError> {
        self.pins.copy_lock()
    }

    /// Releases the lock to the process with the copy.
    pub fn release_pins_lock(&self) {
        self.pins.release_lock();
    }

    /// Restores everything after another process had the lock: swaps its programs for those of this
    /// process, detaches what it attached in addition, and applies `policy`. No interface is ever
    /// without a program.
    ///
    /// # Errors
    /// The firewall was [unloaded](super::unload()); or an interface or the policy cannot be
    /// restored. The others are.
    pub fn restore(&mut self, policy: &FirewallPolicy) -> Result<(), FirewallError> {
        if !self.pins.has_maps()? {
            return Err(FirewallError::Unloaded);
        }
        migration::take_back(&self.pins)?;
        let here = interfaces::list().map_err(FirewallError::Netlink)?;
        attach::remove_orphan_links(&here, &self.pins)?;
        let mut restored = Ok(());
        for interface in here.iter().filter(|interface| self.wanted.contains(&interface.name)) {
            let ours = self.attachments.load(&interface.name, &mut self.maps);
            restored = restored.and(ours.and_then(|()| self.attachments.attach(interface)));
        }
        self.maps.forget();
        self.maps.apply(policy)?;
        self.attachments.detach_except(|name| self.wanted.contains(name))?;
        self.maps.set_locals(local_addresses::choose(|index| self.wanted.has(&here, index)))?;
        restored
    }
}
