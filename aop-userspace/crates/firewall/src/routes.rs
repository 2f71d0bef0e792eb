//! Default routes, looked up no more often than needed: a router's table is long.

use std::time::{Duration, Instant};

use super::{
    Cause,
    error::FirewallError,
    interfaces::{self, Interface},
    wanted::Wanted,
};

/// How old the answer may be where no change was heard of.
const STALE: Duration = Duration::from_secs(30);

/// The interfaces that carry a default route, as they were last seen.
#[derive(Default)]
pub(super) struct DefaultRoutes(Option<(Instant, Vec<u32>)>);

impl DefaultRoutes {
    /// Brings `wanted` up to date.
    pub(super) fn follow(
        &mut self,
        wanted: &mut Wanted,
        here: &[Interface],
        cause: Cause,
    ) -> Result<(), FirewallError> {
        if !wanted.is_auto() {
            return Ok(());
        }
        let now = Instant::now();
        let known = self.0.take().filter(|(seen, _)| {
            cause == Cause::Routine && now.saturating_duration_since(*seen) < STALE
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
