//! Keeps the firewall attached while interfaces appear and disappear.

use std::{io, sync::Arc, time::Duration};

use aop_api::terminator::Command;
use aop_firewall::{ChangeSubscription, CheckReason, FirewallError};
use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Daemon, active_policy::PacketFilter, background::LastError, guarded_interfaces,
    reload::await_ack, turn::Predecessors,
};

/// Netlink messages can be lost, so the interfaces are checked this often in any case.
const PERIOD: Duration = Duration::from_secs(1);
/// Changes come in bursts: after each check, this pause collects the rest.
const PAUSE: Duration = Duration::from_millis(10);

/// Follows changes of the host until `stop`. Does nothing where the firewall is off.
pub(super) fn follow(
    daemon: &Arc<Daemon>,
    watch: Option<ChangeSubscription>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let Some(watch) = watch else { return };
    let (daemon, stop) = (Arc::clone(daemon), stop.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = follow_changes(daemon, watch) => {}
        }
    });
}

async fn follow_changes(daemon: Arc<Daemon>, watch: ChangeSubscription) {
    // A change between the start and the netlink subscription was missed.
    let mut reason = CheckReason::Event;
    let (mut last, mut last_of_storing) = (LastError::default(), LastError::default());
    let mut stored = None;
    loop {
        let daemon = Arc::clone(&daemon);
        // On a blocking thread: it loads programs, waits for the kernel's locks, and syncs a file.
        let following = spawn_blocking(move || {
            let error = daemon.follow_renames().err().map(|error| error.to_string());
            let following = daemon.follow_host(reason).err().map(|error| error.to_string());
            let error = error.or(following);
            daemon.follow_unload();
            (error, daemon.store_guarded(stored))
        });
        let following = following.await;
        let (error, storing) =
            following.unwrap_or_else(|panicked| (Some(panicked.to_string()), Ok(None)));
        let error_of_storing = storing.as_ref().err().map(ToString::to_string);
        stored = storing.unwrap_or_default();
        if let Some(error) = last.replace(error) {
            tracing::error!("cannot follow the interfaces: {error}");
        }
        if let Some(error) = last_of_storing.replace(error_of_storing) {
            tracing::warn!(
                "cannot store which interfaces are guarded, so `aop load` may guard others at the \
                 next boot: {error}; correct paths.state, its permissions or its disk"
            );
        }
        sleep(PAUSE).await;
        reason = next(&watch).await;
    }
}

async fn next(watch: &ChangeSubscription) -> CheckReason {
    tokio::select! {
        changed = watch.changed() => match changed {
            Ok(()) => CheckReason::Event,
            Err(error) => {
                tracing::debug!("the netlink socket fails: {error}");
                sleep(PERIOD).await;
                CheckReason::Event
            }
        },
        () = sleep(PERIOD) => CheckReason::Interval,
    }
}

impl Daemon {
    fn follow_host(&self, reason: CheckReason) -> Result<(), FirewallError> {
        let Some(mut firewall) = self.firewall() else { return Ok(()) };
        // While a successor starts or serves, it follows the host.
        match self.lifecycle.is_handing_over() {
            true => Ok(()),
            false => firewall.follow_host(reason),
        }
    }

    /// Stops judging connections by their address after an unload, unless nothing may change now.
    fn follow_unload(&self) {
        let unloaded = self.firewall().is_some_and(|firewall| firewall.is_unloaded());
        if !unloaded || self.policy.read().packets == PacketFilter::Unloaded {
            return;
        }
        let Ok(mut turn) = self.turn() else { return };
        let mut next = turn.policy();
        next.packets = PacketFilter::Unloaded;
        turn.notify(Command::Admit(next.for_terminator()));
        tracing::warn!("connections are no longer judged by their address, but by certificate");
        await_ack(turn.commit(next, Predecessors::Keep));
    }

    /// Stores the names of the guarded interfaces if they differ from `stored`. Returns the stored
    /// names.
    fn store_guarded(&self, stored: Option<Vec<String>>) -> io::Result<Option<Vec<String>>> {
        let Some(names) = self.firewall().map(|firewall| firewall.guarded()) else {
            return Ok(stored);
        };
        // The successor stores its own.
        if stored.as_ref() == Some(&names) || self.lifecycle.is_handing_over() {
            return Ok(stored);
        }
        guarded_interfaces::store(&self.settings.paths.state, &names)?;
        Ok(Some(names))
    }
}
