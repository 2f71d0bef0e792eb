//! Default routes, read no more often than needed, since a router's table is long; and addresses.

use std::time::{Duration, Instant};

use super::{
    CheckReason,
    error::FirewallError,
    interfaces::{self, LinkInfo},
    interfaces_wanted::{InterfaceUse, WantedInterfaces},
};

/// How old the list may be if no change was reported.
const STALE: Duration = Duration::from_secs(30);

/// The interfaces with a default route, as last read.
#[derive(Default)]
pub(super) struct DefaultRoutes(Option<(Instant, Vec<u32>)>);

impl DefaultRoutes {
    /// Updates `wanted`.
    pub(super) fn follow(
        &mut self,
        wanted: &mut WantedInterfaces,
        here: &[LinkInfo],
        reason: CheckReason,
    ) -> Result<(), FirewallError> {
        if !wanted.is_auto() {
            return Ok(());
        }
        let now = Instant::now();
        let known = self.0.take().filter(|(seen, _)| {
            reason == CheckReason::Interval && now.saturating_duration_since(*seen) < STALE
        });
        let (seen, default_route) = match known {
            Some(known) => known,
            None => (now, interfaces::with_default_route().map_err(FirewallError::Netlink)?),
        };
        let addresses = interfaces::addresses().map_err(FirewallError::Netlink)?;
        let addressed = addresses.iter().filter(|it| it.global).map(|it| it.interface).collect();
        let used = InterfaceUse { default_route, addressed };
        wanted.update(here, &used, now);
        self.0 = Some((seen, used.default_route));
        Ok(())
    }
}
