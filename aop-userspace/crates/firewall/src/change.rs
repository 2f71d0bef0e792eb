//! Changes a running firewall, as a whole or not at all.

use aop_config::Interfaces;

use super::{
    CheckReason, Firewall, FirewallPolicy,
    error::FirewallError,
    interfaces,
    pins::PinnedXdpLink,
    start::{MissingInterface, check_owners, present},
    wanted::Wanted,
};

impl Firewall {
    /// Replaces the interfaces and the policy. Packets see the old prefixes or the new ones, never
    /// a mixture. Fast if the [idle set](Firewall::idle_set) was filled before.
    ///
    /// # Errors
    /// The interfaces differ from before, and one cannot be guarded; or the kernel refuses a write.
    /// Then nothing has changed.
    pub fn change(
        &mut self,
        interfaces: &Interfaces,
        policy: &FirewallPolicy,
    ) -> Result<(), FirewallError> {
        if !self.pins.has_maps() {
            return Err(FirewallError::Unloaded);
        }
        if self.wanted.follows(interfaces) {
            return self.maps.apply(policy);
        }
        let before = self.pins.links()?;
        let wanted = self.extend(interfaces, &before).and_then(|wanted| {
            self.maps.apply(policy)?;
            Ok(wanted)
        });
        if wanted.is_err() {
            self.pins.forget_all_but(&before);
        }
        self.wanted = wanted?;
        // The policy is in force. The next check of the host tries again to remove the pin.
        if let Err(error) = self.guards.drop_all_but(|name| self.wanted.contains(name)) {
            tracing::error!(
                "cannot detach from an interface that is no longer wanted, trying again: {error}"
            );
        }
        Ok(())
    }

    /// Guards `interfaces` in addition to those that are guarded.
    fn extend(
        &mut self,
        interfaces: &Interfaces,
        before: &[PinnedXdpLink],
    ) -> Result<Wanted, FirewallError> {
        let here = interfaces::list().map_err(FirewallError::Netlink)?;
        let guarded = before.iter().map(|link| link.interface.clone());
        let mut wanted = Wanted::new(interfaces, guarded);
        self.routes.follow(&mut wanted, &here, CheckReason::Notice)?;
        let mut present = present(&wanted, &here, MissingInterface::Refused)?;
        check_owners(&present, &self.pins)?;
        present.retain(|interface| !before.iter().any(|link| link.interface == interface.name));
        for interface in &present {
            self.guards.load(&interface.name, &mut self.maps)?;
            self.guards.attach(interface)?;
        }
        Ok(wanted)
    }
}
