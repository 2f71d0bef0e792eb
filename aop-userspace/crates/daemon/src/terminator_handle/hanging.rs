//! Notices that the terminator process hangs, and kills it. Then it ends as if it had died: the
//! daemon ends, and the service manager starts both again.

use std::{net::Shutdown, time::Duration};

use aop_api::terminator::Command;
use tokio::{task::spawn_blocking, time::sleep};

use super::{PREPARE_TIMEOUT, RequestKind, TerminatorError, TerminatorHandle};

/// Between an answer to a ping and the next ping.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// How long an answer to a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// After so many pings in a row without an answer, the process counts as hanging: 15 s.
const MISSED_PINGS: u32 = 3;

impl TerminatorHandle {
    /// Asks for a sign of life again and again. Never ends.
    pub(crate) async fn kill_if_it_hangs(&self) {
        let mut missed = 0;
        loop {
            sleep(PING_INTERVAL).await;
            let ping = self.ask(Command::Ping, Vec::new());
            let answered = spawn_blocking(move || ping.await_ack(PING_TIMEOUT)).await;
            missed = match answered {
                Ok(Err(TerminatorError::NoAnswer)) if self.is_changing() => missed,
                Ok(Err(TerminatorError::NoAnswer)) => missed + 1,
                // Also one that has ended.
                _ => 0,
            };
            if missed == MISSED_PINGS {
                tracing::error!(
                    "the terminator process hangs: it has not answered {missed} times in a row, \
                     and is killed"
                );
                self.channel.shutdown(Shutdown::Both).ok();
            }
        }
    }

    /// Whether it may be occupied with a change, the oldest of which is not overdue.
    fn is_changing(&self) -> bool {
        let outstanding = self.shared.outstanding();
        let changes = outstanding.waiting.values().filter(|it| it.kind == RequestKind::Change);
        let oldest = changes.map(|change| change.since.elapsed()).max();
        oldest.is_some_and(|oldest| oldest < PREPARE_TIMEOUT)
    }
}
