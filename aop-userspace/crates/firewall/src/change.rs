//! Changes a running firewall, as a whole or not at all.

use aop_config::Interfaces;

use super::{
    CheckReason, Firewall, FirewallPolicy,
    error::FirewallError,
    interfaces,
    interfaces_wanted::WantedInterfaces,
    pins::PinnedXdpLink,
    start::{MissingInterface, check, each, lowest_first, present},
};

impl Firewall {
    /// Replaces the interfaces and the policy. Packets see the old prefixes or the new ones, never
    /// a mixture. Fast if the [inactive set](Firewall::inactive_set) was filled before.
    ///
    /// # Errors
    /// The interfaces differ from before, and one cannot be guarded; or the kernel refuses a write.
    /// Then nothing has changed.
    pub fn change(
        &mut self,
        interfaces: &Interfaces,
        policy: &FirewallPolicy,
    ) -> Result<(), FirewallError> {
        if !self.pins.has_maps()? {
            return Err(FirewallError::Unloaded);
        }
        if self.wanted.follows(interfaces) {
            return self.maps.apply(policy);
        }
        let before = self.pins.links()?;
        self.attachments.begin_change();
        let wanted = self.extend(interfaces, &before).and_then(|wanted| {
            self.maps.apply(policy)?;
            Ok(wanted)
        });
        if wanted.is_err() {
            self.attachments.undo();
        }
        self.wanted = wanted?;
        self.detach_unwanted();
        Ok(())
    }

    /// Detaches from the interfaces that are no longer wanted, once a policy is in force. After an
    /// error, the next check of the host tries again.
    pub(super) fn detach_unwanted(&mut self) {
        if let Err(error) = self.attachments.detach_except(|name| self.wanted.contains(name)) {
            tracing::error!(
                "cannot detach from an interface that is no longer wanted, trying again: {error}"
            );
        }
    }

    /// Guards `interfaces` in addition to those that are guarded.
    fn extend(
        &mut self,
        interfaces: &Interfaces,
        before: &[PinnedXdpLink],
    ) -> Result<WantedInterfaces, FirewallError> {
        let here = interfaces::list().map_err(FirewallError::Netlink)?;
        let guarded = before.iter().map(|link| link.interface.clone());
        let mut wanted = WantedInterfaces::new(interfaces, guarded);
        self.routes.follow(&mut wanted, &here, CheckReason::Event)?;
        let mut present = present(&wanted, &here, MissingInterface::Fail)?;
        present.retain(|interface| !before.iter().any(|link| link.interface == interface.name));
        let (maps, attachments) = (&mut self.maps, &mut self.attachments);
        let present = each(present, &wanted, |it| check(it, &self.pins))?;
        let present = each(present, &wanted, |it| attachments.load(&it.name, maps))?;
        each(lowest_first(present), &wanted, |it| attachments.attach(it))?;
        Ok(wanted)
    }
}
