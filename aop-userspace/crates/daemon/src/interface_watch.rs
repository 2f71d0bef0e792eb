//! Keeps the firewall attached while interfaces appear and disappear.

use std::{sync::Arc, time::Duration};

use aop_firewall::{ChangeSubscription, CheckReason, FirewallError};
use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Daemon, background::LastError};

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
    let mut reason = CheckReason::Notice;
    let mut last = LastError::default();
    loop {
        let daemon = Arc::clone(&daemon);
        // On a blocking thread: it loads programs, and waits for the kernel's locks.
        let error = match spawn_blocking(move || daemon.follow_host(reason)).await {
            Ok(followed) => followed.err().map(|error| error.to_string()),
            Err(panicked) => Some(panicked.to_string()),
        };
        if let Some(error) = last.replace(error) {
            tracing::error!("cannot follow the interfaces: {error}");
        }
        sleep(PAUSE).await;
        reason = next(&watch).await;
    }
}

async fn next(watch: &ChangeSubscription) -> CheckReason {
    tokio::select! {
        changed = watch.changed() => match changed {
            Ok(()) => CheckReason::Notice,
            Err(error) => {
                tracing::debug!("the netlink socket fails: {error}");
                sleep(PERIOD).await;
                CheckReason::Notice
            }
        },
        () = sleep(PERIOD) => CheckReason::Routine,
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
}
