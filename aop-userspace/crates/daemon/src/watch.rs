//! Keeps the firewall on its interfaces while they come and go.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use aop_firewall::{Cause, FirewallError, Watch};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Daemon;

/// Notifications can be lost, so it also looks without one.
const ROUTINE: Duration = Duration::from_secs(1);
/// Changes come in swarms: after each look the rest of one may gather.
const PAUSE: Duration = Duration::from_millis(10);

/// Follows the host until `stop`. Does nothing where the firewall is off.
pub(super) fn follow(
    daemon: &Arc<Daemon>,
    watch: Option<Watch>,
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

async fn look_on(daemon: Arc<Daemon>, watch: Watch) {
    // What happened between the start and the watch was not heard.
    let mut cause = Cause::Notice;
    let mut told = None;
    loop {
        let looking = Arc::clone(&daemon);
        // Loads programs and waits for the kernel's locks.
        let looked = tokio::task::spawn_blocking(move || looking.follow_host(cause)).await;
        let error = looked.map_or_else(
            |failed| Some(failed.to_string()),
            |looked| looked.err().map(|error| error.to_string()),
        );
        if let Some(error) = error.as_ref().filter(|error| told.as_ref() != Some(*error)) {
            tracing::error!("the interfaces cannot be followed: {error}");
        }
        told = error;
        sleep(PAUSE).await;
        cause = next(&watch).await;
    }
}

async fn next(watch: &Watch) -> Cause {
    tokio::select! {
        changed = watch.changed() => match changed {
            Ok(()) => Cause::Notice,
            Err(error) => {
                tracing::debug!("the netlink socket fails: {error}");
                sleep(ROUTINE).await;
                Cause::Notice
            }
        },
        () = sleep(ROUTINE) => Cause::Routine,
    }
}

impl Daemon {
    fn follow_host(&self, cause: Cause) -> Result<(), FirewallError> {
        match &self.firewall {
            Some(firewall) => {
                let mut firewall = firewall.lock().unwrap_or_else(PoisonError::into_inner);
                match self.handover.may_change() {
                    Ok(()) => firewall.follow_host(cause),
                    // Another process does.
                    Err(_) => Ok(()),
                }
            }
            None => Ok(()),
        }
    }
}
