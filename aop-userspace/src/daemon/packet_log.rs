//! Follows what the packet programs log, where that is switched on.

use std::{io, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::firewall::Firewall;

/// The ring buffers are read on a timer: waking a reader for each record would cost the packet path
/// thousands of nanoseconds.
const PERIOD: Duration = Duration::from_millis(50);

/// Passes on every record until `stop`.
pub(super) fn follow(
    firewall: &mut Firewall,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> io::Result<()> {
    let mut loggers = firewall.loggers()?;
    if loggers.is_empty() {
        return Ok(());
    }
    let stop = stop.clone();
    tasks.spawn(async move {
        while !stop.is_cancelled() {
            loggers.iter_mut().for_each(aya_log::EbpfLogger::flush);
            tokio::time::sleep(PERIOD).await;
        }
    });
    Ok(())
}
