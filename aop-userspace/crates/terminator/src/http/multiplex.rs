//! The one connection of HTTP/2 that all requests to an upstream share.

use std::{future::Future, time::Duration};

use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http2::{self, SendRequest},
    rt::Executor,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{sync::Mutex, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    denial::Denial,
    inbound::Inbound,
    pool::{Patience, blame, in_time},
    serve::{LONGEST_HEAD, STREAM_WINDOW},
};
use crate::upstream::Connected;

/// RFC 9113, 6.9.1.
const LARGEST_WINDOW: u32 = 0x7fff_ffff;
/// How long a connection may take to end once nobody uses it any more.
const PARTING: Duration = Duration::from_secs(1);

/// The connection, opened when it is wanted and again after it has ended.
pub(super) struct Multiplex {
    sender: Mutex<Option<SendRequest<Inbound>>>,
    spawner: Spawner,
    /// What the upstream may send before it is read, for all requests together.
    window: u32,
}

impl Multiplex {
    /// For no more than `requests` at once.
    pub(super) fn new(spawner: Spawner, requests: usize) -> Self {
        // Room for each request, so that those whose peers do not read leave the others theirs.
        let window = STREAM_WINDOW.saturating_mul(u32::try_from(requests).unwrap_or(u32::MAX));
        Self { sender: Mutex::default(), spawner, window: window.min(LARGEST_WINDOW) }
    }

    /// Sends a request, over a connection that `connect` makes if there is none.
    pub(super) async fn send<F>(
        &self,
        mut request: Request<Inbound>,
        patience: Patience,
        connect: impl Fn() -> F,
    ) -> Result<Response<Incoming>, Denial>
    where
        F: Future<Output = Result<Connected, Denial>>,
    {
        let progress = request.body().progress();
        // Once more, where the connection had ended before it took the request.
        for _ in 0..2 {
            let mut sender = self.sender(patience, &connect).await?;
            let sending = sender.try_send_request(request);
            match in_time(sending, patience.answer, progress.as_deref()).await? {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => {
                        let error = error.into_error();
                        tracing::debug!(%error, "no answer");
                        return Err(blame(progress.as_deref()));
                    }
                },
            }
        }
        Err(Denial::UpstreamBroken)
    }

    async fn sender<F>(
        &self,
        patience: Patience,
        connect: impl Fn() -> F,
    ) -> Result<SendRequest<Inbound>, Denial>
    where
        F: Future<Output = Result<Connected, Denial>>,
    {
        // One connects and the others wait for it, but not for each of those before them.
        let waiting = timeout(patience.connect, self.sender.lock()).await;
        let mut sender = waiting.map_err(|_| Denial::UpstreamLate)?;
        if let Some(standing) = sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(standing.clone());
        }
        let stream = TokioIo::new(connect().await?);
        let (fresh, connection) = http2::Builder::new(self.spawner.clone())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(self.window)
            .max_header_list_size(LONGEST_HEAD)
            .handshake(stream)
            .await
            .map_err(|_| Denial::UpstreamBroken)?;
        self.spawner.execute(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the shared connection to an upstream broke");
            }
        });
        Ok(sender.insert(fresh).clone())
    }
}

/// The tasks of shared connections, and their end.
#[derive(Clone, Default)]
pub(super) struct Spawner {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Spawner {
    /// Waits until all tasks have come to their end, and ends those that have not after a moment:
    /// an upstream that takes no bytes would keep them for ever.
    pub(super) async fn close(&self) {
        self.tasks.close();
        if timeout(PARTING, self.tasks.wait()).await.is_err() {
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }
}

impl<F> Executor<F> for Spawner
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.tasks.spawn(self.cut.clone().run_until_cancelled_owned(future));
    }
}
