//! Default routes, read no more often than needed, since a router's table is long.

use std::time::{Duration, Instant};

use super::{
    CheckReason,
    error::FirewallError,
    interfaces::{self, LinkInfo},
    wanted::Wanted,
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
        wanted: &mut Wanted,
        here: &[LinkInfo],
        cause: CheckReason,
    ) -> Result<(), FirewallError> {
        if !wanted.is_auto() {
            return Ok(());
        }
        let now = Instant::now();
        let known = self.0.take().filter(|(seen, _)| {
            cause == CheckReason::Routine && now.saturating_duration_since(*seen) < STALE
        });
        let (seen, carrying) = match known {
            Some(known) => known,
            None => (now, interfaces::with_default_route().map_err(FirewallError::Netlink)?),
        };
        wanted.update(here, &carrying, now);
        self.0 = Some((seen, carrying));
        Ok(())
    }
}
