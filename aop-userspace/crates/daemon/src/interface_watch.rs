//! Keeps the firewall attached while interfaces appear and disappear.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use aop_firewall::{ChangeSubscription, CheckReason, FirewallError};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Daemon;

/// Netlink messages can be lost, so the interfaces are checked this often in any case.
const ROUTINE: Duration = Duration::from_secs(1);
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
            () = look_on(daemon, watch) => {}
        }
    });
}

async fn look_on(daemon: Arc<Daemon>, watch: ChangeSubscription) {
    // A change between the start and the netlink subscription was missed.
    let mut cause = CheckReason::Notice;
    let mut logged = None;
    loop {
        let looking = Arc::clone(&daemon);
        // On a blocking thread: it loads programs, and waits for the kernel's locks.
        let looked = tokio::task::spawn_blocking(move || looking.follow_host(cause)).await;
        let error = looked.map_or_else(
            |failed| Some(failed.to_string()),
            |looked| looked.err().map(|error| error.to_string()),
        );
        if let Some(error) = error.as_ref().filter(|error| logged.as_ref() != Some(*error)) {
            tracing::error!("cannot follow the interfaces: {error}");
        }
        logged = error;
        sleep(PAUSE).await;
        cause = next(&watch).await;
    }
}

async fn next(watch: &ChangeSubscription) -> CheckReason {
    tokio::select! {
        changed = watch.changed() => match changed {
            Ok(()) => CheckReason::Notice,
            Err(error) => {
                tracing::debug!("the netlink socket fails: {error}");
                sleep(ROUTINE).await;
                CheckReason::Notice
            }
        },
        () = sleep(ROUTINE) => CheckReason::Routine,
    }
}

impl Daemon {
    fn follow_host(&self, cause: CheckReason) -> Result<(), FirewallError> {
        match &self.firewall {
            Some(firewall) => {
                let mut firewall = firewall.lock().unwrap_or_else(PoisonError::into_inner);
                match self.handover.may_change() {
                    Ok(()) => firewall.follow_host(cause),
                    // The successor follows the host.
                    Err(_) => Ok(()),
                }
            }
            None => Ok(()),
        }
    }
}
