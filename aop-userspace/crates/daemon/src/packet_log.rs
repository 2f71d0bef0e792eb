//! Writes the log records of the packet programs into the daemon's log, where that is switched on.

use std::{sync::Arc, time::Duration};

use aop_firewall::PacketLog;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Daemon;

/// The ring buffers are read on a timer: waking a reader for each record would cost the packet path
/// thousands of nanoseconds.
const PERIOD: Duration = Duration::from_millis(50);

/// Reads all records until `stop`, also those of interfaces that appear later.
pub(super) fn follow(
    daemon: &Arc<Daemon>,
    log: PacketLog,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    if log == PacketLog::Off {
        return;
    }
    let (daemon, stop) = (Arc::clone(daemon), stop.clone());
    let mut loggers = Vec::new();
    tasks.spawn(async move {
        while !stop.is_cancelled() {
            match daemon.firewall().map(|mut firewall| firewall.loggers()).transpose() {
                Ok(fresh) => loggers.extend(fresh.into_iter().flatten()),
                Err(error) => tracing::error!("a packet log cannot be read: {error}"),
            }
            loggers.iter_mut().for_each(aya_log::EbpfLogger::flush);
            tokio::time::sleep(PERIOD).await;
        }
    });
}
