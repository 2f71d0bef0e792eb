//! Accepts connections, a few at a time.

use std::{io, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{connection, listener::MonitorListener, routes::Routes};

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 16;
const PAUSE: Duration = Duration::from_millis(100);
/// Time for clients that connected before a stop or a handover.
const LAST: Duration = Duration::from_millis(250);

/// The moments at which a server ends.
#[derive(Clone, Debug)]
pub struct MonitorEnd {
    /// The process stops.
    pub stop: CancellationToken,
    /// A successor answers.
    pub handed_over: CancellationToken,
}

/// Answers with `routes`, each connection in a task of `tasks`, until `end`.
pub(super) async fn serve(
    listener: MonitorListener,
    routes: impl Routes,
    tasks: TaskTracker,
    end: MonitorEnd,
) {
    let MonitorEnd { stop, handed_over } = end;
    let routes = Arc::new(routes);
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut leaving = false;
    loop {
        let next = async {
            // The semaphore is never closed.
            let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((slot, listener.accept().await?))
        };
        let ended = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = handed_over.cancelled() => {}
            }
        };
        let accepted = tokio::select! {
            () = ended, if !leaving => {
                if !handed_over.is_cancelled() || !listener.has_its_own_queue() {
                    return;
                }
                leaving = true;
                continue;
            }
            () = sleep(LAST), if leaving => return,
            accepted = next => accepted,
        };
        let (slot, stream) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("monitor: cannot accept: {error}");
                sleep(PAUSE).await;
                continue;
            }
        };
        let (connection, stop) = (connection::answer(stream, routes.clone()), stop.clone());
        tasks.spawn(async move {
            let end = async {
                stop.cancelled().await;
                sleep(LAST).await;
            };
            tokio::select! {
                () = connection => {}
                () = end => {}
            }
            drop(slot);
        });
    }
}
