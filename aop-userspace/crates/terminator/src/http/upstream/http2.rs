//! The HTTP/2 connection that all requests of a worker to an upstream share.

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

use crate::http::{
    denial::Denial,
    request_body::Inbound,
    serve::{LONGEST_HEAD, STREAM_WINDOW},
    upstream::pool::{Patience, blame, in_time},
};
use crate::upstream::UpstreamStream;

/// The largest flow-control window (RFC 9113, 6.9.1).
const LARGEST_WINDOW: u32 = 0x7fff_ffff;
/// The time for unused connections to close.
const PARTING: Duration = Duration::from_secs(1);

/// The connection. It is opened on demand, and again after it has ended.
pub(crate) struct Multiplex {
    sender: Mutex<Option<SendRequest<Inbound>>>,
    spawner: Spawner,
    /// The flow-control window of the connection, for all requests together.
    window: u32,
}

impl Multiplex {
    /// A connection for at most `requests` at once.
    pub(crate) fn new(spawner: Spawner, requests: usize) -> Self {
        // The window has room for every request, so that peers that do not read block no others.
        let window = STREAM_WINDOW.saturating_mul(u32::try_from(requests).unwrap_or(u32::MAX));
        Self { sender: Mutex::default(), spawner, window: window.min(LARGEST_WINDOW) }
    }

    /// Sends a request; `connect` opens the connection if there is none.
    pub(crate) async fn send<F>(
        &self,
        mut request: Request<Inbound>,
        patience: Patience,
        connect: impl Fn() -> F,
    ) -> Result<Response<Incoming>, Denial>
    where
        F: Future<Output = Result<UpstreamStream, Denial>>,
    {
        let progress = request.body().progress();
        // The second attempt is for a connection that ended before it took the request.
        for _ in 0..2 {
            let mut sender = self.sender(patience, &connect).await?;
            let sending = sender.try_send_request(request);
            match in_time(sending, patience.answer, progress.as_deref()).await? {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => {
                        let error = error.into_error();
                        tracing::debug!(%error, "no response");
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
        F: Future<Output = Result<UpstreamStream, Denial>>,
    {
        // One request connects, and the others wait for it. The timeout bounds the wait: otherwise
        // each request would wait for all attempts before its own.
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
                tracing::debug!(%error, "the shared connection to an upstream failed");
            }
        });
        Ok(sender.insert(fresh).clone())
    }
}

/// The tasks of shared connections, and the token that cuts them.
#[derive(Clone, Default)]
pub(crate) struct Spawner {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Spawner {
    /// Waits until all tasks have ended, and cuts the remaining ones after `PARTING`: an upstream
    /// that reads nothing would keep them for ever.
    pub(crate) async fn close(&self) {
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
