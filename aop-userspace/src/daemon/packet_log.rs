//! Follows what the packet programs log, where that is switched on.

use std::io;

use tokio::io::{Interest, unix::AsyncFd};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::firewall::Firewall;

/// Passes on every record until `stop`.
pub(super) fn follow(
    firewall: &mut Firewall,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> io::Result<()> {
    for logger in firewall.loggers()? {
        let mut logger = AsyncFd::with_interest(logger, Interest::READABLE)?;
        let stop = stop.clone();
        tasks.spawn(async move {
            loop {
                let ready = tokio::select! {
                    () = stop.cancelled() => return,
                    ready = logger.readable_mut() => ready,
                };
                match ready {
                    Ok(mut ready) => {
                        ready.get_inner_mut().flush();
                        ready.clear_ready();
                    }
                    Err(error) => return tracing::error!("the packet log ends: {error}"),
                }
            }
        });
    }
    Ok(())
}
